"""When a wait ended: after the last look that saw it, and before the next one was done."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import psycopg
import pytest
from psycopg import errors

from lockmon.calls import looks
from tests.conftest import Connect, OpenSession
from tests.support.poll import poll
from tests.support.stored import Row, Stored
from tests.support.tangle import prepare

ROW = "UPDATE app.t0 SET n = 1 WHERE id = 1"


@pytest.fixture
def scene(vault_db: str) -> str:
    prepare(vault_db)
    return vault_db


@pytest.fixture
def stored(scene: str, connect: Connect) -> Stored:
    """What the looks alone tell."""
    found = Stored(connect(scene))
    found.read_no_log()
    return found


def now(stored: Stored) -> datetime:
    moment: datetime = stored.value("SELECT clock_timestamp()")
    return moment


def waits(stored: Stored, pid: int) -> list[Row]:
    """The ends of a session's waits, in order."""
    return stored.locks(pid, "NOT lock_granted AND resolution_action IS NOT NULL")


@pytest.fixture(params=["live", "kept"])
def look(request: pytest.FixtureRequest, stored: Stored) -> Callable[[], None]:
    """A cycle, of the present or of what a loop has kept."""

    def live() -> None:
        stored.capture()

    def kept() -> None:
        with stored.connection.cursor() as cursor:
            seen = looks.look(cursor, looks.look_settings(cursor))
            assert seen.seen is not None
            since.append(seen.seen_at)
            done = looks.store_seen(cursor, since[-2], seen.seen_at, seen.seen_at, seen.seen, "")
        assert done.outcome == "stored", done

    since: list[datetime] = []
    if request.param == "kept":
        name = "capture.min_transaction_age_seconds"
        stored.connection.execute("UPDATE lock_admin.setting SET value = '0' WHERE name = %s", [name])
        stored.connection.execute("SELECT lock_engine.begin_watching()")
        since.append(now(stored))
    return live if request.param == "live" else kept


def test_a_wait_ended_between_two_looks(
    scene: str, stored: Stored, session: OpenSession, look: Callable[[], None]
) -> None:
    holder, waiter = session(scene), session(scene)
    holder.run(ROW)
    waiter.start(ROW)
    waiter.wait_blocked()
    look()
    look()
    last = now(stored)
    look()
    (open_row,) = stored.locks(waiter.pid, "NOT lock_granted AND load_end_date IS NULL")
    assert open_row["last_seen_at"] is None and open_row["not_seen_at"] is None
    before = now(stored)
    holder.run("COMMIT")
    waiter.result()
    after = now(stored)
    look()
    (wait,) = waits(stored, waiter.pid)
    assert last <= wait["last_seen_at"] <= before
    assert after <= wait["not_seen_at"] <= now(stored)
    assert wait["last_seen_at"] < wait["load_end_date"] <= wait["not_seen_at"]
    assert (
        stored.locks(waiter.pid, "lock_granted AND (last_seen_at, not_seen_at) IS DISTINCT FROM (NULL, NULL)")
        == []
    )
    stored.check_rules()


def test_a_sign_of_life_is_no_look_at_the_waits(scene: str, stored: Stored, session: OpenSession) -> None:
    """The loop says twice a second that it watches; it saw no wait by that, nor does a gap's beginning."""
    holder, waiter = session(scene), session(scene)
    stored.connection.execute("SELECT lock_engine.begin_watching()")
    holder.run(ROW)
    waiter.start(ROW)
    waiter.wait_blocked()
    stored.capture()
    before = now(stored)
    holder.run("COMMIT")
    waiter.result()
    stored.connection.execute("SELECT lock_engine.note_look(60)")
    stored.connection.execute("UPDATE lock_engine.watch_state SET patience = '0'")
    stored.capture()
    (wait,) = waits(stored, waiter.pid)
    assert wait["last_seen_at"] <= before
    assert wait["ended_by"] is not None
    assert wait["not_seen_at"] >= wait["ended_by"]
    assert wait["resolution_action"] == "unknown"


def test_another_wait_for_the_same_lock_is_another_wait(
    scene: str, stored: Stored, session: OpenSession, look: Callable[[], None]
) -> None:
    """A session that gives up and asks again was not waiting all the time."""
    holder, waiter = session(scene), session(scene)
    holder.run("LOCK TABLE app.t0")
    waiter.run("SET lock_timeout = '1s'")
    waiter.run("COMMIT")
    waiter.start("LOCK TABLE app.t0")
    waiter.wait_blocked()
    look()
    before = now(stored)
    with pytest.raises(errors.LockNotAvailable):
        waiter.result()
    after = now(stored)
    waiter.run("ROLLBACK")
    waiter.run("SET lock_timeout = 0")
    waiter.start("LOCK TABLE app.t0")
    waiter.wait_blocked()
    look()
    (first,) = waits(stored, waiter.pid)
    assert first["resolution_action"] == "unknown"
    assert first["last_seen_at"] <= before
    assert after <= first["not_seen_at"]
    if first["wait_start_is_bound"] is False:
        (second,) = stored.locks(waiter.pid, "NOT lock_granted AND load_end_date IS NULL")
        assert first["not_seen_at"] <= second["wait_start"]
    holder.run("COMMIT")
    waiter.result()
    look()
    assert [wait["resolution_action"] for wait in waits(stored, waiter.pid)] == ["unknown", "granted"]
    stored.check_rules()


def test_a_wait_that_was_stored_with_the_statement_before_goes_on(
    scene: str, stored: Stored, session: OpenSession, look: Callable[[], None]
) -> None:
    """Sessions are read before locks: the statement may have begun in between."""
    holder, waiter = session(scene), session(scene)
    holder.run(ROW)
    waiter.start(ROW)
    waiter.wait_blocked()
    look()
    stored.connection.execute(
        "UPDATE lock_monitoring.lock_activity_s SET query_start = query_start - interval '1 ms',"
        " refresh_at = now() WHERE lock_pid = %s AND load_end_date IS NULL",
        [waiter.pid],
    )
    look()
    assert waits(stored, waiter.pid) == []
    assert stored.locks(waiter.pid, "NOT lock_granted AND not_seen_at IS NOT NULL") == []


def test_who_waits_for_the_next_lock_got_the_one_before(
    scene: str, stored: Stored, session: OpenSession, look: Callable[[], None]
) -> None:
    first, second, waiter = session(scene), session(scene), session(scene)
    first.run(ROW)
    second.run("UPDATE app.t0 SET n = 1 WHERE id = 2")
    waiter.start("UPDATE app.t0 SET n = 1 WHERE id IN (1, 2)")
    waiter.wait_blocked()
    look()
    blocker = "SELECT (pg_blocking_pids(%s))[1]"
    one, other = (first, second) if stored.value(blocker, waiter.pid) == first.pid else (second, first)
    one.run("COMMIT")
    poll(lambda: stored.value(blocker, waiter.pid) == other.pid, what="the next wait")
    look()
    (wait,) = waits(stored, waiter.pid)
    assert wait["resolution_action"] == "granted"


def test_a_statement_that_is_active_proves_nothing(
    scene: str, stored: Stored, session: OpenSession, look: Callable[[], None]
) -> None:
    """It was when the sessions were read; that its wait is over is known of a moment later."""
    holder, waiter = session(scene), session(scene)
    holder.run(ROW)
    waiter.start(f"{ROW} RETURNING pg_sleep(60)")
    waiter.wait_blocked()
    look()
    holder.run("COMMIT")
    asleep = "SELECT wait_event = 'PgSleep' FROM pg_stat_activity WHERE pid = %s"
    poll(lambda: stored.value(asleep, waiter.pid), what="the statement behind its wait")
    look()
    assert [wait["resolution_action"] for wait in waits(stored, waiter.pid)] == ["unknown"]


@pytest.mark.parametrize("granted", [True, False])
def test_a_session_that_is_gone_tells_nothing(
    scene: str, stored: Stored, session: OpenSession, look: Callable[[], None], granted: bool
) -> None:
    """It may have got its lock, unless what it waited for is still in the way."""
    holder, waiter = session(scene), session(scene)
    holder.run(ROW)
    waiter.start(ROW)
    waiter.wait_blocked()
    look()
    if granted:
        holder.run("COMMIT")
        waiter.result()
        waiter.run("COMMIT")
        waiter.close()
    else:
        stored.value("SELECT pg_terminate_backend(%s)", waiter.pid)
        with pytest.raises(psycopg.OperationalError):
            waiter.result()
    stored.wait_gone(waiter.pid)
    look()
    (wait,) = waits(stored, waiter.pid)
    assert wait["resolution_action"] == ("unknown" if granted else "session gone")
    assert wait["not_seen_at"] is not None


def test_an_error_that_was_caught_is_no_grant_though_the_way_is_free(
    scene: str, stored: Stored, session: OpenSession, look: Callable[[], None]
) -> None:
    holder, waiter = session(scene), session(scene)
    holder.run(ROW)
    waiter.run("SET lock_timeout = '1s'")
    waiter.start(f"DO $$ BEGIN {ROW}; EXCEPTION WHEN lock_not_available THEN NULL; END $$")
    waiter.wait_blocked()
    look()
    waiter.result()
    holder.run("COMMIT")
    look()
    assert [wait["resolution_action"] for wait in waits(stored, waiter.pid)] == ["unknown"]


def test_a_cancel_through_the_door_may_have_come_after_the_lock(
    scene: str, stored: Stored, session: OpenSession
) -> None:
    holder, waiter = session(scene), session(scene)
    holder.run("LOCK TABLE app.t0")
    waiter.start("WITH x AS (SELECT count(*) FROM app.t0) SELECT pg_sleep(60) FROM x")
    waiter.wait_blocked()
    stored.capture()
    holder.run("COMMIT")
    asleep = "SELECT wait_event = 'PgSleep' FROM pg_stat_activity WHERE pid = %s"
    poll(lambda: stored.value(asleep, waiter.pid), what="the statement behind its wait")
    stored.connection.execute(
        "INSERT INTO lock_admin.action_log (step, origin, action, target_pid, target_backend_start)"
        " SELECT 'signal', 'sql', 'cancel', s.pid, s.backend_start"
        " FROM lock_catalog.sessions s WHERE s.pid = %s",
        [waiter.pid],
    )
    stored.value("SELECT pg_cancel_backend(%s)", waiter.pid)
    with pytest.raises(errors.QueryCanceled):
        waiter.result()
    stored.capture()
    assert [wait["resolution_action"] for wait in waits(stored, waiter.pid)] == ["unknown"]


@pytest.mark.parametrize(
    ("statement", "whole"),
    [
        ("UPDATE t SET n = 1", True),
        ("  -- a note\n/* and /* more */ */ update t set n = 1;", False),
        ("/* a note */ update t set n = 1 ; ", True),
        ("SELECT * FROM t WHERE id = 1 FOR NO KEY UPDATE", True),
        ("SELECT f(1) FROM t FOR UPDATE", False),
        ("select pg_advisory_xact_lock(1, 2)", True),
        ("select pg_advisory_lock(f(2))", False),
        ("SELECT 1", False),
        ("DO $$ BEGIN END $$", False),
        ("CALL p()", False),
        ("EXECUTE update_it", False),
        ("UPDATE t SET n = 1; SELECT f()", False),
        ("LOCK TABLE t", True),
        ("", False),
        (None, False),
    ],
)
def test_which_statements_cannot_have_caught_an_error(
    stored: Stored, statement: str | None, whole: bool
) -> None:
    assert stored.value("SELECT lock_engine.fails_as_a_whole(%s::text)", statement) is whole
