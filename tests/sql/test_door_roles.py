"""The door: its log only grows, and each role may what it may."""

from __future__ import annotations

import pytest
from psycopg import errors

from tests.conftest import Connect
from tests.support import doors
from tests.support.doors import Door
from tests.support.servers import Server


@pytest.fixture
def scene(server: Server, vault_db: str) -> str:
    """A database with the vault, the table and the logins."""
    doors.prepare(server, vault_db)
    return vault_db


@pytest.fixture
def door(scene: str, connect: Connect) -> Door:
    """A keeper of the door: lock_admin_role, no superuser."""
    return Door(connect(scene, user=doors.KEEPER))


def test_the_log_only_grows(scene: str, door: Door, connect: Connect) -> None:
    door.request("terminate", 1, backend_start="2020-01-01")
    root = connect(scene)
    for statement in (
        "UPDATE lock_admin.action_log SET reason = 'x'",
        "DELETE FROM lock_admin.action_log",
        "TRUNCATE lock_admin.action_log",
        "SET session_replication_role = replica; DELETE FROM lock_admin.action_log",
    ):
        with pytest.raises(errors.InsufficientPrivilege, match="only grows"):
            root.execute(statement)
    root.execute("RESET session_replication_role")
    for role in ("lock_action_log_owner", "lock_door_owner", "lock_admin_role", "lock_monitoring_role"):
        row = root.execute(
            "SELECT has_table_privilege(%s, 'lock_admin.action_log', 'UPDATE'),"
            " has_table_privilege(%s, 'lock_admin.action_log', 'DELETE'),"
            " has_table_privilege(%s, 'lock_admin.action_log', 'TRUNCATE')",
            (role, role, role),
        ).fetchone()
        assert row == (False, False, False), role


CALLS = {
    "request": "SELECT * FROM lock_admin.request_action('terminate', 1, now(), 'x')",
    "execute": "SELECT * FROM lock_admin.execute_action(1)",
    "plan": "SELECT * FROM lock_admin.resolve_plan(NULL, 10)",
    "resolve": "SELECT * FROM lock_monitoring.auto_resolve_blocking()",
    "save policy": "SELECT * FROM lock_admin.save_policy('p',"
    ' \'{"action": "cancel", "min_blocked_seconds": 5}\')',
    "policy mode": "SELECT * FROM lock_admin.set_policy_mode('p', 'off', 'x')",
    "back-test": "SELECT lock_admin.backtest_policy('p')",
    "look": "SELECT lock_admin.session_facts(1)",
    "simulate": "SELECT lock_admin.simulate(1)",
    "rescue": "SELECT * FROM lock_admin.rescue_plan()",
    "run policies": "SELECT * FROM lock_admin.run_policies()",
    "record": "SELECT lock_admin.record_denied('terminate', 1, now(), 'x', 'somebody', 'admin')",
    "history": "SELECT * FROM lock_admin.action_history",
    "file request": "SELECT * FROM lock_admin.file_request('terminate', 1, now(), NULL, 'x', true, 'x',"
    " 'policy', NULL, NULL)",
    "signal": "SELECT * FROM lock_admin.signal_session(1, 1)",
    "forge": "INSERT INTO lock_admin.action_log (step, origin) VALUES ('request', 'sql')",
}
READING = {"look", "simulate", "rescue", "run policies", "record", "history"}
KEEPING = READING | {"request", "execute", "plan", "resolve", "save policy", "policy mode", "back-test"}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("user", "allowed"),
    [(doors.ORDINARY, set()), (doors.READER, READING), (doors.KEEPER, KEEPING)],
    ids=["nobody", "reader", "keeper"],
)
def test_role_by_action(scene: str, connect: Connect, call: str, user: str, allowed: set[str]) -> None:
    keeper = connect(scene, user=doors.KEEPER)
    keeper.execute(CALLS["save policy"])
    connection = connect(scene, user=user)
    if call in allowed:
        connection.execute(CALLS[call])
    else:
        with pytest.raises(errors.InsufficientPrivilege):
            connection.execute(CALLS[call])


def test_an_attempt_without_the_right_is_on_record(scene: str, door: Door, connect: Connect) -> None:
    reader = connect(scene, user=doors.READER)
    reader.execute("SELECT lock_admin.record_denied('terminate', 4711, now(), 'because', 'eve', 'admin')")
    row = door.one("SELECT * FROM lock_admin.action_history")
    assert (row["code"], row["acting_for"], row["logged_by"], row["outcome"]) == (
        "no_right",
        "eve",
        doors.READER,
        "refused",
    )
