"""Scenes for the door: a table, ordinary logins, sessions that hold a row and sessions that wait for it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import psycopg
from django.db import connections
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import dict_row

from tests.support import vaults
from tests.support.scenes import watched
from tests.support.servers import Server
from tests.support.sessions import Session

ORDINARY = "app_rw"
KEEPER = "door_keeper"
READER = "door_reader"


class Opens(Protocol):
    """The fixture `session`."""

    def __call__(
        self, place: str, user: str | None = None, application_name: str = "test", autocommit: bool = False
    ) -> Session: ...


@dataclass
class Door:
    """A connection in lock_admin_role, each statement a transaction, with the door's calls as methods."""

    connection: psycopg.Connection[Any]

    def one(self, question: str, *values: Any) -> dict[str, Any]:
        """The first row of a question."""
        with self.connection.cursor(row_factory=dict_row) as cursor:
            row = cursor.execute(question, values).fetchone()
        assert row is not None
        return dict(row)

    def all(self, question: str, *values: Any) -> list[dict[str, Any]]:
        """All rows of a question."""
        with self.connection.cursor(row_factory=dict_row) as cursor:
            return list(cursor.execute(question, values).fetchall())

    def identity(self, pid: int) -> tuple[Any, Any]:
        """backend_start and xact_start of a session."""
        row = self.one("SELECT backend_start, xact_start FROM lock_catalog.sessions WHERE pid = %s", pid)
        return row["backend_start"], row["xact_start"]

    def request(self, action: str, pid: int, **other: Any) -> dict[str, Any]:
        """Ask; backend_start is the present one unless given."""
        start = other.pop("backend_start", None) or self.identity(pid)[0]
        return self.one(
            "SELECT * FROM lock_admin.request_action(%s, %s, %s, %s, %s, %s, %s)",
            action,
            pid,
            start,
            other.pop("reason", "a test"),
            other.pop("xact_start", None),
            other.pop("explicit", False),
            other.pop("acting_for", "tester"),
        )

    def execute(self, action_id: int) -> dict[str, Any]:
        """Carry out a request."""
        return self.one("SELECT * FROM lock_admin.execute_action(%s)", action_id)

    def stop(self, action: str, pid: int, **other: Any) -> dict[str, Any]:
        """Request and execute; a refused request is returned as it is."""
        requested = self.request(action, pid, **other)
        return self.execute(requested["action_id"]) if requested["accepted"] else requested


@contextlib.contextmanager
def led(server: Server, vault_db: str) -> Iterator[str]:
    """The alias `vault` leads to a prepared database, as the application's login; its DSN for superusers."""
    prepare(server, vault_db)
    name = str(conninfo_to_dict(vault_db)["dbname"])
    vaults.point_alias("vault", server, name, user=vaults.APP_LOGIN)
    yield vault_db
    connections["vault"].close()
    vaults.point_alias("vault", server, name)


def prepare(server: Server, dsn: str) -> None:
    """Make the logins (once for the cluster) and the table app.accounts with rows 1 to 20 in the database."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        for role, member in ((ORDINARY, None), (KEEPER, "lock_admin_role"), (READER, "lock_monitoring_role")):
            found = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,)).fetchone()
            if found is None:
                connection.execute(f"CREATE ROLE {role} LOGIN")
                if member:
                    connection.execute(f"GRANT {member} TO {role}")
        connection.execute("CREATE SCHEMA IF NOT EXISTS app")
        connection.execute("CREATE TABLE app.accounts (id int PRIMARY KEY, balance int NOT NULL DEFAULT 0)")
        connection.execute("INSERT INTO app.accounts (id) SELECT generate_series(1, 20)")
        connection.execute(f"GRANT ALL ON SCHEMA app TO {ORDINARY}")
        connection.execute(f"GRANT ALL ON app.accounts TO {ORDINARY}")
        connection.execute(f"ALTER TABLE app.accounts OWNER TO {ORDINARY}")
        watched(connection)
        past_episode(connection, 1000, "somebody", 5)


def past_episode(
    connection: psycopg.Connection[Any],
    number: int,
    user: str,
    seconds: int,
    mode: str = "ShareLock",
    others: tuple[int, ...] = (),
) -> None:
    """Store a blocking episode of an hour ago that held up four sessions for so many seconds.

    mode: of the lock that they wait for. others: nodes that hold it, too.
    """
    values = {"n": number, "user": user, "length": seconds, "mode": mode, "blockers": [number, *others]}
    connection.execute(
        "INSERT INTO lock_monitoring.blocking_session_h"
        " (blocking_session_hk, blocking_session_bk, tenant_hk, load_date, record_source)"
        " VALUES (int4send(%(n)s), %(n)s::text, lock_engine.system_tenant(), now(), 'test')",
        values,
    )
    connection.execute(
        "INSERT INTO lock_monitoring.blocking_session_s (blocking_session_hk, load_date, load_end_date,"
        " hash_diff, session_pid, session_start_time, user_name, application_name, database_name,"
        " blocked_sessions_count, blocking_severity, is_superuser, backend_type, record_source, node,"
        " is_root, kind, blocking_since, ended_how)"
        " SELECT int4send(%(n)s), t.began, t.began + make_interval(secs => %(length)s), '\\x00', %(n)s,"
        " t.began, %(user)s, 'billing', 'db', 4, 'HIGH', false, 'client backend', 'test', %(n)s,"
        " true, 'idle_in_transaction', t.began, 'released'"
        " FROM (SELECT now() - interval '1 hour' AS began) AS t",
        values,
    )
    waiter = (
        " FROM generate_series(1, 4) AS w, lock_monitoring.blocking_session_s AS b"
        " WHERE b.blocking_session_hk = int4send(%(n)s)"
    )
    connection.execute(
        "INSERT INTO lock_monitoring.lock_activity_h"
        " (lock_activity_hk, lock_activity_bk, tenant_hk, load_date, record_source)"
        " SELECT int4send(%(n)s) || int4send(w), %(n)s || '/' || w, lock_engine.system_tenant(), now(),"
        " 'test'"
        f"{waiter}",
        values,
    )
    connection.execute(
        "INSERT INTO lock_monitoring.lock_activity_s (lock_activity_hk, load_date, load_end_date, hash_diff,"
        " lock_type, lock_mode, lock_pid, lock_granted, wait_start, wait_start_is_bound, object_key,"
        " blocking_nodes, soft_blocking_nodes, root_nodes, run_head, queue_position, resolution_action,"
        " record_source)"
        " SELECT int4send(%(n)s) || int4send(w), b.load_date, b.load_end_date, '\\x00', 'relation', %(mode)s,"
        " 10 * %(n)s + w, false, b.load_date + w * interval '1 millisecond', false, 'relation:' || %(n)s,"
        " %(blockers)s::bigint[], '{}', %(blockers)s::bigint[], 10 * %(n)s + 1, w, 'granted', 'test'"
        f"{waiter}",
        values,
    )
    connection.execute(
        "INSERT INTO lock_monitoring.lock_blocking_l (link_lock_blocking_hk, blocking_session_hk,"
        " lock_activity_hk, tenant_hk, load_date, record_source)"
        " SELECT sha256(int4send(%(n)s) || int4send(w)), int4send(%(n)s), int4send(%(n)s) || int4send(w),"
        f" lock_engine.system_tenant(), b.load_date, 'test'{waiter}",
        values,
    )


def hold(opens: Opens, dsn: str, row: int = 1, name: str = "billing", user: str = ORDINARY) -> Session:
    """A session idle in a transaction that has updated one row."""
    session = opens(dsn, user=user, application_name=name)
    session.run("UPDATE app.accounts SET balance = balance + 1 WHERE id = %s", [row])
    return session


def wait(opens: Opens, dsn: str, row: int = 1, name: str = "api", autocommit: bool = False) -> Session:
    """A session that waits for that row."""
    session = opens(dsn, user=ORDINARY, application_name=name, autocommit=autocommit)
    session.start("UPDATE app.accounts SET balance = balance + 1 WHERE id = %s", [row])
    return session.wait_blocked()


def alive(dsn: str) -> Callable[[int], bool]:
    """A question: is this pid there?"""

    def ask(pid: int) -> bool:
        with psycopg.connect(dsn, autocommit=True) as connection:
            row = connection.execute("SELECT 1 FROM pg_stat_activity WHERE pid = %s", (pid,)).fetchone()
            return row is not None

    return ask
