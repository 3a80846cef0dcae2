"""Rows that are kept aside: two tenants, sessions of theirs, and in which tables their rows are."""

from __future__ import annotations

from typing import Any

import psycopg

from tests.conftest import OpenSession
from tests.support.sessions import Session
from tests.support.stored import VAULT_TABLES, Stored
from tests.support.tangle import prepare

ACME, BOLT = b"\xac\x3e", b"\xb0\x17"
# Whatever a tenant's row or all of its table may be locked by, so that a foreign key has to wait.
LOCKS = {
    "row for update": "SELECT * FROM auth.tenant_h WHERE tenant_bk = 'ACME' FOR UPDATE",
    "row with its key changed": "UPDATE auth.tenant_h SET tenant_hk = tenant_hk WHERE tenant_bk = 'ACME';"
    "UPDATE auth.tenant_h SET tenant_hk = '\\xacac' WHERE tenant_bk = 'ACME'",
    "row deleted": "DELETE FROM auth.tenant_h WHERE tenant_bk = 'ACME'",
    "table exclusive": "LOCK TABLE auth.tenant_h IN EXCLUSIVE MODE",
    "table access exclusive": "LOCK TABLE auth.tenant_h IN ACCESS EXCLUSIVE MODE",
    "users and tenants": "LOCK TABLE auth.tenant_h, auth.user_h IN ACCESS EXCLUSIVE MODE",
}


def two_tenants(dsn: str) -> None:
    """Make the tables to quarrel about, and the tenants ACME and BOLT."""
    prepare(dsn)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO auth.tenant_h (tenant_hk, tenant_bk, record_source)"
            " VALUES (%s, 'ACME', 't'), (%s, 'BOLT', 't')",
            [ACME, BOLT],
        )


def seen_before(connection: psycopg.Connection[Any], *tenants: str) -> None:
    """Have the tenants read whose names are claimed, as happens once sessions of theirs were seen."""
    for tenant in tenants:
        connection.execute("SELECT lock_engine.tenant_of('postgres', %s)", [f"tenant={tenant}"])
    connection.execute("SELECT lock_engine.tenant_of('postgres', NULL)")
    connection.execute("SELECT lock_engine.ask_site(true)")


def of(stored: Stored, pid: int) -> list[dict[str, Any]]:
    """Hubs and rows of a session's locks, and in which table each one is."""
    return stored.rows(
        "SELECT h.tenant_hk, h.lock_activity_bk, h.load_date AS hub_date, s.load_date, s.load_end_date,"
        " s.satellite_id, s.resolution_action, h.tableoid::regclass::text AS hub_in,"
        " s.tableoid::regclass::text AS row_in"
        " FROM lock_monitoring.lock_activity_h h"
        " JOIN lock_monitoring.lock_activity_s s USING (lock_activity_hk)"
        " WHERE s.lock_pid = %s ORDER BY s.satellite_id",
        pid,
    )


def places(stored: Stored, pid: int) -> set[tuple[str, str]]:
    """Which tables have the session's hubs and rows."""
    return {(row["hub_in"], row["row_in"]) for row in of(stored, pid)}


PUBLISHED = {("lock_monitoring.lock_activity_h", "lock_monitoring.lock_activity_s")}
ASIDE = {("lock_engine.aside_lock_activity_h", "lock_engine.aside_lock_activity_s")}


def lasting(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What of the rows stays, whatever table they are in and whether they have ended since."""
    passing = (
        "hub_in",
        "row_in",
        "load_end_date",
        "resolution_action",
        "resolution_timestamp",
        "ended_how",
        "ended_at",
    )
    return [{key: row[key] for key in row if key not in passing} for row in rows]


def aside(stored: Stored) -> int:
    """How many rows are aside."""
    return sum(stored.value(f"SELECT count(*) FROM lock_engine.aside_{name}") for name in VAULT_TABLES)


def blocked_pair(scene: str, session: OpenSession, tenant: str, row: int) -> tuple[Session, Session]:
    """Two sessions of a tenant, the second waiting for the first."""
    pair = tuple(session(scene, application_name=f"tenant={tenant}") for _ in range(2))
    pair[0].run(f"UPDATE app.t0 SET n = 1 WHERE id = {row}")
    pair[1].start(f"UPDATE app.t0 SET n = 1 WHERE id = {row}")
    pair[1].wait_blocked()
    return pair[0], pair[1]
