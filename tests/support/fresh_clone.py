"""From a fresh clone to a monitor in production, as the documents say, in an empty environment.

    python -m tests.support.fresh_clone [--keep]

Clones this repository into a temporary folder, installs the vault with the command of docs/deployment.md,
makes the virtual environment and prepares Django with the lines of docs/production.md, starts what the
systemd units start (gunicorn, two task queues, the loop) while pgbench runs, and ends them as systemd would.
Fails unless lockmon_check ends without a failure. Nothing but PATH and HOME is in the environment besides the
settings of the example file.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
django.setup()

from tests.support.loops import ROOT, status, url  # noqa: E402
from tests.support.poll import poll  # noqa: E402
from tests.support.production import PREFIX, answer, shell_lines, unit  # noqa: E402
from tests.support.servers import Server, free_port, throwaway  # noqa: E402

LOGIN = "onevault_app"
SERVICES = ("web", "cluster", "monitor", "monitor")


def say(text: str) -> None:
    """One line of progress."""
    print(f"[{time.strftime('%H:%M:%S')}] {text}", flush=True)


class Clone:
    """The clone and its environment."""

    def __init__(self, folder: Path, server: Server, vault: str, web: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(folder.parent), "LANG": "C.UTF-8"}
        example = (folder / "deploy" / "lock-monitor.env.example").read_text(encoding="utf-8")
        names = [line.split("=")[0] for line in example.splitlines() if line and not line.startswith("#")]
        values = {
            "VAULT_DATABASE_URL": url(server.dsn(vault, LOGIN)),
            "DATABASE_URL": url(server.dsn(web)),
            "SECRET_KEY": "only-for-this-test-" * 3,
            "ALLOWED_HOSTS": "127.0.0.1",
            "CSRF_TRUSTED_ORIGINS": "https://127.0.0.1",
            "BEHIND_PROXY": "1",
            "TRUSTED_PROXIES": "127.0.0.1",
            "LOG_FORMAT": "json",
            "METRICS_TOKEN": "only-for-this-test",
        }
        assert set(names) == set(values), "the example file names other settings than this script knows"
        self.environment |= values
        self.environment["STATIC_ROOT"] = str(folder.parent / "static")

    def run(self, line: str, **more: str) -> str:
        """Run one documented line; its output. Fails with it where the line fails."""
        done = subprocess.run(
            ["bash", "-c", line],
            cwd=self.folder,
            env=self.environment | more,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise SystemExit(f"{line}\nexit code {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    @contextlib.contextmanager
    def services(self) -> Iterator[None]:
        """What the units start, ended by the signals that they name."""
        started: list[tuple[str, subprocess.Popen[bytes]]] = []
        log = (self.folder.parent / "services.log").open("wb")
        try:
            for name in SERVICES:
                command = unit(self.folder, name)["ExecStart"].replace(PREFIX, f"{self.folder}/")
                words = shlex.split(command.replace("127.0.0.1:8000", f"127.0.0.1:{self.port}"))
                process = subprocess.Popen(
                    words,
                    cwd=self.folder,
                    env=self.environment,
                    start_new_session=True,
                    stdout=log,
                    stderr=log,
                )
                started.append((name, process))
            yield
            for name, process in started:
                process.send_signal(getattr(signal, unit(self.folder, name).get("KillSignal", "SIGTERM")))
            for name, process in started:
                code = process.wait(int(unit(self.folder, name)["TimeoutStopSec"]) + 10)
                assert code in (0, -signal.SIGTERM), f"{name} ended with {code}"
        finally:
            for _, process in started:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            log.close()


def prepare(clone: Clone, server: Server, vault: str) -> None:
    """The lines of the documents up to the start."""
    start = shell_lines(clone.folder / "docs" / "production.md", "Start it")
    for line in start[:2]:
        say(line)
        clone.run(line)
    (deploy,) = [
        line
        for line in shell_lines(clone.folder / "docs" / "deployment.md")
        if "lockmon_deploy" in line and "--login" in line
    ]
    say(deploy)
    words = shlex.split(deploy)
    words[0] = ".venv/bin/python"
    words[words.index("--dsn") + 1] = url(server.dsn(vault))
    said = clone.run(shlex.join(words), LOCKMON_LOGIN_PASSWORD="only-for-this-test")
    assert "ok" in said
    for line in start[2:]:
        say(line)
        if "createsuperuser" in line:
            clone.run(
                f"{line} --noinput --username dba --email dba@example.com",
                DJANGO_SUPERUSER_PASSWORD="only-here",
            )
        else:
            clone.run(line)


def look(clone: Clone, vault_dsn: str) -> None:
    """Everything is up, and the doctor finds no failure."""
    at = f"http://127.0.0.1:{clone.port}"
    poll(lambda: answer(f"{at}/healthz")[0] == 200, 60, "/healthz")
    poll(lambda: status(vault_dsn).state == "watching", 60, "a watching loop")
    poll(lambda: answer(f"{at}/readyz")[0] == 200, 60, "/readyz")
    poll(lambda: status(vault_dsn).standby_pid, 120, "a standby")
    said = ""

    def passes() -> bool:
        nonlocal said
        done = subprocess.run(
            [".venv/bin/python", "manage.py", "lockmon_check"],
            cwd=clone.folder, env=clone.environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        said = done.stdout + done.stderr
        return done.returncode == 0

    try:
        poll(passes, 120, "lockmon_check without a failure", interval=2)
    except AssertionError as error:
        raise SystemExit(f"{error}\n{said}") from error
    say(said.strip().splitlines()[-1])
    for line in shell_lines(clone.folder / "docs" / "production.md", "Look whether all is well"):
        clone.run(line)


def main() -> int:
    """Do it all; 0 if it went well."""
    base = Path(tempfile.mkdtemp(prefix="onevault-clone-"))
    try:
        folder = base / "lock-monitor"
        subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", str(ROOT), str(folder)], check=True)
        with throwaway() as server:
            vault, web = server.create_database(name="one_vault"), server.create_database(name="onevault_web")
            clone = Clone(folder, server, vault, web)
            prepare(clone, server, vault)
            dsn = server.dsn(vault)
            subprocess.run([server.program("pgbench"), "-i", "-q", dsn], check=True, capture_output=True)
            load = [server.program("pgbench"), "-n", "-c", "4", "-R", "100", "-T", "600", dsn]
            say("gunicorn, a task queue, two loops; pgbench beside them")
            with subprocess.Popen(load, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as pgbench:
                try:
                    with clone.services():
                        look(clone, dsn)
                finally:
                    pgbench.terminate()
        say("From a fresh clone to production: done.")
        return 0
    finally:
        if "--keep" not in sys.argv:
            shutil.rmtree(base, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
