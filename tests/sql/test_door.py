"""The door: the right session, for a reason, on the record; everything else is refused with a code."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from psycopg import errors

from tests.conftest import Connect, OpenSession
from tests.support import doors
from tests.support.doors import Door
from tests.support.poll import poll
from tests.support.servers import Server


@pytest.fixture
def scene(server: Server, vault_db: str) -> str:
    """A database with the vault, the table and the logins."""
    doors.prepare(server, vault_db)
    return vault_db


@pytest.fixture
def door(scene: str, connect: Connect) -> Door:
    """A keeper of the door: lock_admin_role, no superuser."""
    connection = connect(scene, user=doors.KEEPER)
    return Door(connection)


def set_to(dsn: str, name: str, value: str) -> None:
    """Change a setting."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("UPDATE lock_admin.setting SET value = %s::jsonb WHERE name = %s", (value, name))


def test_terminates_the_blocker_and_compares_the_outcome_with_the_prediction(
    scene: str, door: Door, session: OpenSession
) -> None:
    holder = doors.hold(session, scene)
    waiters = [doors.wait(session, scene), doors.wait(session, scene)]

    requested = door.request("terminate", holder.pid)
    assert requested["accepted"], requested
    prediction = requested["facts"]["prediction"]
    assert prediction["blocks"] == 2
    assert [one["pid"] for one in prediction["freed"]] == [waiters[0].pid]
    assert [(one["pid"], one["behind"]) for one in prediction["next_blockers"]] == [(waiters[0].pid, 1)]
    assert "written" in [one["code"] for one in requested["facts"]["warnings"]]

    outcome = door.execute(requested["action_id"])
    assert outcome["outcome"] == "terminated", outcome
    assert outcome["comparison"]["freed"] == outcome["comparison"]["predicted"] == 1
    assert f"{waiters[0].pid} took the lock as predicted" in outcome["message"]
    assert outcome["recovery_ms"] is not None
    waiters[0].result()

    row = door.one("SELECT * FROM lock_admin.action_history WHERE action_id = %s", requested["action_id"])
    assert (row["outcome"], row["logged_by"], row["acting_for"], row["reason"]) == (
        "terminated",
        doors.KEEPER,
        "tester",
        "a test",
    )
    assert door.execute(requested["action_id"])["code"] == "already_executed"


def test_a_convoy_is_foretold_by_taking_the_node_out(scene: str, door: Door, session: OpenSession) -> None:
    reader = session(scene, user=doors.ORDINARY)
    reader.run("SELECT count(*) FROM app.accounts")
    migration = session(scene, user=doors.ORDINARY, application_name="migrate")
    migration.start("ALTER TABLE app.accounts ADD COLUMN note text")
    migration.wait_blocked()
    readers = []
    for _ in range(3):
        one = session(scene, user=doors.ORDINARY)
        one.start("SELECT count(*) FROM app.accounts")
        readers.append(one.wait_blocked())

    by_root = door.one("SELECT lock_admin.simulate(%s) AS s", reader.pid)["s"]
    assert by_root["blocks"] == 4
    assert [one["pid"] for one in by_root["freed"]] == [migration.pid]
    assert [(one["pid"], one["behind"]) for one in by_root["next_blockers"]] == [(migration.pid, 3)]

    by_ddl = door.one("SELECT lock_admin.simulate(%s) AS s", migration.pid)["s"]
    assert sorted(one["pid"] for one in by_ddl["freed"]) == sorted(one.pid for one in readers)
    assert by_ddl["next_blockers"] == []

    outcome = door.stop("cancel", migration.pid)
    assert outcome["outcome"] == "cancelled", outcome
    assert outcome["comparison"]["freed"] == 3
    with pytest.raises(errors.QueryCanceled):
        migration.result()


def test_a_pid_of_another_session_is_left_alone(scene: str, door: Door, session: OpenSession) -> None:
    holder = doors.hold(session, scene)
    doors.wait(session, scene)
    earlier = door.one(
        "SELECT %s::timestamptz - interval '1 microsecond' AS at", door.identity(holder.pid)[0]
    )["at"]
    refused = door.request("terminate", holder.pid, backend_start=earlier)
    assert (refused["accepted"], refused["code"]) == (False, "other_session")
    assert "now belongs to another session" in refused["message"]
    assert doors.alive(scene)(holder.pid)
    assert door.execute(refused["action_id"])["code"] == "request_refused"


def test_a_session_that_ended_after_the_request_is_already_gone(
    scene: str, door: Door, session: OpenSession
) -> None:
    holder = doors.hold(session, scene)
    doors.wait(session, scene)
    requested = door.request("terminate", holder.pid)
    holder.close()
    poll(lambda: not doors.alive(scene)(holder.pid), what="its end")
    outcome = door.execute(requested["action_id"])
    assert (outcome["outcome"], outcome["code"]) == ("already gone", "already_gone")
    assert door.request("cancel", holder.pid, backend_start="2020-01-01")["code"] == "already_gone"


def test_another_transaction_of_the_session_is_left_alone(
    scene: str, door: Door, session: OpenSession
) -> None:
    holder = doors.hold(session, scene)
    first = doors.wait(session, scene)
    requested = door.request("terminate", holder.pid, xact_start=door.identity(holder.pid)[1])
    holder.run("COMMIT")
    first.result()
    first.run("COMMIT")
    holder.run("UPDATE app.accounts SET balance = 7 WHERE id = 1")
    doors.wait(session, scene)
    assert door.execute(requested["action_id"])["code"] == "other_transaction"
    holder.run("SELECT 1")


def test_another_statement_is_not_cancelled(scene: str, door: Door, session: OpenSession) -> None:
    holder = doors.hold(session, scene)
    doors.wait(session, scene)
    holder.start("SELECT pg_sleep(30)")
    poll(
        lambda: (
            door.one("SELECT state FROM lock_catalog.sessions WHERE pid = %s", holder.pid)["state"]
            == "active"
        )
    )
    requested = door.request("cancel", holder.pid)
    assert requested["accepted"], requested
    holder.connection.cancel_safe(timeout=5)
    with pytest.raises(errors.QueryCanceled):
        holder.result()
    holder.run("ROLLBACK")
    holder.run("UPDATE app.accounts SET balance = 7 WHERE id = 2")
    doors.wait(session, scene, row=2)
    holder.start("SELECT pg_sleep(30)")
    poll(
        lambda: (
            door.one("SELECT state FROM lock_catalog.sessions WHERE pid = %s", holder.pid)["state"]
            == "active"
        )
    )
    assert door.execute(requested["action_id"])["code"] == "other_statement"
    assert holder.busy


def test_cancelling_an_idle_transaction_is_refused_because_it_does_nothing(
    scene: str, door: Door, session: OpenSession
) -> None:
    holder = doors.hold(session, scene)
    doors.wait(session, scene)
    refused = door.request("cancel", holder.pid)
    assert refused["code"] == "nothing_to_cancel"
    assert "only terminating" in refused["message"]


def test_who_blocks_nobody_is_stopped_only_if_that_is_asked_for(
    scene: str, door: Door, session: OpenSession
) -> None:
    idler = doors.hold(session, scene)
    assert door.request("terminate", idler.pid)["code"] == "no_longer_blocks"
    waiter = doors.wait(session, scene)
    requested = door.request("terminate", idler.pid)
    waiter.close()
    poll(lambda: not doors.alive(scene)(waiter.pid), what="the waiter's end")
    assert door.execute(requested["action_id"])["code"] == "no_longer_blocks"
    assert door.stop("terminate", idler.pid, explicit=True)["outcome"] == "terminated"


def test_a_request_counts_only_once_it_is_committed(
    scene: str, door: Door, session: OpenSession, connect: Connect
) -> None:
    holder = doors.hold(session, scene)
    doors.wait(session, scene)
    other = Door(connect(scene, user=doors.KEEPER, autocommit=False))
    requested = other.request("terminate", holder.pid)
    assert requested["accepted"]
    assert other.execute(requested["action_id"])["code"] == "request_not_committed"
    assert door.execute(requested["action_id"])["code"] == "unknown_request"
    other.connection.rollback()
    assert door.execute(requested["action_id"])["code"] == "unknown_request"
    assert doors.alive(scene)(holder.pid)

    again = other.request("terminate", holder.pid)
    other.execute(again["action_id"])
    other.connection.commit()
    assert door.execute(again["action_id"])["outcome"] == "terminated"


@pytest.mark.parametrize(
    ("other", "code"),
    [
        ({"reason": "  "}, "reason_missing"),
        ({"action": "kill"}, "unknown_action"),
        ({"pid": -5, "backend_start": "2026-01-01"}, "prepared_transaction"),
        ({"pid": None, "backend_start": "2026-01-01"}, "identity_missing"),
        ({"pid": 2147483647, "backend_start": "2026-01-01"}, "already_gone"),
    ],
)
def test_what_is_not_a_request_is_refused_and_recorded(
    scene: str, door: Door, session: OpenSession, other: dict[str, Any], code: str
) -> None:
    holder = doors.hold(session, scene)
    doors.wait(session, scene)
    values: dict[str, Any] = {"action": "terminate", "pid": holder.pid} | other
    refused = door.request(values.pop("action"), values.pop("pid"), **values)
    assert (refused["accepted"], refused["code"]) == (False, code)
    row = door.one("SELECT * FROM lock_admin.action_history WHERE action_id = %s", refused["action_id"])
    assert row["code"] == code
    assert doors.alive(scene)(holder.pid)


def test_sessions_that_are_never_stopped(
    scene: str, door: Door, session: OpenSession, server: Server, connect: Connect
) -> None:
    root = session(scene, application_name="dba")
    root.run("SELECT 1")
    assert door.request("terminate", root.pid, explicit=True)["code"] == "superuser"
    assert door.request("terminate", door.connection.info.backend_pid, explicit=True)["code"] == "own_session"
    with psycopg.connect(scene, autocommit=True) as connection:
        background = connection.execute(
            "SELECT pid, backend_start FROM pg_stat_activity WHERE backend_type = 'checkpointer'"
        ).fetchone()
    assert background is not None
    refused = door.request("terminate", background[0], backend_start=background[1], explicit=True)
    assert refused["code"] == "not_client_backend"

    holder = doors.hold(session, scene)
    doors.wait(session, scene)
    set_to(scene, "door.protected_users", '["app_*"]')
    assert door.request("terminate", holder.pid)["code"] == "protected_role"
    set_to(scene, "door.protected_users", "[]")
    set_to(scene, "monitor.own_logins", '["app_rw"]')
    assert door.request("terminate", holder.pid)["code"] == "own_monitor"
    assert doors.alive(scene)(holder.pid)


def test_kill_switch_rate_limit_and_expiry_are_checked_again_at_the_signal(
    scene: str, door: Door, session: OpenSession
) -> None:
    holder = doors.hold(session, scene)
    doors.wait(session, scene)
    requested = door.request("terminate", holder.pid)
    set_to(scene, "door.enabled", "false")
    assert door.execute(requested["action_id"])["code"] == "door_closed"
    assert door.request("terminate", holder.pid)["code"] == "door_closed"
    set_to(scene, "door.enabled", "true")
    set_to(scene, "door.max_per_hour", "0")
    assert door.execute(requested["action_id"])["code"] == "rate_limit"
    assert door.request("terminate", holder.pid)["code"] == "rate_limit"
    set_to(scene, "door.max_per_hour", "20")
    set_to(scene, "door.request_valid_seconds", "0")
    assert door.execute(requested["action_id"])["code"] == "request_expired"
    set_to(scene, "door.request_valid_seconds", "60")
    assert door.execute(requested["action_id"])["outcome"] == "terminated"


def test_old_snapshots_are_refused(scene: str, door: Door, session: OpenSession, connect: Connect) -> None:
    holder = doors.hold(session, scene)
    doors.wait(session, scene)
    requested = door.request("terminate", holder.pid)
    door.connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
    assert door.execute(requested["action_id"])["code"] == "not_read_committed"
    door.connection.execute("COMMIT")
    assert doors.alive(scene)(holder.pid)


def test_activity_read_earlier_in_the_transaction_does_not_fool_it(
    scene: str, door: Door, session: OpenSession
) -> None:
    holder = doors.hold(session, scene)
    doors.wait(session, scene)
    requested = door.request("terminate", holder.pid)
    door.connection.execute("BEGIN")
    door.all("SELECT pid FROM pg_stat_activity")
    holder.close()
    poll(lambda: not doors.alive(scene)(holder.pid), what="its end")
    assert door.execute(requested["action_id"])["outcome"] == "already gone"
    door.connection.execute("COMMIT")


def test_what_a_session_does_between_the_check_and_the_signal_counts(
    scene: str, door: Door, session: OpenSession, connect: Connect
) -> None:
    """The check reads the activity, which PostgreSQL would show the same until the transaction's end."""
    admin = connect(scene)
    admin.execute("ALTER FUNCTION lock_admin.refusal_now(bigint, integer[]) RENAME TO refusal_before")
    admin.execute(
        "CREATE FUNCTION lock_admin.refusal_now(p_action_id bigint, p_waiters integer[]) RETURNS text"
        " LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$ DECLARE v_code text; BEGIN"
        " v_code := lock_admin.refusal_before(p_action_id, p_waiters);"
        " PERFORM pg_advisory_xact_lock(77); RETURN v_code; END $$"
    )
    holder = doors.hold(session, scene)
    doors.wait(session, scene)
    admin.execute("SELECT pg_advisory_lock(77), pg_advisory_lock(78)")
    holder.start("SELECT pg_advisory_lock(78)")
    holder.wait_blocked()
    requested = door.request("cancel", holder.pid)
    with ThreadPoolExecutor(1) as beside:
        told = beside.submit(door.execute, requested["action_id"])
        held = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND objid = 77)"
        poll(lambda: admin.execute(held).fetchone() == (True,), what="that it has checked")
        admin.execute("SELECT pg_advisory_unlock(78)")
        holder.result()
        holder.start("SELECT pg_sleep(60)")
        now = "SELECT query = 'SELECT pg_sleep(60)' AND state = 'active' FROM pg_stat_activity WHERE pid = %s"
        poll(lambda: admin.execute(now, [holder.pid]).fetchone() == (True,), what="another statement")
        admin.execute("SELECT pg_advisory_unlock(77)")
        assert told.result()["code"] == "other_statement"
    assert admin.execute(now, [holder.pid]).fetchone() == (True,), "it was not cancelled"


def test_a_signal_that_was_rolled_back_stands_in_the_server_log(
    scene: str, door: Door, session: OpenSession, server: Server
) -> None:
    holder = doors.hold(session, scene)
    doors.wait(session, scene)
    requested = door.request("terminate", holder.pid, reason="line one\nline two")
    door.connection.execute("BEGIN")
    assert door.execute(requested["action_id"])["outcome"] == "terminated"
    door.connection.execute("ROLLBACK")
    row = door.one("SELECT * FROM lock_admin.action_history WHERE action_id = %s", requested["action_id"])
    assert row["outcome"] == "not carried out"
    wanted = f"one vault lock door: action {requested['action_id']} will terminate pid {holder.pid}"

    def logged() -> bool:
        return any(
            wanted in line and "line one line two" in line
            for file in server.log_directory.iterdir()
            for line in file.read_text(encoding="utf-8", errors="replace").splitlines()
        )

    poll(logged, what="the line in the server log")


def test_without_pg_signal_backend_the_outcome_is_not_permitted(
    scene: str, door: Door, session: OpenSession, server: Server
) -> None:
    holder = doors.hold(session, scene)
    doors.wait(session, scene)
    server.execute("REVOKE pg_signal_backend FROM lock_door_owner")
    try:
        outcome = door.stop("terminate", holder.pid)
    finally:
        server.execute("GRANT pg_signal_backend TO lock_door_owner")
    assert (outcome["outcome"], outcome["code"]) == ("not permitted", "not_permitted")
    assert doors.alive(scene)(holder.pid)
    assert (
        door.one("SELECT count(*) AS n FROM lock_admin.action_history WHERE signalled_at IS NOT NULL")["n"]
        == 0
    )


def test_a_statement_timeout_does_not_undo_the_record_of_a_signal(
    scene: str, door: Door, session: OpenSession
) -> None:
    holder = doors.hold(session, scene)
    doors.wait(session, scene)
    # catches its own cancellation, so that the door waits in vain
    holder.start(
        "DO $$ BEGIN LOOP BEGIN PERFORM pg_sleep(20);"
        " EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP; END $$"
    )
    state = "SELECT state FROM lock_catalog.sessions WHERE pid = %s"
    poll(lambda: door.one(state, holder.pid)["state"] == "active", what="its loop")
    requested = door.request("cancel", holder.pid)
    door.connection.execute("SET statement_timeout = '2s'")
    outcome = door.execute(requested["action_id"])
    door.connection.execute("RESET statement_timeout")
    # an answer and no error: the door stopped waiting before the timeout
    assert outcome["outcome"] == "still there", outcome
    assert door.stop("terminate", holder.pid)["outcome"] == "terminated"


def test_two_who_carry_out_the_same_request_signal_once(
    scene: str, door: Door, session: OpenSession, connect: Connect
) -> None:
    holder = doors.hold(session, scene)
    doors.wait(session, scene)
    requested = door.request("terminate", holder.pid)
    first = Door(connect(scene, user=doors.KEEPER, autocommit=False))
    assert first.execute(requested["action_id"])["outcome"] == "terminated"
    assert door.execute(requested["action_id"])["code"] == "already_executed"
    first.connection.commit()
    rows = door.all("SELECT * FROM lock_admin.action_history WHERE action_id = %s", requested["action_id"])
    assert [row["outcome"] for row in rows] == ["terminated"]
