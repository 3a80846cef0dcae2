"""Sessions that can be left waiting for a lock while the test goes on."""

from __future__ import annotations

import contextlib
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import psycopg

from tests.support.poll import poll

Rows = list[tuple[Any, ...]]


class Session:
    """A connection with a thread of its own.

    `run` waits for the statement's end, `start` does not. Unless `autocommit`, the first statement opens a
    transaction that lasts until run("COMMIT") or run("ROLLBACK").
    """

    def __init__(self, dsn: str, *, application_name: str = "test", autocommit: bool = False) -> None:
        """Connect to `dsn`."""
        self._dsn = dsn
        self.connection = psycopg.connect(dsn, autocommit=autocommit, application_name=application_name)
        self.pid: int = self.connection.info.backend_pid
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"session-{self.pid}")
        self._running: Future[Rows] | None = None
        self._observer: psycopg.Connection[Any] | None = None

    def _execute(self, statement: str, parameters: Any) -> Rows:
        with self.connection.cursor() as cursor:
            cursor.execute(statement, parameters)
            return cursor.fetchall() if cursor.description else []

    def start(self, statement: str, parameters: Any = None) -> None:
        """Send a statement and return at once; `result` fetches what became of it."""
        assert self._running is None or self._running.done(), f"session {self.pid} is still busy"
        self._running = self._thread.submit(self._execute, statement, parameters)

    def run(self, statement: str, parameters: Any = None, deadline: float = 30) -> Rows:
        """Send a statement and return its rows; PostgreSQL's error is raised."""
        self.start(statement, parameters)
        return self.result(deadline)

    def result(self, deadline: float = 30) -> Rows:
        """The rows of the last statement, waiting up to `deadline` seconds for its end."""
        assert self._running is not None, "nothing was started"
        return self._running.result(deadline)

    @property
    def busy(self) -> bool:
        """Whether the last statement has not ended yet."""
        return self._running is not None and not self._running.done()

    def wait_blocked(self, deadline: float = 10) -> Session:
        """Wait until the session waits for a lock and pg_blocking_pids() names somebody; returns itself."""

        def blocked() -> bool:
            assert self._running is not None, "nothing was started"
            if self._running.done():
                raise AssertionError(
                    f"session {self.pid} did not block: {self._running.exception() or 'it finished'}"
                )
            return bool(self._look("SELECT cardinality(pg_blocking_pids(%s)) > 0", self.pid))

        poll(blocked, deadline, f"session {self.pid} waiting for a lock")
        return self

    def _look(self, question: str, *parameters: Any) -> Any:
        if self._observer is None:
            self._observer = psycopg.connect(self._dsn, autocommit=True, application_name="test-observer")
        row = self._observer.execute(question, parameters).fetchone()
        return row[0] if row else None

    def close(self) -> None:
        """End the session, whatever it is doing, and wait until its process shows no lock any more; safe to
        call twice."""
        if self.connection.closed:
            self.abandon()
            return
        self.abandon()
        with contextlib.suppress(psycopg.OperationalError):  # the server itself is gone, or full
            poll(
                lambda: self._look(
                    "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = %s)", self.pid
                )
            )
        self._forget_observer()

    def abandon(self) -> None:
        """End the session without waiting for its process: for the end of a test; safe to call twice."""
        self._forget_observer()
        if self.busy:
            with contextlib.suppress(psycopg.Error):
                self.connection.cancel_safe(timeout=5)
        self._thread.shutdown(wait=True, cancel_futures=True)
        self.connection.close()

    def _forget_observer(self) -> None:
        if self._observer is not None:
            self._observer.close()
            self._observer = None
