"""What ended while nobody looked: between the last sight and the first look afterwards, nobody knows how."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest

from tests.conftest import Connect, OpenSession
from tests.support.poll import poll
from tests.support.sessions import Session

CYCLE = "SELECT * FROM lock_monitoring.capture_lock_activity()"
LOCKS = (
    "SELECT load_date, load_end_date, resolution_action, resolution_timestamp, ended_by, wait_start,"
    " lock_granted FROM lock_monitoring.lock_activity_s WHERE lock_pid = %s"
    " AND lock_type = 'advisory' ORDER BY load_date"
)
EPISODES = (
    "SELECT load_date, load_end_date, ended_how, ended_at, ended_by, blocking_since"
    " FROM lock_monitoring.blocking_session_s WHERE session_pid = %s ORDER BY load_date"
)


@pytest.fixture
def vault(vault_db: str, connect: Connect) -> psycopg.Connection[Any]:
    return connect(vault_db)


def cycle(vault: psycopg.Connection[Any]) -> datetime:
    """Run a cycle; returns a moment just before it."""
    moment = now(vault)
    vault.execute(CYCLE)
    return moment


def now(vault: psycopg.Connection[Any]) -> datetime:
    row = vault.execute("SELECT clock_timestamp()").fetchone()
    assert row is not None
    moment: datetime = row[0]
    return moment


def unwatched(vault: psycopg.Connection[Any]) -> datetime:
    """Let the next cycle come after a gap. Returns when the gap began: with the cycle before, a moment
    later."""
    vault.execute(
        "UPDATE lock_admin.setting SET value = '0.001' WHERE name = 'watch.max_look_spacing_seconds'"
    )
    row = vault.execute("SELECT last_look_at FROM lock_engine.watch_state").fetchone()
    assert row is not None
    last: datetime = row[0]
    poll(lambda: now(vault) > last + timedelta(milliseconds=100), what="a pause")
    return last + timedelta(microseconds=1)


def block(holder: Session, waiter: Session) -> None:
    holder.run("SELECT pg_advisory_xact_lock(7, 7)")
    waiter.start("SELECT pg_advisory_xact_lock(7, 7)")
    waiter.wait_blocked()


def release(holder: Session, waiter: Session) -> None:
    holder.run("ROLLBACK")
    waiter.result()
    waiter.run("ROLLBACK")


def test_what_ended_in_a_gap_ended_between_last_sight_and_first_look(
    vault: psycopg.Connection[Any], vault_db: str, session: OpenSession
) -> None:
    holder, waiter = session(vault_db), session(vault_db)
    block(holder, waiter)
    cycle(vault)
    gap_start = unwatched(vault)
    release(holder, waiter)
    first_look = cycle(vault)
    for question, pid in ((LOCKS, waiter.pid), (LOCKS, holder.pid), (EPISODES, holder.pid)):
        (row,) = vault.execute(question, [pid]).fetchall()
        _, end, how, at, by, *_ = row
        assert (end, how, at) == (gap_start, "unknown", gap_start), question
        assert first_look <= by <= now(vault)


def test_what_lasted_through_a_gap_stays_open(
    vault: psycopg.Connection[Any], vault_db: str, session: OpenSession
) -> None:
    holder, waiter, another = session(vault_db), session(vault_db), session(vault_db)
    block(holder, waiter)
    cycle(vault)
    unwatched(vault)
    # one more behind it, so that the rows change
    another.start("SELECT pg_advisory_xact_lock(7, 7)")
    another.wait_blocked()
    cycle(vault)
    for question, pid in ((LOCKS, waiter.pid), (LOCKS, holder.pid), (EPISODES, holder.pid)):
        found = vault.execute(question, [pid]).fetchall()
        assert found[-1][1] is None, "open"
        assert all(row[2] is None and row[4] is None for row in found), "no end is claimed"
        for before, after in itertools.pairwise(found):
            assert before[1] == after[0], "no hole in what PostgreSQL proves"
    for row in vault.execute(LOCKS, [holder.pid]).fetchall():
        assert row[-1] is True


def test_another_wait_for_the_same_lock_after_a_gap_is_another_wait(
    vault: psycopg.Connection[Any], vault_db: str, session: OpenSession
) -> None:
    holder, waiter = session(vault_db), session(vault_db)
    block(holder, waiter)
    cycle(vault)
    gap_start = unwatched(vault)
    release(holder, waiter)
    block(holder, waiter)
    cycle(vault)
    first, second = vault.execute(LOCKS, [waiter.pid]).fetchall()
    assert (first[1], first[2]) == (gap_start, "unknown")
    assert second[1] is None
    if vault.info.server_version >= 140000:
        assert second[5] > gap_start, "its own beginning"
    old, new = vault.execute(EPISODES, [holder.pid]).fetchall()
    assert (old[1], old[2]) == (gap_start, "unknown")
    assert new[1] is None
    hubs = vault.execute("SELECT count(DISTINCT blocking_session_hk) FROM lock_monitoring.blocking_session_s")
    assert hubs.fetchone() == (2,)


def test_a_wait_that_was_granted_in_a_gap_was_granted_nobody_knows_when(
    vault: psycopg.Connection[Any], vault_db: str, session: OpenSession
) -> None:
    holder, waiter = session(vault_db), session(vault_db)
    block(holder, waiter)
    cycle(vault)
    gap_start = unwatched(vault)
    holder.run("ROLLBACK")
    waiter.result()
    first_look = cycle(vault)
    waited, held = vault.execute(LOCKS, [waiter.pid]).fetchall()
    assert (waited[1], waited[2]) == (gap_start, "granted")
    assert waited[4] >= first_look
    assert held[0] >= first_look
    assert held[6] is True


def test_without_a_gap_an_end_is_when_it_was_seen(
    vault: psycopg.Connection[Any], vault_db: str, session: OpenSession
) -> None:
    holder, waiter = session(vault_db), session(vault_db)
    block(holder, waiter)
    cycle(vault)
    holder.run("ROLLBACK")
    waiter.result()
    seen = cycle(vault)
    waited, _ = vault.execute(LOCKS, [waiter.pid]).fetchall()
    assert waited[2] == "granted"
    assert waited[1] >= seen
    assert waited[4] is None


def test_after_a_gap_each_row_is_compared_though_all_looks_the_same(
    vault: psycopg.Connection[Any], vault_db: str, session: OpenSession
) -> None:
    holder = session(vault_db)
    holder.run("SELECT pg_advisory_xact_lock(8, 8)")
    cycle(vault)
    unwatched(vault)
    cycle(vault)
    assert vault.execute("SELECT unseen_since FROM lock_engine.watch_state").fetchone() == (None,)
    (row,) = vault.execute(LOCKS, [holder.pid]).fetchall()
    assert row[1] is None


def test_a_clock_that_was_set_back_makes_no_row_that_ends_before_it_begins(
    vault: psycopg.Connection[Any], vault_db: str, session: OpenSession
) -> None:
    """What a clock an hour ahead leaves: rows and looks of the time to come."""
    holder, waiter, keeper = session(vault_db), session(vault_db), session(vault_db)
    block(holder, waiter)
    keeper.run("SELECT pg_advisory_xact_lock(9, 9)")
    cycle(vault)
    hour = "interval '1 hour'"
    vault.execute("SET session_replication_role = replica")
    for table in ("lock_activity_s", "blocking_session_s"):
        vault.execute(f"UPDATE lock_monitoring.{table} SET load_date = load_date + {hour}")
    vault.execute(f"UPDATE lock_engine.watch_state SET last_look_at = last_look_at + {hour}")
    vault.execute(f"UPDATE lock_engine.cycle_state SET checked_at = checked_at + {hour}")
    another = session(vault_db)
    another.start("SELECT pg_advisory_xact_lock(7, 7)")
    another.wait_blocked()
    cycle(vault)
    release(holder, waiter)
    cycle(vault)
    cycle(vault)
    for table, key in (
        ("lock_activity_s", "lock_activity_hk"),
        ("blocking_session_s", "blocking_session_hk"),
    ):
        wrong = vault.execute(
            f"SELECT * FROM lock_monitoring.{table} WHERE load_end_date < load_date"
        ).fetchall()
        assert wrong == []
        overlaps = vault.execute(
            f"SELECT 1 FROM lock_monitoring.{table} a JOIN lock_monitoring.{table} b"
            f" ON a.{key} = b.{key} AND a.load_date < b.load_date"
            " AND coalesce(a.load_end_date, 'infinity') > b.load_date"
        ).fetchall()
        assert overlaps == []
    (reason,) = vault.execute("SELECT reason FROM lock_engine.coverage_gap").fetchone() or ("",)
    assert "set back by" in reason
