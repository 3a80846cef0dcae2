"""Running the monitoring loop in tests: as a thread, or as a process that can be killed."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import dict_row

from lockmon.calls import coverage
from lockmon.monitor.loop import MonitorLoop
from lockmon.monitor.options import LoopOptions
from tests.support.poll import poll

ROOT = Path(__file__).resolve().parents[2]


class LoopThread:
    """A MonitorLoop in a thread of this process. ended: what run() returned; error: what it raised."""

    def __init__(self, options: LoopOptions | None = None, in_task: bool = False) -> None:
        self.stop = threading.Event()
        self.loop = MonitorLoop("vault", self.stop, options=options, in_task=in_task, with_helpers=False)
        self.ended: str | None = None
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.ended = self.loop.run()
        except BaseException as error:  # the test looks at it
            self.error = error

    def finish(self, seconds: float = 60) -> str | None:
        """Stop it and wait for its end; returns what run() returned."""
        self.stop.set()
        self._thread.join(seconds)
        assert not self._thread.is_alive(), "the loop did not end"
        return self.ended


@contextlib.contextmanager
def running_loop(options: LoopOptions | None = None, in_task: bool = False) -> Iterator[LoopThread]:
    """A loop that is stopped at the end."""
    loop = LoopThread(options, in_task)
    try:
        yield loop
    finally:
        loop.finish()


def start_process(
    vault_dsn: str, web_dsn: str, *arguments: str, helpers: bool = False
) -> subprocess.Popen[bytes]:
    """Start ``manage.py lockmon_monitor`` over the vault of this DSN; helpers: with alerts and policies."""
    environment = dict(os.environ) | {
        "DJANGO_SETTINGS_MODULE": "onevault.settings",
        "SECRET_KEY": "only-for-tests-" * 4,
        "VAULT_DATABASE_URL": url(vault_dsn),
        "DATABASE_URL": url(web_dsn),
    }
    return subprocess.Popen(
        [sys.executable, "manage.py", "lockmon_monitor", *(() if helpers else ("--no-helpers",)), *arguments],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def url(dsn: str) -> str:
    """A libpq connection string as a postgresql:// URL; the socket's folder goes into the query."""
    parts = conninfo_to_dict(dsn)
    folder = str(parts["host"]).replace("/", "%2F")
    return f"postgresql://{parts['user']}@{folder}:{parts['port']}/{parts['dbname']}"


def status(dsn: str) -> coverage.MonitorStatus:
    """The row of lock_engine.monitor_status."""
    with psycopg.connect(dsn, autocommit=True) as connection, connection.cursor() as cursor:
        return coverage.monitor_status(cursor)


def until_watching(dsn: str, deadline: float = 20) -> coverage.MonitorStatus:
    """Wait until the loop that leads now has stored a look of its own; its status, with all that it says of
    itself."""

    def found() -> coverage.MonitorStatus | None:
        now = status(dsn)
        if now.state != "watching" or now.watching_since is None:
            return None
        (stored,) = rows(dsn, "SELECT looker_pid, last_look_at FROM lock_engine.watch_state")
        last = stored["last_look_at"]
        if stored["looker_pid"] != now.leader_pid or not isinstance(last, datetime):
            return None
        return now if last > now.watching_since else None

    seen = poll(found, deadline, "a watching loop")
    assert seen is not None
    return seen


def another_look(dsn: str) -> None:
    """Return when the loop has looked once more."""
    before = status(dsn).last_look_at
    poll(lambda: status(dsn).last_look_at != before, 10, "another look")


def until_nobody_watches(dsn: str) -> None:
    """Wait until the server has noticed that the loop has gone: its session ends after its client."""
    poll(lambda: status(dsn).state == "not watching", 5, "the end of the loop's session")


def until_skipping(dsn: str, deadline: float = 10) -> coverage.MonitorStatus:
    """Wait until the loop says what keeps it from storing; its status."""

    def found() -> coverage.MonitorStatus | None:
        now = status(dsn)
        return now if now.state == "skipping" and now.skipped_because else None

    seen = poll(found, deadline, "skipping said")
    assert seen is not None
    return seen


def rows(dsn: str, question: str) -> list[dict[str, object]]:
    """The rows of a question, as dictionaries."""
    with (
        psycopg.connect(dsn, autocommit=True) as connection,
        connection.cursor(row_factory=dict_row) as cursor,
    ):
        return cursor.execute(question).fetchall()
