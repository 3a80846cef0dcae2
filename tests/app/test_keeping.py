"""Looks that are kept: what they are, what the bound costs, and what storing them later makes of them."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg import errors

from lockmon.calls import coverage, looks
from lockmon.monitor.connection import LoopConnection, open_connection
from lockmon.monitor.keeping import (
    FAILURES_UNTIL_LOST,
    UNSTORABLE,
    Keeper,
    Progress,
    ends_any_look,
)
from lockmon.monitor.memory import OVERHEAD, Memory
from lockmon.monitor.options import LoopOptions
from tests.conftest import Connect, OpenSession
from tests.support.loops import rows
from tests.support.poll import poll

BEGIN = datetime(2026, 11, 29, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
TEXT = "".join(chr(33 + (number * number * 7) % 90) for number in range(3000))

database = pytest.mark.django_db(transaction=True, databases=["default", "vault"])


def filled(memory: Memory, number: int) -> Memory:
    for second in range(number):
        memory.add(BEGIN + second * SECOND, BEGIN + (second + 1) * SECOND, TEXT, "", "too many")
    return memory


def test_the_oldest_looks_are_dropped_first_by_number_and_by_size() -> None:
    size = len(zlib.compress(TEXT.encode(), 1)) + OVERHEAD
    for memory in (Memory(3, 64), Memory(1000, 3.5 * size / 1_000_000)):
        filled(memory, 5)
        assert (len(memory), memory.dropped, memory.size) == (3, 2, 3 * size)
        first, second, _third = memory.oldest(9)
        assert (first.at, first.since, first.reason) == (BEGIN + 3 * SECOND, None, "too many")
        assert second.since == BEGIN + 3 * SECOND and second.seen == TEXT
        memory.remove_oldest(3)
        assert (len(memory), memory.dropped, memory.size) == (0, 0, 0)


def test_a_look_larger_than_the_bound_is_not_kept() -> None:
    memory = filled(Memory(10, 0.005), 1)
    assert len(memory) == 1
    large = "".join(str(hash((number, TEXT))) for number in range(5000))
    assert not memory.add(BEGIN, BEGIN + 5 * SECOND, large, "", "too many")
    assert (len(memory), memory.dropped) == (1, 1)


def test_looks_that_saw_nothing_new_cost_nothing_and_a_pause_is_no_look() -> None:
    memory = filled(Memory(10, 64), 1)
    size = memory.size
    for second in range(2, 3600):
        assert memory.unchanged(BEGIN + second * SECOND, 1.5 * SECOND)
    assert (len(memory), memory.size) == (1, size)
    assert not memory.unchanged(BEGIN + 3602 * SECOND, 1.5 * SECOND), "nobody knows what was in between"
    assert not memory.unchanged(BEGIN, 1.5 * SECOND), "the clock was set back"
    last = memory.last
    assert last is not None and last.until == BEGIN + 3599 * SECOND


@pytest.fixture
def loop(vault_db: str) -> Iterator[LoopConnection]:
    """A connection as the loop has it, of the one who watches."""
    opened = open_connection("vault", "loop", LoopOptions())
    with opened.connection.cursor() as cursor:
        coverage.begin_watching(cursor)
        cursor.execute("SELECT * FROM lock_monitoring.run_lock_monitoring()")
    yield opened
    opened.connection.close()


def prints(dsn: str) -> set[tuple[Any, ...]]:
    """What the open rows say, but for their times."""
    return {
        tuple(row.values())
        for row in rows(
            dsn,
            "SELECT lock_activity_hk AS hk, fingerprint, lock_granted, lock_pid, blocking_nodes,"
            " soft_blocking_nodes, root_nodes, object_name, relation_name, user_name, query_text"
            " FROM lock_monitoring.lock_activity_s WHERE load_end_date IS NULL"
            " UNION ALL SELECT blocking_session_hk, fingerprint, is_root, session_pid, hard_blockers,"
            " soft_blockers, root_nodes, waits_for, kind, user_name, current_query"
            " FROM lock_monitoring.blocking_session_s WHERE load_end_date IS NULL",
        )
        for row in [{name: tuple(v) if isinstance(v, list) else v for name, v in row.items()}]
    }


@database
def test_a_kept_look_stores_what_a_cycle_stores(
    vault_db: str, loop: LoopConnection, session: OpenSession
) -> None:
    """A queue, a prepared transaction that is waited for, and a lock that nobody wants."""
    session(vault_db, autocommit=True).run("CREATE TABLE public.kept_t (n integer)")
    root, first, second = session(vault_db), session(vault_db), session(vault_db)
    root.run("LOCK TABLE public.kept_t IN SHARE MODE")
    first.start("LOCK TABLE public.kept_t IN ACCESS EXCLUSIVE MODE")
    first.wait_blocked()
    second.start("SELECT 'é' || count(*) FROM public.kept_t")
    second.wait_blocked()
    prepared, behind = session(vault_db), session(vault_db)
    prepared.run("CREATE TABLE public.kept_p (n integer)")
    prepared.run("PREPARE TRANSACTION 'kept'")
    try:
        behind.start("CREATE TABLE public.kept_p (m integer)")
        behind.wait_blocked()
        young = (
            "SELECT 1 FROM pg_stat_activity WHERE xact_start > now() - interval '1.2 s'"
            f" AND pid IN ({root.pid}, {first.pid}, {second.pid}, {behind.pid})"
        )
        poll(lambda: not rows(vault_db, young), 10, "transactions that a cycle stores")
        with loop.connection.cursor() as cursor:
            settings = looks.look_settings(cursor)
            seen = looks.look(cursor, settings)
            assert seen.seen is not None
            again = looks.look(cursor, settings, seen.digest, seen.due)
            stored = looks.store_seen(cursor, seen.seen_at, seen.seen_at, again.seen_at, seen.seen, "")
            assert stored.outcome == "stored"
            kept = prints(vault_db)
            assert len(kept) > 12
            cursor.execute("SELECT * FROM lock_monitoring.run_lock_monitoring()")
        assert kept == prints(vault_db)
        first_dates = rows(
            vault_db,
            "SELECT DISTINCT load_date FROM lock_monitoring.lock_activity_s WHERE lock_pid IN"
            f" ({second.pid}, {behind.pid}) AND NOT lock_granted ORDER BY 1 LIMIT 1",
        )
        assert first_dates[0]["load_date"] == seen.seen_at
    finally:
        behind.close()
        session(vault_db, autocommit=True).run("ROLLBACK PREPARED 'kept'")


@database
def test_what_is_no_look_or_not_from_the_loop_is_refused_in_one_sentence(
    vault_db: str, loop: LoopConnection, connect: Connect
) -> None:
    with loop.connection.cursor() as cursor:
        seen = looks.look(cursor, looks.look_settings(cursor))
        assert seen.seen is not None
        for text in ("{}", "[]", '"x"', "null", json.dumps(json.loads(seen.seen) | {"locks": 1})):
            with pytest.raises(errors.InvalidParameterValue, match=r"This is no look"):
                looks.store_seen(cursor, seen.seen_at, seen.seen_at, seen.seen_at, text, "")
        with pytest.raises(errors.InvalidParameterValue, match=r"times in order"):
            looks.store_seen(cursor, None, seen.seen_at, seen.seen_at - SECOND, seen.seen, "")
        late = looks.store_seen(cursor, None, seen.seen_at - 60 * SECOND, seen.seen_at, seen.seen, "")
        assert late.outcome == "late: a later look is stored already"
        ahead = looks.store_seen(cursor, None, seen.seen_at, seen.seen_at + 60 * SECOND, seen.seen, "")
        assert ahead.outcome == "late: the server's clock was set back"
    with connect(vault_db).cursor() as other, pytest.raises(errors.ObjectNotInPrerequisiteState) as refusal:
        looks.store_seen(other, seen.seen_at, seen.seen_at, seen.seen_at, seen.seen, "")
    assert "Only the loop that watches" in str(refusal.value)
    assert not rows(vault_db, "SELECT 1 FROM lock_engine.coverage_gap")


@database
def test_a_look_reads_no_table_of_the_vault(vault_db: str, loop: LoopConnection, connect: Connect) -> None:
    """Nor may its transaction be one that writes."""
    keeper = Keeper(loop.connection, LoopOptions(lock_timeout_ms=100))
    keeper.read_settings()
    dba = connect(vault_db, autocommit=False)
    for table in dba.execute(
        "SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname IN ('lock_monitoring', 'lock_engine', 'lock_admin', 'lock_log') AND c.relkind = 'r'"
    ).fetchall():
        dba.execute(f"LOCK TABLE {table[0]} IN ACCESS EXCLUSIVE MODE")
    loop.connection.execute("SET default_transaction_read_only = on")
    keeper.look(None, "all is locked")
    assert len(keeper) == 1
    assert keeper.clause.startswith("; 1 look is kept in memory since ")
    dba.rollback()


def two_looks(keeper: Keeper, session: OpenSession, vault_db: str) -> None:
    keeper.look(None, "a test")
    session(vault_db).run("SELECT pg_advisory_xact_lock(94, 1)")

    def more() -> bool:
        keeper.look(None, "a test")
        return len(keeper) > 1

    poll(more, 20, "a second look")


@database
def test_a_look_that_fails_by_itself_is_lost_and_said(
    vault_db: str, loop: LoopConnection, session: OpenSession
) -> None:
    keeper = Keeper(loop.connection, LoopOptions())
    two_looks(keeper, session, vault_db)
    broken, good = keeper._memory.oldest(2)
    broken.packed = zlib.compress(b"{}")
    assert keeper.store(60).progress is Progress.ALL
    gap = rows(vault_db, "SELECT gap_end, reason FROM lock_engine.coverage_gap ORDER BY gap_end DESC LIMIT 1")
    assert gap[0]["gap_end"] == good.at
    assert str(gap[0]["reason"]).startswith(f"{UNSTORABLE}: This is no look")


@database
def test_a_look_that_fails_alone_is_given_up_in_the_end(vault_db: str, loop: LoopConnection) -> None:
    keeper = Keeper(loop.connection, LoopOptions())
    keeper.look(None, "a test")
    keeper._memory.oldest(1)[0].packed = zlib.compress(b"{}")
    for attempt in range(FAILURES_UNTIL_LOST):
        assert len(keeper) == 1, attempt
        result = keeper.store()
        assert result.progress is Progress.FAILED and "This is no look" in result.reason
    assert len(keeper) == 0 and keeper.store().progress is Progress.ALL


@database
def test_durations_reach_their_steps_within_a_look_that_stayed_the_same(
    vault_db: str, loop: LoopConnection, session: OpenSession
) -> None:
    """A lock held through a long quiet time is refreshed as cycles would have refreshed it."""
    holder = session(vault_db)
    holder.run("SELECT pg_advisory_xact_lock(94, 2)")
    old = f"SELECT 1 FROM pg_stat_activity WHERE pid = {holder.pid} AND xact_start < now() - interval '1.2 s'"
    poll(lambda: rows(vault_db, old), 10, "an old transaction")
    with loop.connection.cursor() as cursor:
        seen = looks.look(cursor, looks.look_settings(cursor))
        assert seen.seen is not None
        # as if all this had been three minutes ago
        ago = timedelta(minutes=3)
        loop_state = "UPDATE {} SET {} = {} - interval '4 minutes' RETURNING 1"
        rows(vault_db, loop_state.format("lock_engine.watch_state", "last_look_at", "last_look_at"))
        rows(vault_db, loop_state.format("lock_engine.cycle_state", "stored_at", "stored_at"))
        look = json.loads(seen.seen)
        for one in look["sessions"]:
            if "xact_start" in one:
                one["xact_start"] = (seen.seen_at - 2 * ago).isoformat()
        at, moments = seen.seen_at - ago, []
        since: datetime | None = None
        while True:
            stored = looks.store_seen(cursor, since, at, seen.seen_at, json.dumps(look), "")
            assert stored.outcome == "stored"
            moments.append(at)
            if stored.next_at is None:
                break
            since = at = stored.next_at
    steps = [
        row["lock_duration_seconds"]
        for row in rows(
            vault_db,
            f"SELECT lock_duration_seconds FROM lock_monitoring.lock_activity_s WHERE lock_pid = {holder.pid}"
            " AND lock_type = 'advisory' ORDER BY load_date",
        )
    ]
    assert steps == [0, 60, 120]
    assert len(moments) < 10
    (state,) = rows(vault_db, "SELECT last_look_at FROM lock_engine.watch_state")
    assert state["last_look_at"] == seen.seen_at


def test_a_bound_of_nothing_is_refused() -> None:
    with pytest.raises(Exception, match=r"kept_looks must be greater than 0"):
        LoopOptions(kept_looks=0)


def test_errors_that_would_end_any_cycle_are_not_the_looks_fault(vault_db: str, connect: Connect) -> None:
    """One rule in two languages: of every error that there is, they say the same."""
    states = sorted({str(error.sqlstate) for error in errors._sqlcodes.values()})
    assert len(states) > 200
    found = connect(vault_db).execute(
        "SELECT array_agg(lock_engine.ends_all(x.state, false) ORDER BY x.n)"
        " FROM unnest(%s::text[]) WITH ORDINALITY x (state, n)",
        [states],
    )
    ends = dict(zip(states, (found.fetchone() or ([],))[0], strict=True))
    assert {state: ends_any_look(errors.lookup(state)()) for state in states} == ends
    assert set(ends.values()) == {True, False}
    assert ends_any_look(psycopg.OperationalError("the server closed the connection"))


@database
def test_an_hour_that_was_added_up_before_a_kept_look_came_is_added_up_again(
    vault_db: str, loop: LoopConnection
) -> None:
    with loop.connection.cursor() as cursor:
        seen = looks.look(cursor, looks.look_settings(cursor))
        assert seen.seen is not None
    hour = seen.seen_at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    with psycopg.connect(vault_db, autocommit=True) as dba:
        dba.execute(
            "INSERT INTO lock_engine.wait_rollup_state (rolled_from, rolled_until) VALUES (%s, %s)",
            [hour - timedelta(hours=2), hour + timedelta(hours=1)],
        )
        for back in (0, 1):
            dba.execute(
                "INSERT INTO lock_engine.wait_rollup (hour, dimension, seconds, begun)"
                " VALUES (%s, 'all', 1, 1)",
                [hour - timedelta(hours=back)],
            )
        with loop.connection.cursor() as cursor:
            stored = looks.store_seen(cursor, seen.seen_at, seen.seen_at, seen.seen_at, seen.seen, "")
        assert stored.outcome == "stored"
        assert dba.execute("SELECT hour FROM lock_engine.wait_rollup").fetchall() == [
            (hour - timedelta(hours=1),)
        ]
        until = dba.execute("SELECT rolled_until FROM lock_engine.wait_rollup_state").fetchone()
        assert until == (hour,)
