"""The processes that `make run` starts beside PostgreSQL: kept running, ended with all their own."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from onevault.embedded import account as accounts
from onevault.embedded.cluster import still_there

_LONGEST_PAUSE = 30.0


@dataclass
class Child:
    """One command with its log file; started anew, after a growing pause, whenever it ends by itself.

    longest_pause: seconds.
    """

    name: str
    command: Sequence[str]
    log: Path
    environment: dict[str, str]
    folder: Path
    longest_pause: float = _LONGEST_PAUSE
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _started: float = field(default=0, init=False)
    _pause: float = field(default=0.5, init=False)
    _again_at: float = field(default=0, init=False)

    def start(self) -> None:
        """Start the command; its output goes to the log file, that of the start before to one named .old."""
        if self.process is None and self.log.exists():
            self.log.replace(self.log.with_suffix(".log.old"))
        with self.log.open("ab") as output:
            self.process = accounts.start(
                self.command,
                env=self.environment,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self._started = time.monotonic()

    def look(self, say: Callable[[str], None]) -> None:
        """Notice that the command has ended, say so, and start it again when its pause is over."""
        now = time.monotonic()
        if self._again_at:
            if now >= self._again_at:
                self._again_at = 0
                self.start()
            return
        if self.process is None or self.process.poll() is None:
            return
        self._end_group(signal.SIGKILL)
        self._pause = 0.5 if now - self._started > 60 else min(self._pause * 2, self.longest_pause)
        self._again_at = now + self._pause
        say(
            f"{self.name} ended with code {self.process.returncode} and starts again in {self._pause:.0f} s: "
            f"{self.last_words() or 'it said nothing'} (see {self.log})."
        )

    def last_words(self) -> str:
        """The last line of the log."""
        with contextlib.suppress(OSError):
            lines = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            return lines[-1].strip() if lines else ""
        return ""

    def ask_to_end(self) -> None:
        """Send SIGTERM to the command."""
        if self.process is not None and self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.terminate()

    def wait_or_kill(self, until: float) -> None:
        """Wait for the command's end until `until` (monotonic seconds), then end all that it has started."""
        if self.process is None:
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(max(0.0, until - time.monotonic()))
        self._end_group(signal.SIGKILL)
        self.process.wait()

    def _end_group(self, number: int) -> None:
        """Signal everybody in the command's process group, and wait until they are gone."""
        if self.process is None:
            return
        group = self.process.pid
        members = [one for one in psutil.process_iter() if _group(one) == group]
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, number)
        still_there(members, 5)


def _group(process: psutil.Process) -> int | None:
    try:
        return os.getpgid(process.pid)
    except OSError:
        return None


def stop_all(children: Sequence[Child], seconds: float) -> None:
    """End all of them, together; those that need longer than `seconds` are killed with all they started."""
    until = time.monotonic() + seconds
    for child in children:
        child.ask_to_end()
    for child in children:
        child.wait_or_kill(until)
