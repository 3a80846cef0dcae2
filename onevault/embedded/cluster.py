"""One PostgreSQL cluster: a data directory that is initialised, started and stopped by us."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import psycopg

from onevault.embedded import account as accounts
from onevault.embedded import configuration
from onevault.embedded.account import Account, EmbeddedError
from onevault.embedded.binaries import Binaries

SUPERUSER = "postgres"
_CONFIGURATION = "onevault.conf"


@dataclass
class Cluster:
    """A cluster below `base`, an existing folder that the account owns.

    `password` is the superuser's: with one, connections are by TCP and scram only; without (tests), by a
    socket in `socket_directory`, which nobody else may enter.
    """

    base: Path
    binaries: Binaries
    account: Account | None
    port: int
    password: str | None = None
    socket_directory: Path | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    durable: bool = True
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.base / "data"

    @property
    def start_log(self) -> Path:
        """What the server says before its own log is open."""
        return self.base / "start.log"

    def conninfo(self, database: str = "postgres", user: str = SUPERUSER) -> str:
        """A connection string for libpq; it holds no password unless the user is the superuser."""
        parts = {"dbname": database, "user": user, "port": str(self.port), "connect_timeout": "5"}
        parts["host"] = str(self.socket_directory) if self.socket_directory else "127.0.0.1"
        if self.password and user == SUPERUSER:
            parts["password"] = self.password
        return psycopg.conninfo.make_conninfo("", **parts)

    def initialise(self) -> bool:
        """Make the data directory if there is none; true if it was made.

        It is made under another name and then renamed, so a half-finished one is never taken for a whole.
        Raises EmbeddedError if initdb fails, or if the data directory is another major version's.
        """
        for leftover in self.base.glob("data.making-*"):
            shutil.rmtree(leftover)
        if (self.data / "PG_VERSION").exists():
            found = (self.data / "PG_VERSION").read_text(encoding="ascii").strip()
            if found != str(self.binaries.major):
                raise EmbeddedError(
                    f"{self.data} was made by PostgreSQL {found} and this is {self.binaries.version}: "
                    f"use PostgreSQL {found} (LOCKMON_PG_BIN), or move {self.base} away to begin anew."
                )
            return False
        if self.data.exists():
            raise EmbeddedError(f"{self.data} is not a PostgreSQL data directory: move it away.")
        fresh = Path(tempfile.mkdtemp(prefix="data.making-", dir=self.base))
        accounts.give(fresh, self.account)
        command = [self.binaries.program("initdb"), "--pgdata", str(fresh), "--username", SUPERUSER]
        command += ["--encoding", "UTF8", "--locale", "C"]
        command += [] if self.durable else ["--no-sync"]
        password_file = self.base / "password.once"
        try:
            if self.password:
                password_file.touch(mode=0o600)
                password_file.write_text(self.password + "\n", encoding="ascii")
                accounts.give(password_file, self.account)
                command += ["--auth", "scram-sha-256", "--pwfile", str(password_file)]
            else:
                command += ["--auth-local", "trust", "--auth-host", "scram-sha-256"]
            made = accounts.run(command, account=self.account, env=accounts.clean_environment(), cwd="/")
        finally:
            password_file.unlink(missing_ok=True)
        if made.returncode != 0:
            shutil.rmtree(fresh, ignore_errors=True)
            raise EmbeddedError(f"initdb failed: {_last_sentence(made.stdout)}")
        with (fresh / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.write(f"\ninclude_if_exists = '{_CONFIGURATION}'\n")
        fresh.rename(self.data)
        return True

    def start(self, deadline_seconds: float = 60) -> None:
        """Start the server and wait until it answers; one of ours that was left running is ended first.

        Raises EmbeddedError with the server's own last sentence.
        """
        self.end_leftover()
        settings = configuration.server_settings(self.binaries.major) | dict(self.settings)
        settings["listen_addresses"] = "127.0.0.1"
        settings["unix_socket_directories"] = str(self.socket_directory or "")
        file = self.data / _CONFIGURATION
        file.write_text(configuration.as_file(settings), encoding="utf-8")
        accounts.give(file, self.account)
        with self.start_log.open("wb") as output:
            self.process = accounts.start(
                [self.binaries.program("postgres"), "-D", str(self.data), "-c", f"port={self.port}"],
                account=self.account,
                dying_signal=signal.SIGINT,
                env=accounts.clean_environment(),
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        until = time.monotonic() + deadline_seconds
        while not self._ready():
            if self.process.poll() is not None:
                self.process = None
                raise EmbeddedError(f"PostgreSQL did not start: {self._why()}")
            if time.monotonic() > until:
                reason = self._why()
                self.stop()
                raise EmbeddedError(f"PostgreSQL is not ready after {deadline_seconds:.0f} s: {reason}")
            time.sleep(0.02)

    def _ready(self) -> bool:
        """Whether the server says in its postmaster.pid (last line) that it takes connections."""
        try:
            lines = (self.data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        except OSError:
            return False
        return len(lines) >= 8 and lines[7].strip() == "ready"

    def _why(self) -> str:
        """The server's last complaint; its log writer may bring it a moment after the server's end."""
        until = time.monotonic() + 2
        while not (fatal := self._complaints()) and time.monotonic() < until:
            time.sleep(0.02)
        said = self.start_log.read_text(encoding="utf-8", errors="replace")
        return _last_sentence("\n".join(fatal) or said)

    def _complaints(self) -> list[str]:
        said = self.start_log.read_text(encoding="utf-8", errors="replace").splitlines()
        if complaints := [line for line in said if "FATAL" in line or "could not" in line]:
            return complaints
        logs = sorted((self.data / "log").glob("*.log"), key=lambda path: path.stat().st_mtime)
        if not logs:
            return []
        tail = logs[-1].read_text(encoding="utf-8", errors="replace").splitlines()[-20:]
        # A log that was there before may end with complaints of an earlier start: only what follows counts.
        starts = [number for number, line in enumerate(tail) if "starting PostgreSQL" in line]
        tail = tail[starts[-1] :] if starts else tail
        return [line for line in tail if "FATAL" in line or "PANIC" in line]

    def alive(self) -> bool:
        """Whether the server that was started here still runs."""
        return self.process is not None and self.process.poll() is None

    def running_pid(self) -> int | None:
        """The pid of the postmaster of this data directory, if one is alive."""
        try:
            pid = int((self.data / "postmaster.pid").read_text(encoding="ascii").splitlines()[0])
            process = psutil.Process(pid)
            if "postgres" in process.name() and Path(process.cwd()) == self.data.resolve():
                return pid
        except (OSError, ValueError, IndexError, psutil.Error):
            pass
        return None

    def end_leftover(self) -> None:
        """End a server of this data directory that nobody looks after, and remove a stale postmaster.pid.

        The caller holds the lock of `base`, so no other launcher can be looking after it.
        """
        pid = self.running_pid()
        if pid is not None:
            self._end(psutil.Process(pid))
        (self.data / "postmaster.pid").unlink(missing_ok=True)

    def stop(self) -> None:
        """Stop the server (fast, then at once) and wait until every process of it is gone."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self._end(psutil.Process(self.process.pid))
        self.process.wait()
        self.process = None

    @staticmethod
    def _end(postmaster: psutil.Process) -> None:
        try:
            everyone = [postmaster, *postmaster.children(recursive=True)]
            for number, seconds in ((signal.SIGINT, 15), (signal.SIGQUIT, 5), (signal.SIGKILL, 5)):
                os.kill(postmaster.pid, number)
                if not still_there([postmaster], seconds):
                    break
        except (psutil.NoSuchProcess, ProcessLookupError):
            return
        # Children of a postmaster that went down end by themselves; those that do not must not outlive us.
        for process in still_there(everyone, 5):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()


def still_there(processes: Sequence[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Those that still run after up to `seconds`; one that only waits to be reaped has ended."""
    until = time.monotonic() + seconds
    while True:
        running = [process for process in processes if _runs(process)]
        if not running or time.monotonic() > until:
            return running
        time.sleep(0.01)


def _runs(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _last_sentence(output: object) -> str:
    """The last line that says something, as one sentence."""
    lines = [line.strip() for line in str(output).splitlines() if line.strip()]
    line = lines[-1] if lines else "it said nothing"
    line = line.split("FATAL:", 1)[-1].strip()
    return line if line.endswith(".") else line + "."
