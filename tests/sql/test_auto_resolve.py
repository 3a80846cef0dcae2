"""lock_monitoring.auto_resolve_blocking: roots only, eligible only, cancel first, through the door."""

from __future__ import annotations

from collections.abc import Callable
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

RESOLVE = "SELECT * FROM lock_monitoring.auto_resolve_blocking(NULL, 0, %s)"


@pytest.fixture
def scene(server: Server, vault_db: str) -> str:
    """A database with the vault, in which every blocker is severe enough."""
    doors.prepare(server, vault_db)
    set_to(vault_db, "auto_resolve.min_severity", '"LOW"')
    return vault_db


@pytest.fixture
def door(scene: str, connect: Connect) -> Door:
    """A keeper of the door."""
    return Door(connect(scene, user=doors.KEEPER))


def set_to(dsn: str, name: str, value: str) -> None:
    """Change a setting."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("UPDATE lock_admin.setting SET value = %s::jsonb WHERE name = %s", (value, name))


def everything_stored(dsn: str) -> dict[str, int]:
    """How many rows each table of the vault and of the door has."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        tables = connection.execute(
            "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables"
            " WHERE schemaname IN ('lock_monitoring', 'lock_admin') ORDER BY 1"
        ).fetchall()
        counts = {}
        for (table,) in tables:
            row = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
            assert row is not None
            counts[table] = row[0]
        return counts


def test_the_dry_run_changes_nothing_and_says_why_each_is_spared(
    scene: str, door: Door, session: OpenSession
) -> None:
    holder = doors.hold(session, scene)
    first = doors.wait(session, scene)
    doors.wait(session, scene)
    root = session(scene, application_name="dba")
    root.run("UPDATE app.accounts SET balance = 3 WHERE id = 5")
    doors.wait(session, scene, row=5)
    before = everything_stored(scene)
    rows = {row["session_pid"]: row for row in door.all(RESOLVE, True)}
    assert everything_stored(scene) == before
    assert (rows[holder.pid]["action_taken"], rows[holder.pid]["resolution_result"]) == (
        "would terminate",
        "dry run",
    )
    assert rows[first.pid]["resolution_result"] == "spared"
    assert "only roots" in rows[first.pid]["impact_assessment"]
    assert "superuser" in rows[root.pid]["impact_assessment"]
    assert doors.alive(scene)(holder.pid)


def test_an_idle_transaction_is_terminated_at_once(scene: str, door: Door, session: OpenSession) -> None:
    holder = doors.hold(session, scene)
    waiter = doors.wait(session, scene)
    rows = [row for row in door.all(RESOLVE, False) if row["session_pid"] == holder.pid]
    assert [(row["action_taken"], row["resolution_result"]) for row in rows] == [("terminate", "terminated")]
    waiter.result()
    row = door.one("SELECT * FROM lock_admin.action_history")
    assert (row["origin"], row["outcome"]) == ("auto_resolve", "terminated")
    assert row["reason"].startswith("auto_resolve_blocking: ")


def test_a_running_statement_is_cancelled_first_and_terminated_after_the_grace_period(
    scene: str, door: Door, session: OpenSession
) -> None:
    holder = doors.hold(session, scene)
    doors.wait(session, scene)
    # a statement that survives its cancellation, as a client does that catches the error
    stubborn = (
        "DO $$ BEGIN LOOP BEGIN PERFORM pg_sleep(60);"
        " EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP; END $$"
    )
    holder.start(stubborn)
    poll(
        lambda: (
            door.one("SELECT state FROM lock_catalog.sessions WHERE pid = %s", holder.pid)["state"]
            == "active"
        )
    )

    def mine() -> tuple[str, str, str]:
        (row,) = [row for row in door.all(RESOLVE, False) if row["session_pid"] == holder.pid]
        return row["action_taken"], row["resolution_result"], row["impact_assessment"]

    assert mine()[:2] == ("cancel", "still there")
    action, result, why = mine()
    assert (action, result) == ("none", "spared")
    assert "was cancelled" in why
    set_to(scene, "auto_resolve.grace_seconds", "0")
    assert mine()[:2] == ("terminate", "terminated")
    # the cancelled statement was still there then; what became of it is said once
    assert door.one("SELECT lock_admin.follow_up() AS n")["n"] == 1
    assert door.one("SELECT lock_admin.follow_up() AS n")["n"] == 0
    row = door.one("SELECT outcome, later_message FROM lock_admin.action_history ORDER BY action_id LIMIT 1")
    assert (row["outcome"], "is over now" in row["later_message"]) == ("still there", True)


def test_duration_severity_and_protection_spare(scene: str, door: Door, session: OpenSession) -> None:
    holder = doors.hold(session, scene, name="pg_dump")
    doors.wait(session, scene)

    def why(seconds: int = 0) -> str:
        rows = door.all("SELECT * FROM lock_monitoring.auto_resolve_blocking(NULL, %s, true)", seconds)
        (text,) = [row["impact_assessment"] for row in rows if row["session_pid"] == holder.pid]
        return str(text)

    assert "behind it" in why()
    assert "not 3600 s" in why(3600)
    set_to(scene, "auto_resolve.min_severity", '"CRITICAL"')
    assert "min_severity" in why()
    set_to(scene, "auto_resolve.min_severity", '"LOW"')
    # an application name alone is a claim and protects nobody; with its user it does
    set_to(scene, "door.protected_applications", '[{"application": "pg_dump*", "user": "app_*"}]')
    assert "protected application" in why()


def test_at_most_five_in_one_run(scene: str, door: Door, session: OpenSession) -> None:
    holders = [doors.hold(session, scene, row=row) for row in range(1, 8)]
    for row in range(1, 8):
        doors.wait(session, scene, row=row)
    rows = door.all(RESOLVE, False)
    assert [row["resolution_result"] for row in rows].count("terminated") == 5
    assert sum("at most 5" in row["impact_assessment"] for row in rows) == 2
    assert sum(doors.alive(scene)(one.pid) for one in holders) == 2


def test_a_tenant_and_nobody_else(scene: str, door: Door, session: OpenSession) -> None:
    with psycopg.connect(scene, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO auth.tenant_h (tenant_hk, tenant_bk, record_source)"
            " VALUES (sha256('acme'), 'acme', 'test')"
        )
    hers = doors.hold(session, scene, row=1, name="web tenant=acme")
    his = doors.hold(session, scene, row=2)
    doors.wait(session, scene, row=1)
    doors.wait(session, scene, row=2)
    rows = door.all("SELECT * FROM lock_monitoring.auto_resolve_blocking(sha256('acme'), 0, true)")
    assert {row["session_pid"] for row in rows} == {hers.pid}
    assert doors.alive(scene)(his.pid)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [("NULL, -1, true", "must be 0 or more"), ("'\\x00'::bytea, 5, true", "no tenant")],
)
def test_bad_input_is_one_sentence(scene: str, door: Door, arguments: str, sentence: str) -> None:
    with pytest.raises(errors.InvalidParameterValue, match=sentence):
        door.all(f"SELECT * FROM lock_monitoring.auto_resolve_blocking({arguments})")


class Between:
    """Another session at the moment at which a session has been chosen and the door is asked to signal it."""

    def __init__(self, admin: psycopg.Connection[Any]) -> None:
        self.admin = admin
        admin.execute("ALTER FUNCTION lock_admin.signal_session(bigint, numeric) RENAME TO signal_then")
        admin.execute(
            "CREATE FUNCTION lock_admin.signal_session(p_action_id bigint, p_wait_seconds numeric)"
            " RETURNS TABLE (action_id bigint, outcome text, code text, message text, waited_ms numeric,"
            " recovery_ms numeric, comparison jsonb) LANGUAGE plpgsql"
            " SET search_path = pg_catalog, pg_temp AS $$ BEGIN PERFORM pg_advisory_xact_lock(77);"
            " RETURN QUERY SELECT s.* FROM lock_admin.signal_then(p_action_id, p_wait_seconds) AS s; END $$"
        )

    def resolve(self, door: Door, meanwhile: Callable[[], None], pid: int) -> str:
        """What auto_resolve_blocking() says of a session for which something changes in between."""
        self.admin.execute("SELECT pg_advisory_lock(77)")
        held = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND objid = 77)"
        with ThreadPoolExecutor(1) as beside:
            told = beside.submit(door.all, RESOLVE, False)
            try:
                poll(lambda: self.admin.execute(held).fetchone() == (True,), what="that it has chosen")
                meanwhile()
            finally:
                self.admin.execute("SELECT pg_advisory_unlock(77)")
            (row,) = [row for row in told.result() if row["session_pid"] == pid]
        assert row["resolution_result"] == "refused", row
        return str(row["impact_assessment"])


def test_who_waits_itself_by_the_time_of_the_signal_is_left_alone(
    scene: str, door: Door, session: OpenSession, connect: Connect
) -> None:
    between = Between(connect(scene))
    holder = doors.hold(session, scene)
    doors.wait(session, scene)
    doors.hold(session, scene, row=9)

    def meanwhile() -> None:
        holder.start("UPDATE app.accounts SET balance = 3 WHERE id = 9")
        holder.wait_blocked()

    assert "waits itself now" in between.resolve(door, meanwhile, holder.pid)
    assert doors.alive(scene)(holder.pid)


def test_who_holds_up_others_than_those_who_had_waited_for_long_is_left_alone(
    scene: str, door: Door, session: OpenSession, connect: Connect
) -> None:
    between = Between(connect(scene))
    holder = doors.hold(session, scene)
    waiter = doors.wait(session, scene)
    since = (
        "SELECT clock_timestamp() - blocking_since > interval '1.1 seconds' FROM lock_catalog.waits_for()"
        " WHERE pid = %s"
    )

    def meanwhile() -> None:
        poll(lambda: between.admin.execute(since, [holder.pid]).fetchone() == (True,), what="a second")
        between.admin.execute("SELECT pg_cancel_backend(%s)", [waiter.pid])
        with pytest.raises(errors.QueryCanceled):
            waiter.result()
        doors.wait(session, scene)

    assert "wait no more" in between.resolve(door, meanwhile, holder.pid)
    assert doors.alive(scene)(holder.pid)
