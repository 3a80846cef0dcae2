"""A part of the monitor that fails is counted and named, and takes nothing else with it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import psycopg
import pytest

from tests.conftest import Connect, OpenSession
from tests.support.poll import poll
from tests.support.sessions import Session
from tests.support.stored import Stored
from tests.support.tangle import prepare


@pytest.fixture
def dba(vault_db: str, connect: Connect) -> psycopg.Connection[Any]:
    return connect(vault_db)


def failing(dba: psycopg.Connection[Any]) -> list[str]:
    """The parts without which the monitor says that it watches."""
    row = dba.execute("SELECT failing_parts FROM lock_engine.monitor_status").fetchone()
    assert row is not None
    return list(row[0])


def fail(dba: psycopg.Connection[Any], part: str, message: str = "it broke") -> None:
    dba.execute("SELECT lock_engine.part_failed(%s, 'P0001', %s, 1, 'pid 7')", [part, message])


def test_a_part_is_failing_from_its_second_failure_in_a_row(dba: psycopg.Connection[Any]) -> None:
    fail(dba, "episodes", "first")
    assert failing(dba) == []
    fail(dba, "episodes", "second")
    assert failing(dba) == ["episodes"]
    row = dba.execute(
        "SELECT failures_in_a_row, failures, set_aside, what, last_sqlstate, last_error, last_ok_at, "
        "failing_since < last_failed_at FROM lock_engine.part_state"
    ).fetchone()
    assert row == (2, 2, 1, "pid 7", "P0001", "second", None, True)
    dba.execute("SELECT lock_engine.part_ok('episodes')")
    assert failing(dba) == []
    row = dba.execute(
        "SELECT failures_in_a_row, failures, set_aside, what, last_error, failing_since, "
        "last_ok_at > last_failed_at FROM lock_engine.part_state"
    ).fetchone()
    assert row == (0, 2, 0, None, "second", None, True)
    fail(dba, "episodes")
    assert failing(dba) == []


def test_one_run_counts_once_however_often_it_says_so(dba: psycopg.Connection[Any]) -> None:
    with dba.transaction():
        for _again in range(3):
            fail(dba, "tenants")
    assert failing(dba) == []


def test_a_working_part_leaves_no_row(dba: psycopg.Connection[Any]) -> None:
    dba.execute("SELECT lock_engine.part_ok('links')")
    assert dba.execute("SELECT count(*) FROM lock_engine.part_state").fetchone() == (0,)


def test_made_up_parts_fill_no_table(dba: psycopg.Connection[Any]) -> None:
    dba.execute(
        "SELECT lock_engine.part_failed('part ' || repeat('x', n), 'P0001', 'no') "
        "FROM generate_series(1, 34) AS n"
    )
    for letter in "abcdefghijklmnopqrstuvwxyz":
        fail(dba, f"part {letter}")
    assert dba.execute("SELECT count(*) FROM lock_engine.part_state").fetchone() == (50,)
    fail(dba, "part a")
    assert "part a" in failing(dba)


def test_counting_waits_for_nobody(dba: psycopg.Connection[Any], vault_db: str, connect: Connect) -> None:
    other = connect(vault_db, autocommit=False)
    other.execute("LOCK TABLE lock_engine.part_state")
    dba.execute("SET statement_timeout = '5s'")
    fail(dba, "episodes")
    dba.execute("SELECT lock_engine.part_ok('episodes')")
    other.rollback()
    assert dba.execute("SELECT count(*) FROM lock_engine.part_state").fetchone() == (0,)


@pytest.mark.parametrize("state", ["57014", "57P01", "57P02", "53200", "53100", "55P03", "40P01", "25006"])
def test_what_no_part_may_catch(dba: psycopg.Connection[Any], state: str) -> None:
    assert dba.execute("SELECT lock_engine.ends_all(%s)", [state]).fetchone() == (True,)


@pytest.mark.parametrize("state", ["22003", "23505", "23514", "22P02", "42883", "42501", "P0001", "22021"])
def test_what_a_part_is_to_catch(dba: psycopg.Connection[Any], state: str) -> None:
    assert dba.execute("SELECT lock_engine.ends_all(%s)", [state]).fetchone() == (False,)


# --- parts of a cycle -----------------------------------------------------------------------------------


def open_waits(dba: psycopg.Connection[Any]) -> set[int]:
    return {
        pid
        for (pid,) in dba.execute(
            "SELECT lock_pid FROM lock_monitoring.lock_activity_s "
            "WHERE load_end_date IS NULL AND NOT lock_granted"
        )
    }


def open_episodes(dba: psycopg.Connection[Any]) -> set[int]:
    return {
        pid
        for (pid,) in dba.execute(
            "SELECT session_pid FROM lock_monitoring.blocking_session_s WHERE load_end_date IS NULL"
        )
    }


def part(dba: psycopg.Connection[Any], name: str) -> tuple[Any, ...] | None:
    return dba.execute(
        "SELECT failures_in_a_row, set_aside, what, last_sqlstate FROM lock_engine.part_state "
        "WHERE part = %s",
        [name],
    ).fetchone()


def three_queues(vault_db: str, session: OpenSession) -> list[tuple[Session, Session]]:
    """Three roots with a waiter each."""
    prepare(vault_db)
    made = []
    for number in range(3):
        root, waiter = session(vault_db), session(vault_db)
        root.run(f"LOCK TABLE app.t{number} IN ACCESS EXCLUSIVE MODE")
        waiter.start(f"SELECT count(*) FROM app.t{number}")
        made.append((root, waiter.wait_blocked()))
    return made


def test_one_poisonous_episode_does_not_stop_the_others(
    dba: psycopg.Connection[Any], vault_db: str, session: OpenSession
) -> None:
    queues = three_queues(vault_db, session)
    poison = queues[1][0].pid
    dba.execute(
        "ALTER TABLE lock_monitoring.blocking_session_s ADD CONSTRAINT poison "
        f"CHECK (session_pid <> {poison}) NOT VALID"
    )
    stored = Stored(dba)
    figures = stored.cycle()
    assert figures["blocking_sessions"] == 3, "the figures tell what was seen, not what could be stored"
    assert open_episodes(dba) == {root.pid for root, _waiter in queues} - {poison}
    assert open_waits(dba) == {waiter.pid for _root, waiter in queues}
    assert part(dba, "episodes") == (1, 1, f"pid {poison}", "23514")
    links = dba.execute("SELECT count(*) FROM lock_monitoring.lock_blocking_l").fetchone()
    assert links == (2,)
    assert failing(dba) == []

    stored.cycle()
    assert part(dba, "episodes") == (2, 1, f"pid {poison}", "23514")
    assert failing(dba) == ["episodes"]
    assert open_episodes(dba) == {root.pid for root, _waiter in queues} - {poison}

    dba.execute("ALTER TABLE lock_monitoring.blocking_session_s DROP CONSTRAINT poison")
    stored.cycle()
    assert failing(dba) == [] and open_episodes(dba) == {root.pid for root, _waiter in queues}

    def unchanged() -> bool:
        return bool(stored.cycle()["monitoring_summary"].endswith("unchanged"))

    poll(unchanged, 20, "a cycle with nothing to do")


def test_one_poisonous_lock_does_not_stop_the_others(
    dba: psycopg.Connection[Any], vault_db: str, session: OpenSession
) -> None:
    queues = three_queues(vault_db, session)
    poison = queues[0][1].pid
    dba.execute(
        "ALTER TABLE lock_monitoring.lock_activity_s ADD CONSTRAINT poison "
        f"CHECK (lock_pid <> {poison}) NOT VALID"
    )
    stored = Stored(dba)
    for row in (1, 2):
        assert stored.cycle()["blocking_sessions"] == 3
        assert part(dba, "locks") == (row, 1, f"pid {poison}", "23514")
        assert open_waits(dba) == {waiter.pid for _root, waiter in queues} - {poison}
        assert open_episodes(dba) == {root.pid for root, _waiter in queues}
    assert failing(dba) == ["locks"]
    dba.execute("ALTER TABLE lock_monitoring.lock_activity_s DROP CONSTRAINT poison")
    stored.cycle()
    assert failing(dba) == [] and open_waits(dba) == {waiter.pid for _root, waiter in queues}
    for _root, waiter in queues:
        ends = dba.execute(
            "SELECT count(*) FROM lock_monitoring.lock_activity_s "
            "WHERE lock_pid = %s AND NOT lock_granted AND resolution_action IS NOT NULL",
            [waiter.pid],
        ).fetchone()
        assert ends == (0,), "what was set aside has not ended"


def test_an_open_row_that_cannot_be_closed_does_not_stop_the_others(
    dba: psycopg.Connection[Any], vault_db: str, session: OpenSession
) -> None:
    queues = three_queues(vault_db, session)
    stored = Stored(dba)
    stored.cycle()
    poison = queues[2][1].pid
    dba.execute(
        "ALTER TABLE lock_monitoring.lock_activity_s ADD CONSTRAINT poison "
        f"CHECK (lock_pid <> {poison} OR load_end_date IS NULL) NOT VALID"
    )
    for root, _waiter in queues:
        root.run("ROLLBACK")
    poll(lambda: not any(waiter.busy for _root, waiter in queues), 10, "nobody waits")
    stored.cycle()
    assert open_waits(dba) == {poison}
    assert open_episodes(dba) == set()
    assert part(dba, "locks") == (1, 1, f"pid {poison}", "23514")
    dba.execute("ALTER TABLE lock_monitoring.lock_activity_s DROP CONSTRAINT poison")
    stored.cycle()
    assert open_waits(dba) == set()


@pytest.mark.parametrize(
    ("name", "breaks"),
    [
        ("locks", "ALTER TABLE lock_monitoring.lock_activity_s ADD CONSTRAINT no CHECK (false) NOT VALID"),
        (
            "episodes",
            "ALTER TABLE lock_monitoring.blocking_session_s ADD CONSTRAINT no CHECK (false) NOT VALID",
        ),
        ("links", "ALTER TABLE lock_monitoring.lock_blocking_l ADD CONSTRAINT no CHECK (false) NOT VALID"),
        ("links", "REVOKE INSERT ON lock_monitoring.lock_blocking_l FROM lock_vault_owner"),
    ],
)
def test_a_whole_part_that_fails_leaves_the_others(
    dba: psycopg.Connection[Any], vault_db: str, session: OpenSession, name: str, breaks: str
) -> None:
    queues = three_queues(vault_db, session)
    dba.execute(breaks)
    stored = Stored(dba)
    for _twice in range(2):
        assert stored.cycle()["blocking_sessions"] == 3
    assert failing(dba) == [name]
    assert open_episodes(dba) == (set() if name == "episodes" else {root.pid for root, _waiter in queues})
    assert open_waits(dba) == (set() if name == "locks" else {waiter.pid for _root, waiter in queues})
    if name == "links":
        dba.execute("ALTER TABLE lock_monitoring.lock_blocking_l DROP CONSTRAINT IF EXISTS no")
        dba.execute("GRANT INSERT ON lock_monitoring.lock_blocking_l TO lock_vault_owner")
        stored.cycle()
        row = dba.execute(
            "SELECT count(DISTINCT l.lock_activity_hk) FROM lock_monitoring.lock_blocking_l l"
        ).fetchone()
        assert row == (3,), "what could not be linked before is linked now"
        assert failing(dba) == []


def test_a_cancel_ends_the_cycle_whatever_part_it_meets(
    dba: psycopg.Connection[Any], vault_db: str, session: OpenSession
) -> None:
    three_queues(vault_db, session)
    dba.execute(
        "CREATE FUNCTION public.slowly() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN PERFORM pg_sleep(60); RETURN NEW; END'"
    )
    dba.execute(
        "CREATE TRIGGER slowly BEFORE INSERT ON lock_monitoring.blocking_session_s "
        "FOR EACH ROW EXECUTE FUNCTION public.slowly()"
    )
    looker = session(vault_db, autocommit=True)
    looker.start("SELECT * FROM lock_monitoring.run_lock_monitoring()")

    def sleeping() -> bool:
        row = dba.execute("SELECT wait_event FROM pg_stat_activity WHERE pid = %s", [looker.pid]).fetchone()
        return row == ("PgSleep",)

    poll(sleeping, 10, "the cycle at its episodes")
    dba.execute("SELECT pg_cancel_backend(%s)", [looker.pid])
    with pytest.raises(psycopg.errors.QueryCanceled):
        looker.result()
    assert open_waits(dba) == set() and part(dba, "episodes") is None


def poisoned_over_a_gap(
    dba: psycopg.Connection[Any],
    stored: Stored,
    name: str,
    table: str,
    poisoned: Session,
    over: list[Session],
    gone: list[Session],
) -> dict[str, Any]:
    """Let a gap of cycles begin, in it those of `over` end, after it those of `gone`, and have what is stored
    of `poisoned` set aside by the first look after it. The gap."""
    dba.execute("UPDATE lock_admin.setting SET value = '1' WHERE name = 'watch.max_look_spacing_seconds'")
    last_look = stored.value("SELECT last_look_at FROM lock_engine.watch_state")
    column = "lock_pid" if name == "locks" else "session_pid"
    dba.execute(f"ALTER TABLE {table} ADD CONSTRAINT poison CHECK ({column} <> {poisoned.pid}) NOT VALID")

    def end(sessions: list[Session]) -> None:
        for ended in sessions:
            ended.abandon()
            stored.wait_gone(ended.pid)

    end(over)
    poll(lambda: stored.value("SELECT clock_timestamp() > %s + interval '1.2 s'", last_look), 10, "a gap")
    end(gone)
    stored.cycle()
    gap = stored.one("SELECT * FROM lock_engine.coverage_gap")
    assert gap["gap_start"] == last_look
    row = part(dba, name)
    assert row is not None and row[:3] == (1, 1, f"pid {poisoned.pid}")
    return gap


def test_a_poisonous_lock_and_a_gap_claim_nothing_of_each_other(
    dba: psycopg.Connection[Any], vault_db: str, session: OpenSession
) -> None:
    """What is set aside when a gap ends lasted, for all that is known, until it was last seen before it."""
    queues = three_queues(vault_db, session)
    stored = Stored(dba)
    stored.read_no_log()
    stored.cycle()
    stored.cycle()
    (first, poisoned), (second, over), (_third, lasts) = queues
    gap = poisoned_over_a_gap(
        dba, stored, "locks", "lock_monitoring.lock_activity_s", poisoned, [second, over], [first, poisoned]
    )
    last_look = gap["gap_start"]

    def wait(pid: int) -> dict[str, Any]:
        return stored.locks(pid, "NOT lock_granted")[-1]

    versions = stored.locks(lasts.pid, "NOT lock_granted")
    assert versions[0]["load_date"] <= last_look and versions[-1]["load_end_date"] is None
    assert {row["resolution_action"] for row in versions} == {None}, "it lasted through"
    # where the last look wrote the row, it lasted a hair longer
    hair = timedelta(microseconds=1)
    assert last_look <= wait(over.pid)["load_end_date"] <= last_look + hair
    assert wait(over.pid)["ended_by"] == gap["gap_end"]
    assert wait(poisoned.pid)["load_end_date"] is None, "its rows stay as they are"
    dba.execute("ALTER TABLE lock_monitoring.lock_activity_s DROP CONSTRAINT poison")
    stored.cycle()
    ended = wait(poisoned.pid)
    assert last_look <= ended["load_end_date"] <= last_look + hair
    assert ended["ended_by"] > gap["gap_end"]
    assert ended["resolution_action"] == "unknown"
    stored.check_rules()


def test_a_poisonous_episode_and_a_gap_claim_nothing_of_each_other(
    dba: psycopg.Connection[Any], vault_db: str, session: OpenSession
) -> None:
    """As of a lock: until when it blocked is known only until it was last seen to."""
    queues = three_queues(vault_db, session)
    stored = Stored(dba)
    stored.cycle()
    stored.cycle()
    (poisoned, its_waiter), (over, other_waiter), (lasts, _waiter) = queues
    gap = poisoned_over_a_gap(
        dba,
        stored,
        "episodes",
        "lock_monitoring.blocking_session_s",
        poisoned,
        [over, other_waiter],
        [poisoned, its_waiter],
    )
    last_look = gap["gap_start"]
    hair = timedelta(microseconds=1)
    ended = stored.episodes(over.pid)[-1]
    assert last_look <= ended["ended_at"] <= last_look + hair
    assert stored.episodes(poisoned.pid)[-1]["load_end_date"] is None, "its rows stay as they are"
    dba.execute("ALTER TABLE lock_monitoring.blocking_session_s DROP CONSTRAINT poison")
    stored.cycle()
    ended = stored.episodes(poisoned.pid)[-1]
    assert last_look <= ended["ended_at"] <= last_look + hair
    assert ended["ended_by"] > gap["gap_end"] and ended["ended_how"] == "unknown"
    assert {row["ended_how"] for row in stored.episodes(lasts.pid)} == {None}, "it lasted through"
    stored.check_rules()
