"""A site that has partitioned its satellites and forgot a day: that is said, and the rest goes on."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from lockmon.calls import coverage
from lockmon.install import install
from lockmon.monitor import parts
from tests.conftest import Connect, OpenSession
from tests.sql.test_partitioned_site import partitioned
from tests.support.poll import poll
from tests.support.servers import Server
from tests.support.stored import Stored


def forget_today(stored: Stored, table: str) -> None:
    """Take away the partition that holds the present."""
    stored.connection.execute(f"DROP TABLE lock_monitoring.{table}_2")


def remember(stored: Stored, table: str) -> None:
    """Make it again."""
    stored.connection.execute(
        f"CREATE TABLE lock_monitoring.{table}_2 PARTITION OF lock_monitoring.{table}"
        " FOR VALUES FROM ('2026-01-01') TO ('infinity')"
    )


def site(server: Server, connect: Connect, table: str) -> Stored:
    """A site with this table partitioned and a table to quarrel about, watched until now."""
    dsn = partitioned(server, table)
    install(dsn)
    stored = Stored(connect(dsn))
    stored.connection.execute("CREATE TABLE t (n int)")
    stored.capture()
    forget_today(stored, table)
    return stored


def block(stored: Stored, session: OpenSession) -> tuple[int, int]:
    """One session that waits for another; their pids."""
    dsn = stored.connection.info.dsn
    holder, waiter = session(dsn), session(dsn)
    holder.run("LOCK TABLE t IN EXCLUSIVE MODE")
    waiter.start("LOCK TABLE t IN SHARE MODE")
    waiter.wait_blocked()
    return holder.pid, waiter.pid


def part(stored: Stored) -> dict[str, Any]:
    """The one part that fails."""
    return stored.one("SELECT * FROM lock_engine.part_state WHERE failures_in_a_row > 0")


def says(row: dict[str, Any], table: str, stored: Stored) -> None:
    """The sentence names table and day and what to do, and PostgreSQL's words are kept."""
    error, day = row["last_error"], stored.value("SELECT (now() AT TIME ZONE 'UTC')::date::text")
    assert error.startswith(
        f"lock_monitoring.{table} has no partition for {day} (load_date): create one for that day,"
        " or a DEFAULT partition. PostgreSQL: "
    )
    assert f'no partition of relation "{table}" found for row (Partition key of the failing row' in error
    assert row["last_sqlstate"] == "23514"
    with stored.connection.cursor() as cursor:
        shown = parts.without(coverage.failing_parts(cursor))
    assert f"{table} has no partition for {day}" in shown and "found for row" in shown


def test_locks_without_a_partition_are_no_look_and_episodes_go_on(
    server: Server, connect: Connect, session: OpenSession
) -> None:
    stored = site(server, connect, "lock_activity_s")
    last_look = "SELECT last_look_at FROM lock_engine.watch_state"
    before = stored.value(last_look)
    holder, waiter = block(stored, session)
    for _again in range(2):
        summary = stored.one("SELECT * FROM lock_monitoring.run_lock_monitoring()")
    assert summary["locks_captured"] is None, "not 0: nobody knows"
    assert stored.value(last_look) == before, "so that a gap begins there"
    row = part(stored)
    assert row["part"] == "locks"
    says(row, "lock_activity_s", stored)
    assert stored.rows(
        "SELECT FROM lock_monitoring.blocking_session_s WHERE session_pid = %s AND load_end_date IS NULL",
        holder,
    )
    remember(stored, "lock_activity_s")
    stored.capture()
    assert stored.locks(waiter)
    assert not stored.rows("SELECT FROM lock_engine.part_state WHERE failures_in_a_row > 0")
    assert stored.value(last_look) > before
    stored.check_rules()


def test_episodes_without_a_partition_leave_the_locks_alone(
    server: Server, connect: Connect, session: OpenSession
) -> None:
    table = "blocking_session_s"
    stored = site(server, connect, table)
    holder, waiter = block(stored, session)
    for _again in range(2):
        stored.rows("SELECT * FROM lock_monitoring.run_lock_monitoring()")
    row = part(stored)
    assert row["part"] == "episodes"
    says(row, table, stored)
    assert stored.locks(waiter) and not stored.rows(f"SELECT FROM lock_monitoring.{table}")
    remember(stored, table)
    stored.capture()
    assert stored.rows(f"SELECT FROM lock_monitoring.{table} WHERE session_pid = %s", holder)
    assert not stored.rows("SELECT FROM lock_engine.part_state WHERE failures_in_a_row > 0")
    stored.check_rules()


def test_a_deadlock_without_a_partition_is_set_aside_until_there_is_one(
    server: Server, connect: Connect, session: OpenSession
) -> None:
    stored = site(server, connect, "deadlock_event_s")
    dsn = stored.connection.info.dsn
    pair = session(dsn), session(dsn)
    for number, one in enumerate(pair):
        one.run(f"SELECT pg_advisory_xact_lock({number})")
    pair[0].start("SELECT pg_advisory_xact_lock(1)")
    pair[0].wait_blocked()
    pair[1].start("SELECT pg_advisory_xact_lock(0)")

    def failed() -> bool:
        stored.rows("SELECT * FROM lock_monitoring.run_lock_monitoring()")
        return bool(stored.rows("SELECT FROM lock_engine.part_state WHERE failures_in_a_row > 1"))

    poll(failed, 20, "a deadlock that cannot be stored")
    row = part(stored)
    assert row["part"].endswith("deadlocks") and row["set_aside"] == 1
    says(row, "deadlock_event_s", stored)
    remember(stored, "deadlock_event_s")
    stored.rows("SELECT * FROM lock_monitoring.run_lock_monitoring()")
    assert stored.rows("SELECT FROM lock_monitoring.deadlock_event_s WHERE deadlock_victim_pid IS NOT NULL")
    assert not stored.rows("SELECT FROM lock_engine.part_state WHERE failures_in_a_row > 0")


def test_an_analysis_without_a_partition_says_so(server: Server, connect: Connect) -> None:
    stored = site(server, connect, "lock_wait_analysis_s")
    day = stored.value("SELECT (now() AT TIME ZONE 'UTC')::date::text")
    with pytest.raises(
        psycopg.errors.CheckViolation, match=f"has no partition for {day}.*PostgreSQL: no part"
    ):
        stored.rows("SELECT * FROM lock_monitoring.analyze_lock_waits(NULL, 1)")
