"""Scenes for the pages: real sessions that block each other, and rows that say what no session could."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg

from tests.support.sessions import Session

OpenSession = Callable[..., Session]

TABLES = """
CREATE SCHEMA app;
CREATE TABLE app.accounts (id integer PRIMARY KEY, balance integer NOT NULL);
INSERT INTO app.accounts SELECT i, 100 FROM generate_series(1, 20) AS i;
"""


def make_tables(dsn: str) -> None:
    """Make what the scenes quarrel about."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(TABLES)


def row_queue(dsn: str, session: OpenSession, waiters: int = 3) -> tuple[Session, list[Session]]:
    """One session idle in transaction with a row lock, and so many that wait for the row."""
    root = session(dsn, application_name="billing-worker")
    root.run("UPDATE app.accounts SET balance = balance - 7 WHERE id = 1")
    queue = []
    for number in range(waiters):
        waiter = session(dsn, application_name="api")
        waiter.start(f"UPDATE app.accounts SET balance = balance + {number} WHERE id = 1")
        waiter.wait_blocked()
        queue.append(waiter)
    return root, queue


def second_root(dsn: str, session: OpenSession) -> tuple[Session, Session]:
    """Another session idle in transaction beside ``row_queue``'s, with one that waits for its row."""
    root = session(dsn, application_name="nightly")
    root.run("UPDATE app.accounts SET balance = 0 WHERE id = 2")
    waiter = session(dsn, application_name="api")
    waiter.start("UPDATE app.accounts SET balance = 1 WHERE id = 2")
    waiter.wait_blocked()
    return root, waiter


def cycle(dsn: str) -> None:
    """Let the monitor run one full cycle."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("SELECT * FROM lock_monitoring.run_lock_monitoring()")


def hub(connection: psycopg.Connection[Any], name: str, key: str) -> bytes:
    """Insert a hub row; its key is the hash of ``key``."""
    connection.execute(
        f"INSERT INTO lock_monitoring.{name}_h ({name}_hk, {name}_bk, tenant_hk, record_source)"
        " SELECT sha256(convert_to(%(key)s, 'UTF8')), %(key)s,"
        " (SELECT tenant_hk FROM auth.tenant_h LIMIT 1), 'test'",
        {"key": key},
    )
    found = connection.execute("SELECT sha256(convert_to(%s, 'UTF8'))", [key]).fetchone()
    assert found is not None
    return bytes(found[0])


def insert(connection: psycopg.Connection[Any], table: str, values: dict[str, Any]) -> None:
    """Insert one satellite row as the table's owner."""
    names = ", ".join(values)
    marks = ", ".join(f"%({name})s" for name in values)
    connection.execute(f"INSERT INTO lock_monitoring.{table} ({names}) VALUES ({marks})", values)


def watched(connection: psycopg.Connection[Any], days: float = 60) -> None:
    """Let this vault have been watched for so many days up to now, by cycles called from cron."""
    connection.execute(
        "UPDATE lock_engine.watch_state SET first_look_at = clock_timestamp() - make_interval(secs => %s),"
        " last_look_at = clock_timestamp(), by_loop = false",
        [days * 86400],
    )
