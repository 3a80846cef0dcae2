"""A site of release candidate 1 is updated while cron lines run, people read and sessions wait."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest

from lockmon.install import install
from tests.conftest import Connect, OpenSession
from tests.support import sites
from tests.support.poll import poll
from tests.support.servers import Server
from tests.support.stored import OF_THIS_SERVER, Stored

# The lines of the guide's cron, and what people of a site have open: the interface that both releases have.
CRON = "SELECT monitoring_summary FROM lock_monitoring.run_lock_monitoring()"
PIECES = (
    "SELECT * FROM lock_monitoring.capture_lock_activity()",
    "SELECT * FROM lock_monitoring.detect_blocking_sessions()",
    "SELECT * FROM lock_monitoring.detect_deadlocks()",
)
BOARDS = (
    "SELECT count(*) FROM lock_monitoring.lock_activity_dashboard",
    "SELECT count(*) FROM lock_monitoring.blocking_sessions_dashboard",
    "SELECT count(*) FROM lock_monitoring.deadlock_events_dashboard",
    "SELECT lock_pid, lock_mode FROM lock_monitoring.lock_activity_s ORDER BY load_date DESC LIMIT 5",
)


PACE = 0.1
"""Seconds between two statements of a line."""


@dataclass
class Line:
    """What runs again and again: over one connection with prepared statements, or each time a new one."""

    dsn: str
    statements: tuple[str, ...]
    stays: bool
    ended: threading.Event
    outcomes: list[str] = field(default_factory=list)
    errors: list[BaseException] = field(default_factory=list)
    interrupted: int = 0

    def run(self) -> None:
        """Until it is ended, or an error."""
        try:
            while not self.ended.is_set():
                with psycopg.connect(self.dsn, autocommit=True) as connection:
                    connection.prepare_threshold = 0 if self.stays else None
                    # a person's and a job's: none waits for ever
                    connection.execute("SET lock_timeout = '20s'")
                    connection.execute("SET ROLE lock_admin_role")
                    while True:
                        for statement in self.statements:
                            self.outcomes.append(self._ask(connection, statement))
                            self.ended.wait(PACE)
                        if self.ended.is_set() or not self.stays:
                            break
        except BaseException as error:
            self.errors.append(error)

    def _ask(self, connection: psycopg.Connection[Any], statement: str) -> str:
        """What is answered.

        While an update has the tables, a function may give up waiting for one; the one call that was in
        the midst of a function when the update was committed meets others than it was made for.
        """
        try:
            row = connection.execute(statement).fetchone()
        except psycopg.errors.LockNotAvailable:
            return "cannot be read"
        except psycopg.errors.DeadlockDetected:
            return "gave way"
        except (psycopg.ProgrammingError, psycopg.DataError):
            self.interrupted += 1
            if self.interrupted > 1:
                raise
            return "interrupted"
        return str(row and row[0])


@contextmanager
def running(dsn: str) -> Iterator[list[Line]]:
    """Every line at once."""
    ended = threading.Event()
    lines = [
        Line(dsn, statements, stays, ended)
        for statements, stays in (((CRON,), True), ((CRON,), False), (PIECES, False), (BOARDS, True))
    ]
    threads = [threading.Thread(target=line.run) for line in lines]
    for thread in threads:
        thread.start()
    try:
        yield lines
    finally:
        ended.set()
        for thread in threads:
            thread.join(60)


def update_with_psql(server: Server, name: str) -> None:
    """Both steps; again where PostgreSQL took one back for a reader's sake, as docs/deployment.md says."""
    for step in sites.STEPS:
        for _ in range(10):
            done = sites.psql(server, name, "-f", step)
            if "deadlock detected" not in done.stderr:
                break
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("tool", ["python", "psql"])
def test_cron_lines_people_and_waits_live_through_the_update(
    server: Server, site: str, connect: Connect, session: OpenSession, tool: str
) -> None:
    name = str(psycopg.conninfo.conninfo_to_dict(site)["dbname"])
    holder, waiter = session(site), session(site)
    holder.run("UPDATE demo.accounts SET balance = balance WHERE id = 1")
    waiter.start("UPDATE demo.accounts SET balance = balance WHERE id = 1")
    waiter.wait_blocked()
    stored = Stored(connect(site))
    stored.connection.prepare_threshold = None  # a SELECT * whose table gets a column
    with running(psycopg.conninfo.make_conninfo(site, user="shop_dba")) as lines:
        poll(lambda: all(len(line.outcomes) > 3 or line.errors for line in lines), 60, "everything running")
        assert [line.errors for line in lines if line.errors] == []
        assert stored.episodes(holder.pid, OF_THIS_SERVER), "the release before sees them"
        began = stored.value(
            "SELECT min(load_date) FROM lock_monitoring.blocking_session_s WHERE session_pid = %s", holder.pid
        )
        if tool == "python":
            assert install(site).changed
        else:
            update_with_psql(server, name)
        so_far = [len(line.outcomes) for line in lines]
        poll(
            lambda: (
                any(line.errors for line in lines)
                or all(len(line.outcomes) > n + 3 for line, n in zip(lines, so_far, strict=True))
            ),
            60,
            "everything going on",
        )
        other, behind = session(site), session(site)
        other.run("UPDATE demo.accounts SET balance = balance WHERE id = 2")
        behind.start("UPDATE demo.accounts SET balance = balance WHERE id = 2")
        behind.wait_blocked()
        poll(lambda: stored.episodes(other.pid, OF_THIS_SERVER), 30, "a wait that began after it")
    assert [(line.statements[0], line.errors) for line in lines if line.errors] == []

    # one wait, one episode, before and after
    episodes = stored.rows(
        "SELECT DISTINCT blocking_session_hk FROM lock_monitoring.blocking_session_s WHERE session_pid = %s",
        holder.pid,
    )
    assert len(episodes) == 1
    open_rows = "SELECT * FROM lock_monitoring.lock_activity_s"
    open_rows += " WHERE lock_pid = %s AND NOT lock_granted AND load_end_date IS NULL"
    assert len(stored.rows(open_rows, waiter.pid)) == 1
    first = stored.value(
        "SELECT min(load_date) FROM lock_monitoring.blocking_session_s WHERE session_pid = %s", holder.pid
    )
    assert first == began
    holder.close()
    waiter.result()
    waiter.close()
    stored.wait_gone(waiter.pid)
    stored.cycle()
    assert stored.rows(open_rows, waiter.pid) == []
    stored.check_rules()


def test_a_table_that_somebody_keeps_locked_stops_the_update_in_one_sentence_and_nothing_else(
    server: Server, site: str, connect: Connect
) -> None:
    """An open transaction over a table that gets columns: nothing is changed, and what runs goes on."""
    from lockmon.install import InstallError

    reader = connect(site, autocommit=False)
    reader.execute("SELECT count(*) FROM lock_monitoring.lock_activity_s")
    stored = Stored(connect(site))
    with running(psycopg.conninfo.make_conninfo(site, user="shop_dba")) as lines:
        poll(lambda: all(line.outcomes or line.errors for line in lines), 60, "everything running")
        with pytest.raises(InstallError, match=r"Another session holds a lock.*Nothing was changed\."):
            install(site)
        so_far = [len(line.outcomes) for line in lines]
        poll(
            lambda: all(len(line.outcomes) > n for line, n in zip(lines, so_far, strict=True)),
            60,
            "everything going on",
        )
    assert [line.errors for line in lines if line.errors] == []
    reader.rollback()
    assert install(site).changed
    assert not stored.cycle()["monitoring_summary"].startswith("skipped")
