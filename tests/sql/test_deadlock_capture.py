"""A real deadlock becomes one complete event, by the log, by looking, by both; the ledger balances."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from lockmon.monitor.deadlocks import DeadlockWatch
from tests.conftest import Connect
from tests.support.poll import poll
from tests.support.rings import Arena, Ring

BLIND = (
    "INSERT INTO lock_log.state (state_id, state, readable, since, retry_at)"
    " VALUES (1, 'log not readable: for the test', false, now(), 'infinity')"
    " ON CONFLICT (state_id) DO UPDATE SET state = EXCLUDED.state, readable = false, retry_at = 'infinity'"
)


@pytest.fixture
def arena(vault_db: str) -> Iterator[Arena]:
    """Sessions of our own."""
    made = Arena(vault_db, 1, 3)
    yield made
    made.close()


@pytest.fixture
def monitor(vault_db: str, connect: Connect) -> psycopg.Connection[Any]:
    """A connection that has taken its first count."""
    connection = connect(vault_db)
    connection.execute("SELECT lock_engine.collect_deadlocks()")
    return connection


def make(arena: Arena, monitor: psycopg.Connection[Any], looking: bool, kind: str = "row") -> Ring:
    """One deadlock, with or without somebody looking meanwhile."""
    made: list[Ring] = []
    chance = random.Random(7)
    thread = threading.Thread(target=lambda: made.append(arena.deadlock(2, kind, 0.3, chance)))
    thread.start()
    watch = DeadlockWatch(monitor.cursor)
    while thread.is_alive():
        if looking:
            watch.look()
        thread.join(0.03)
    if looking:
        watch.look()
    assert made[0].victim is not None
    return made[0]


def collected(monitor: psycopg.Connection[Any], ring: Ring, source: str | None = None) -> dict[str, Any]:
    """The one event of a ring, once it is stored (and known by a source)."""

    def find() -> dict[str, Any] | None:
        monitor.execute("SELECT set_config('one_vault.counter_looked', '', false)")
        monitor.execute("SELECT lock_engine.collect_deadlocks()")
        with monitor.cursor(row_factory=dict_row) as cursor:
            rows = cursor.execute(
                "SELECT * FROM lock_monitoring.deadlock_history WHERE involved_pids @> %s::int[]"
                " AND involved_pids <@ %s::int[]",
                [list(ring.pids)] * 2,
            ).fetchall()
        assert len(rows) <= 1
        return rows[0] if rows and (source is None or source in rows[0]["sources"]) else None

    return poll(find, 20, "the deadlock's event")


def ledger(monitor: psycopg.Connection[Any]) -> tuple[int, ...]:
    """counted, captured, by sampling, by log, missed of this database."""
    row = monitor.execute(
        "SELECT counted, captured, by_sampling, by_log, missed FROM lock_engine.deadlock_ledger_summary()"
        " WHERE database_name = current_database()"
    ).fetchone()
    return tuple(row) if row else (0, 0, 0, 0, 0)


def test_from_the_log_alone(monitor: psycopg.Connection[Any], arena: Arena) -> None:
    ring = make(arena, monitor, looking=False)
    event = collected(monitor, ring)
    assert event["sources"] == ["log"]
    assert event["deadlock_victim_pid"] == ring.victim
    assert event["deadlock_victim_query"].startswith("UPDATE ring_1_")
    assert all(query.startswith("UPDATE ring_1_") for query in event["involved_queries"])
    assert "ERROR: deadlock detected" in event["log_excerpt"]
    assert event["participants"][0]["user"] == "postgres"
    assert {edge["to"] for edge in event["deadlock_graph"]["edges"]} == set(ring.pids)
    links = monitor.execute(
        "SELECT h.record_source, h.lock_activity_bk LIKE 'deadlock %%'"
        ""
        " FROM lock_monitoring.deadlock_involvement_l l"
        " JOIN lock_monitoring.lock_activity_h h USING (lock_activity_hk)"
        " WHERE l.deadlock_event_hk = %s",
        [event["deadlock_event_hk"]],
    ).fetchall()
    assert links == [("deadlock: log", True)] * 2
    poll(lambda: (collected(monitor, ring), ledger(monitor))[1] == (1, 1, 0, 1, 0), 20, "a balanced ledger")


@pytest.mark.parametrize("kind", ["row", "table", "advisory"])
def test_by_looking_alone_the_counter_confirms(
    monitor: psycopg.Connection[Any], arena: Arena, kind: str
) -> None:
    monitor.execute(BLIND)
    ring = make(arena, monitor, looking=True, kind=kind)
    event = collected(monitor, ring)
    assert event["sources"] == ["sampling"]
    assert event["deadlock_victim_pid"] == ring.victim
    assert event["involved_users"] == ["postgres", "postgres"]
    assert all(member["blocker_holds"] for member in event["participants"])
    if kind == "row":
        assert all("tuple" in member for member in event["participants"])
        assert set(event["affected_tables"]) == {"public.ring_1_0", "public.ring_1_1"}
    poll(lambda: (collected(monitor, ring), ledger(monitor))[1] == (1, 1, 1, 0, 0), 20, "a balanced ledger")


@pytest.mark.parametrize(
    "call", ["run_lock_monitoring()", "capture_lock_activity()", "detect_blocking_sessions(NULL, 0)"]
)
def test_a_ring_that_only_a_cycle_saw_is_remembered(
    monitor: psycopg.Connection[Any], arena: Arena, call: str
) -> None:
    """As with psql and cron alone, without a log: the next calls find it gone, and the counter moved."""
    monitor.execute(BLIND)
    made: list[Ring] = []
    thread = threading.Thread(target=lambda: made.append(arena.deadlock(2, "row", 3, random.Random(7))))
    thread.start()
    seen = "SELECT EXISTS (SELECT FROM lock_catalog.waits_for() WHERE in_deadlock)"
    poll(lambda: (monitor.execute(seen).fetchone() or [False])[0], 20, "a living ring")
    monitor.execute(f"SELECT * FROM lock_monitoring.{call}")
    kept = monitor.execute("SELECT count(*) FROM lock_engine.deadlock_observation").fetchone()
    assert kept == (1,)
    thread.join()
    event = collected(monitor, made[0])
    assert event["sources"] == ["sampling"]
    assert event["deadlock_victim_pid"] == made[0].victim


def test_a_look_for_rings_that_fails_shows(monitor: psycopg.Connection[Any], arena: Arena) -> None:
    """The call that collects afterwards does not take that failure back; a cycle without a ring does."""
    monitor.execute(BLIND)
    thread = threading.Thread(target=lambda: arena.deadlock(2, "row", 3, random.Random(7)))
    thread.start()
    seen = "SELECT EXISTS (SELECT FROM lock_catalog.waits_for() WHERE in_deadlock)"
    poll(lambda: (monitor.execute(seen).fetchone() or [False])[0], 20, "a living ring")
    monitor.execute("ALTER TABLE lock_engine.deadlock_observation ADD CHECK (looks > 5)")
    monitor.execute("SELECT * FROM lock_monitoring.capture_lock_activity()")
    state = (
        "SELECT failures_in_a_row > 0, last_error FROM lock_engine.part_state"
        " WHERE part = 'looks for deadlocks'"
    )
    found = monitor.execute(state).fetchone()
    thread.join()
    assert found is not None and found[0] and "deadlock_observation" in found[1]
    monitor.execute("SELECT * FROM lock_monitoring.capture_lock_activity()")
    assert (monitor.execute(state).fetchone() or [True])[0] is False


def test_what_ended_in_a_gap_is_not_settled(monitor: psycopg.Connection[Any], arena: Arena) -> None:
    """The counter has risen, but nobody watched between the last sight of the ring and the next look."""
    monitor.execute(BLIND)
    monitor.execute("SELECT * FROM lock_monitoring.run_lock_monitoring()")
    make(arena, monitor, looking=True)
    monitor.execute(
        "INSERT INTO lock_engine.coverage_gap (gap_start, gap_end, reason)"
        " SELECT o.last_seen, o.gone_at, 'held up' FROM lock_engine.deadlock_observation o"
    )

    def outcome() -> str | None:
        monitor.execute("SELECT set_config('one_vault.counter_looked', '', false)")
        monitor.execute("SELECT lock_engine.collect_deadlocks()")
        row = monitor.execute("SELECT outcome FROM lock_engine.deadlock_observation").fetchone()
        assert row is not None
        return None if row[0] is None else str(row[0])

    assert poll(outcome, 20, "an outcome") == "end not seen"
    poll(lambda: (outcome(), ledger(monitor))[1][:2] == (1, 0), 20, "counted, not captured")
    assert monitor.execute("SELECT count(*) FROM lock_monitoring.deadlock_event_s").fetchone() == (0,)


def test_both_are_one_event_and_late_detail_a_version(monitor: psycopg.Connection[Any], arena: Arena) -> None:
    monitor.execute(BLIND)
    ring = make(arena, monitor, looking=True)
    first = collected(monitor, ring)
    monitor.execute("DELETE FROM lock_log.state")
    second = collected(monitor, ring, "log")
    assert second["sources"] == ["log", "sampling"]
    assert second["deadlock_id"] == first["deadlock_id"]
    assert second["pattern_hash"] == first["pattern_hash"]
    assert all(member["blocker_holds"] for member in second["participants"])
    versions = monitor.execute(
        "SELECT record_source, load_end_date IS NULL FROM lock_monitoring.deadlock_event_s"
        " WHERE deadlock_event_hk = %s ORDER BY load_date",
        [second["deadlock_event_hk"]],
    ).fetchall()
    assert versions == [("sampling", False), ("log, sampling", True)]


def test_a_ring_ended_by_lock_timeout_is_no_deadlock(monitor: psycopg.Connection[Any], arena: Arena) -> None:
    monitor.execute(BLIND)
    thread = threading.Thread(target=arena.resolved_otherwise, args=(0.4,))
    thread.start()
    watch = DeadlockWatch(monitor.cursor)
    seen = 0
    while thread.is_alive():
        seen += watch.look().cycles
        thread.join(0.03)
    assert watch.look().pending == 1
    assert seen > 0
    monitor.execute("UPDATE lock_engine.deadlock_observation SET gone_at = gone_at - interval '1 minute'")
    monitor.execute("SELECT lock_engine.collect_deadlocks()")
    outcome = monitor.execute("SELECT outcome FROM lock_engine.deadlock_observation").fetchone()
    assert outcome == ("resolved otherwise",)
    assert monitor.execute("SELECT count(*) FROM lock_monitoring.deadlock_history").fetchone() == (0,)


def test_nobody_looking_and_no_log_is_booked_as_missed(
    monitor: psycopg.Connection[Any], arena: Arena
) -> None:
    monitor.execute(BLIND)
    ring = make(arena, monitor, looking=False)

    def booked() -> bool:
        monitor.execute("SELECT set_config('one_vault.counter_looked', '', false)")
        monitor.execute("SELECT lock_engine.collect_deadlocks()")
        return ledger(monitor)[0] == 1

    poll(booked, 20, "the count")
    monitor.execute("UPDATE lock_engine.deadlock_ledger SET window_end = window_end - interval '20 seconds'")
    monitor.execute("SELECT lock_engine.settle_ledger()")
    assert ledger(monitor) == (1, 0, 0, 0, 1)
    # the log turns up after all
    monitor.execute("UPDATE lock_engine.deadlock_ledger SET window_end = window_end + interval '20 seconds'")
    monitor.execute("DELETE FROM lock_log.state")
    collected(monitor, ring)
    assert ledger(monitor) == (1, 1, 0, 1, 0)


def test_a_counter_that_falls_is_counted_from_nought(monitor: psycopg.Connection[Any], arena: Arena) -> None:
    monitor.execute(
        "UPDATE lock_engine.deadlock_counter SET counter = 50 WHERE database_name = current_database()"
    )
    ring = make(arena, monitor, looking=False)
    collected(monitor, ring)
    poll(
        lambda: (collected(monitor, ring), ledger(monitor))[1][:2] == (1, 1),
        20,
        "one counted, never minus 49",
    )


def test_detect_deadlocks_tells_live_recent_and_none(monitor: psycopg.Connection[Any], arena: Arena) -> None:
    detect = "SELECT * FROM lock_monitoring.detect_deadlocks()"
    assert (monitor.execute(detect).fetchone() or ())[:3] == (False, [], "NONE")
    made: list[Ring] = []
    chance = random.Random(3)
    thread = threading.Thread(target=lambda: made.append(arena.deadlock(2, "row", 0.1, chance)))
    thread.start()
    found = poll(lambda: (row := monitor.execute(detect).fetchone()) and row[0] and row, 10, "the ring")
    live: Any = found
    thread.join()
    assert live[2] == "CRITICAL"
    assert set(live[1]) == set(made[0].pids)
    event = collected(monitor, made[0])
    recent = monitor.execute(detect).fetchone()
    assert recent is not None
    assert recent[0] is True
    assert recent[2] == "MEDIUM"
    assert event["prevention_suggestion"] in recent[3]


def test_the_same_deadlock_again_is_one_pattern(monitor: psycopg.Connection[Any], arena: Arena) -> None:
    first = collected(monitor, make(arena, monitor, looking=False))
    again = make(arena, monitor, looking=False)

    def count() -> bool:
        monitor.execute("SELECT lock_engine.collect_deadlocks()")
        return monitor.execute(
            "SELECT deadlocks, last_24_hours, trend FROM lock_monitoring.deadlock_patterns"
            " WHERE pattern_hash = %s",
            [first["pattern_hash"]],
        ).fetchone() == (2, 2, "not compared")

    assert set(again.pids) == set(first["involved_pids"])
    poll(count, 10, "the pattern")


def test_nothing_new_writes_nothing(monitor: psycopg.Connection[Any]) -> None:
    monitor.execute("SELECT lock_engine.collect_deadlocks()")
    row = monitor.execute(
        "SELECT pg_current_xact_id_if_assigned() FROM lock_engine.collect_deadlocks()"
    ).fetchone()
    assert row == (None,)


def test_an_upgrade_ends_at_once_and_the_log_has_it(monitor: psycopg.Connection[Any], arena: Arena) -> None:
    """PostgreSQL finds this ring without waiting, so that no look can; the advice names the upgrade."""
    a, b = arena.connections[:2]
    for one in (a, b):
        one.execute("BEGIN")
        one.execute("LOCK TABLE ring_1_0 IN SHARE MODE")
    thread = threading.Thread(target=a.execute, args=("LOCK TABLE ring_1_0 IN EXCLUSIVE MODE",))
    thread.start()
    blocked = "SELECT cardinality(pg_blocking_pids(%s)) > 0"
    poll(lambda: (monitor.execute(blocked, [a.info.backend_pid]).fetchone() or (0,))[0], 10, "the wait")
    with pytest.raises(psycopg.errors.DeadlockDetected):
        b.execute("LOCK TABLE ring_1_0 IN EXCLUSIVE MODE")
    b.execute("ROLLBACK")
    thread.join()
    a.execute("ROLLBACK")
    pids = (a.info.backend_pid, b.info.backend_pid)
    event = collected(monitor, Ring(pids, "table", 0))
    assert "an upgrade that two cannot do at once" in event["prevention_suggestion"]
    assert event["affected_tables"] == ["public.ring_1_0"]


def test_a_pattern_ignores_pids_literals_and_where_the_ring_begins(vault_db: str) -> None:
    def member(pid: int, to: int, query: str) -> dict[str, Any]:
        return {
            "pid": pid,
            "blocked_by": to,
            "query": query,
            "wanted_mode": "ShareLock",
            "lock_type": "transactionid",
        }

    first = [member(1, 2, "UPDATE a SET n = 1 WHERE id = 7"), member(2, 1, "UPDATE b SET n = 'x'")]
    second = [member(9, 8, "UPDATE b SET n = 'it''s'"), member(8, 9, "update a set n = 22  WHERE id = 8")]
    other = [member(9, 8, "UPDATE c SET n = 3"), member(8, 9, "UPDATE a SET n = 22 WHERE id = 8")]
    with psycopg.connect(vault_db) as connection:
        hashes = [
            connection.execute("SELECT lock_engine.deadlock_pattern(%s)", [json.dumps(ring)]).fetchone()
            for ring in (first, second, other)
        ]
    assert hashes[0] == hashes[1] != hashes[2]


def test_cleanup_forgets_records_and_ledger_lines(monitor: psycopg.Connection[Any], arena: Arena) -> None:
    ring = make(arena, monitor, looking=True)
    poll(lambda: (collected(monitor, ring), ledger(monitor))[1][:2] == (1, 1), 20, "a balanced ledger")
    monitor.execute("SELECT * FROM lock_monitoring.cleanup_old_data(1)")
    assert ledger(monitor)[0] == 1
    monitor.execute("SELECT * FROM lock_monitoring.cleanup_old_data(0)")
    for table in ("lock_log.event", "lock_engine.deadlock_ledger", "lock_engine.deadlock_observation"):
        assert monitor.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)


def test_a_client_that_leaves_at_once_is_still_the_victim(
    monitor: psycopg.Connection[Any], vault_db: str
) -> None:
    monitor.execute(BLIND)
    arena = Arena(vault_db, 2, 2)
    made: list[Ring] = []
    chance = random.Random(5)
    thread = threading.Thread(target=lambda: made.append(arena.deadlock(2, "advisory", 0.3, chance)))
    thread.start()
    watch = DeadlockWatch(monitor.cursor)
    poll(lambda: watch.look().cycles, 10, "the ring")
    thread.join()
    arena.close()
    gone = "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = ANY (%s)"
    poll(lambda: monitor.execute(gone, [list(made[0].pids)]).fetchone() == (True,), 10, "their end")
    assert watch.look().pending == 1
    assert collected(monitor, made[0])["deadlock_victim_pid"] == made[0].victim
