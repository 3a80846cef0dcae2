"""How a wait ended: "cancelled" is said only of waits that ended without the lock."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import psycopg
import pytest
from psycopg import errors

from lockmon.calls import looks
from tests.conftest import Connect, OpenSession
from tests.support.poll import poll
from tests.support.sessions import Session
from tests.support.stored import Row, Stored
from tests.support.tangle import prepare


@pytest.fixture
def scene(vault_db: str) -> str:
    prepare(vault_db)
    with psycopg.connect(vault_db, autocommit=True) as connection:
        connection.execute("CREATE TABLE app.child (id int PRIMARY KEY, parent int REFERENCES app.t0)")
    return vault_db


@pytest.fixture
def stored(scene: str, connect: Connect) -> Stored:
    """What the looks alone tell."""
    found = Stored(connect(scene))
    found.read_no_log()
    return found


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
        since.append(stored.value("SELECT clock_timestamp()"))
    return live if request.param == "live" else kept


def only_wait(stored: Stored, pid: int) -> Row:
    """The last version of a session's only wait."""
    return stored.locks(pid, "NOT lock_granted")[-1]


def fails(session: Session, error: type[psycopg.Error]) -> None:
    with pytest.raises(error):
        session.result()


# what the holder does, what the waiter does, what its statement ends with once the holder has committed
GRANTED_THEN_FAILED = {
    "serialization": (
        "UPDATE app.t0 SET n = 1 WHERE id = 1",
        "UPDATE app.t0 SET n = 2 WHERE id = 1",
        errors.SerializationFailure,
    ),
    "unique": (
        "INSERT INTO app.t0 VALUES (9)",
        "INSERT INTO app.t0 VALUES (9)",
        errors.UniqueViolation,
    ),
    "foreign key": (
        "DELETE FROM app.t0 WHERE id = 1",
        "INSERT INTO app.child VALUES (1, 1)",
        errors.ForeignKeyViolation,
    ),
    "in the statement": (
        "LOCK TABLE app.t1 IN SHARE MODE",
        "DO $$ BEGIN UPDATE app.t1 SET n = 1; RAISE division_by_zero; END $$",
        errors.DivisionByZero,
    ),
}


@pytest.mark.parametrize("case", GRANTED_THEN_FAILED)
def test_a_statement_that_fails_after_its_wait_was_not_cancelled(
    scene: str, stored: Stored, session: OpenSession, look: Callable[[], None], case: str
) -> None:
    holds, waits, error = GRANTED_THEN_FAILED[case]
    holder, waiter = session(scene), session(scene)
    if case == "serialization":
        waiter.connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    waiter.run("SELECT count(*) FROM app.t2")
    holder.run(holds)
    waiter.start(waits)
    waiter.wait_blocked()
    look()
    holder.run("COMMIT")
    fails(waiter, error)
    look()
    assert only_wait(stored, waiter.pid)["resolution_action"] == "unknown"


@pytest.mark.parametrize("holder_goes_on", [False, True])
def test_a_wait_that_fails_while_its_blocker_works_on_in_another_transaction_is_unknown(
    scene: str, stored: Stored, session: OpenSession, holder_goes_on: bool
) -> None:
    holder, waiter = session(scene), session(scene)
    waiter.connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    waiter.run("SELECT count(*) FROM app.t0")
    holder.run("SELECT pg_advisory_lock(5), * FROM app.t0 WHERE id = 1 FOR UPDATE")
    holder.run("UPDATE app.t0 SET n = 1 WHERE id = 1")
    waiter.start("UPDATE app.t0 SET n = 2 WHERE id = 1")
    waiter.wait_blocked()
    stored.capture()
    holder.run("COMMIT")
    fails(waiter, errors.SerializationFailure)
    if holder_goes_on:
        holder.run("UPDATE app.t0 SET n = 3 WHERE id = 1")
    stored.capture()
    assert only_wait(stored, waiter.pid)["resolution_action"] == "unknown"


@pytest.mark.parametrize(
    ("what", "by", "autocommit"),
    [
        ("row", "cancel", False),
        ("row", "lock_timeout", True),
        ("table", "cancel", True),
        ("table", "lock_timeout", False),
        ("advisory", "statement_timeout", False),
        ("held by a session", "cancel", True),
    ],
)
def test_a_wait_that_was_given_up_is_cancelled(
    scene: str,
    stored: Stored,
    session: OpenSession,
    look: Callable[[], None],
    autocommit: bool,
    by: str,
    what: str,
) -> None:
    statement = {
        "row": "UPDATE app.t0 SET n = 2 WHERE id = 1",
        "table": "LOCK TABLE app.t0 IN EXCLUSIVE MODE",
        "advisory": "SELECT pg_advisory_xact_lock(7)",
        "held by a session": "SELECT pg_advisory_lock(8)",
    }[what]
    if what == "table" and autocommit:
        statement = f"DO $$ BEGIN {statement}; END $$"
    holder, waiter = (
        session(scene, autocommit=what == "held by a session"),
        session(scene, autocommit=autocommit),
    )
    holder.run(statement)
    if by != "cancel":
        waiter.run(f"SET {by} = '2s'")
    if not autocommit:
        waiter.run("COMMIT")
    waiter.start(statement)
    waiter.wait_blocked()
    look()
    if by == "cancel":
        stored.value("SELECT pg_cancel_backend(%s)", waiter.pid)
    fails(waiter, errors.LockNotAvailable if by == "lock_timeout" else errors.QueryCanceled)
    look()
    assert only_wait(stored, waiter.pid)["resolution_action"] == "cancelled"
    stored.check_rules()


def test_those_behind_others_in_the_queue_are_cancelled_too(
    scene: str, stored: Stored, session: OpenSession
) -> None:
    """Who gives up behind a waiter that still stands in the queue got no lock either."""
    holder, first, second = session(scene), session(scene), session(scene)
    holder.run("LOCK TABLE app.t0 IN SHARE MODE")
    first.start("LOCK TABLE app.t0 IN EXCLUSIVE MODE")
    first.wait_blocked()
    second.start("LOCK TABLE app.t0 IN SHARE MODE")
    second.wait_blocked()
    stored.capture()
    stored.value("SELECT pg_cancel_backend(%s)", second.pid)
    fails(second, errors.QueryCanceled)
    stored.capture()
    assert only_wait(stored, second.pid)["resolution_action"] == "cancelled"
    assert only_wait(stored, first.pid)["resolution_action"] is None


def test_a_tuple_lock_that_was_granted_is_not_cancelled_by_a_later_cancel(
    scene: str, stored: Stored, session: OpenSession
) -> None:
    """The second in a row's queue waits for the tuple lock of the first, then for its transaction."""
    holder, first, second = session(scene), session(scene), session(scene)
    holder.run("UPDATE app.t0 SET n = 1 WHERE id = 1")
    first.start("UPDATE app.t0 SET n = 2 WHERE id = 1")
    first.wait_blocked()
    second.start("UPDATE app.t0 SET n = 3 WHERE id = 1")
    second.wait_blocked()
    stored.capture()
    # of a row that has changed the second may get the new version first, and the first waits for it
    holder.run("ROLLBACK")
    first.result()
    second.wait_blocked()
    poll(
        lambda: stored.rows(
            "SELECT FROM pg_locks WHERE pid = %s AND NOT granted AND locktype = 'transactionid'", second.pid
        ),
        what="the wait for the first's transaction",
    )
    stored.value("SELECT pg_cancel_backend(%s)", second.pid)
    fails(second, errors.QueryCanceled)
    stored.capture()
    assert only_wait(stored, second.pid)["resolution_action"] == "unknown"


def test_a_deadlock_s_victim_is_cancelled_and_the_other_granted(
    scene: str, stored: Stored, session: OpenSession
) -> None:
    one, two = session(scene), session(scene)
    one.run("SET deadlock_timeout = '1min'")
    two.run("SET deadlock_timeout = '3s'")
    one.run("UPDATE app.t0 SET n = 1 WHERE id = 1")
    two.run("UPDATE app.t0 SET n = 1 WHERE id = 2")
    one.start("UPDATE app.t0 SET n = 1 WHERE id = 2")
    one.wait_blocked()
    two.start("UPDATE app.t0 SET n = 1 WHERE id = 1")
    two.wait_blocked()
    stored.capture()
    fails(two, errors.DeadlockDetected)
    one.result()
    stored.capture()
    assert only_wait(stored, two.pid)["resolution_action"] == "cancelled"
    assert only_wait(stored, one.pid)["resolution_action"] == "granted"


def test_an_error_that_the_statement_caught_is_no_grant(
    scene: str, stored: Stored, session: OpenSession, look: Callable[[], None]
) -> None:
    holder, waiter = session(scene), session(scene)
    holder.run("UPDATE app.t0 SET n = 1 WHERE id = 1")
    waiter.run("SET lock_timeout = '2s'")
    waiter.start(
        "DO $$ BEGIN UPDATE app.t0 SET n = 2 WHERE id = 1;"
        " EXCEPTION WHEN lock_not_available THEN NULL; END $$"
    )
    waiter.wait_blocked()
    look()
    waiter.result()
    look()
    assert only_wait(stored, waiter.pid)["resolution_action"] == "cancelled"


def test_a_prepared_transaction_in_the_way_is_a_fact_too(
    scene: str, stored: Stored, session: OpenSession
) -> None:
    holder, waiter = session(scene), session(scene)
    holder.run("UPDATE app.t0 SET n = 1 WHERE id = 1")
    holder.run("PREPARE TRANSACTION 'in the way'")
    try:
        waiter.start("UPDATE app.t0 SET n = 2 WHERE id = 1")
        waiter.wait_blocked()
        stored.capture()
        stored.value("SELECT pg_cancel_backend(%s)", waiter.pid)
        fails(waiter, errors.QueryCanceled)
        stored.capture()
    finally:
        stored.connection.execute("ROLLBACK PREPARED 'in the way'")
    assert only_wait(stored, waiter.pid)["resolution_action"] == "cancelled"


def test_a_cancel_through_the_door_is_of_that_statement_only(
    scene: str, stored: Stored, session: OpenSession
) -> None:
    """What waits and blocks later in the same session was not cancelled by it."""
    holder, waiter, third = session(scene), session(scene), session(scene)
    stored.connection.execute(
        "INSERT INTO lock_admin.action_log (step, origin, action, target_pid, target_backend_start)"
        " SELECT 'signal', 'sql', 'cancel', s.pid, s.backend_start"
        " FROM lock_catalog.sessions s WHERE s.pid = %s",
        [waiter.pid],
    )
    waiter.run("SELECT count(*) FROM app.t0")
    holder.run("UPDATE app.t0 SET n = 1 WHERE id = 1")
    waiter.run("UPDATE app.t0 SET n = 1 WHERE id = 2")
    waiter.start("UPDATE app.t0 SET n = 2 WHERE id = 1")
    waiter.wait_blocked()
    third.start("UPDATE app.t0 SET n = 2 WHERE id = 2")
    third.wait_blocked()
    stored.capture()
    holder.run("COMMIT")
    waiter.result()
    waiter.run("COMMIT")
    third.result()
    stored.capture()
    assert only_wait(stored, waiter.pid)["resolution_action"] != "cancelled"
    assert stored.episodes(waiter.pid)[-1]["ended_how"] == "released"
