"""Attempts without the right: the first of each person are kept one by one, all are counted."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from tests.conftest import Connect
from tests.support import doors
from tests.support.servers import Server

TRY = "SELECT lock_admin.record_denied('terminate', 4711, now(), 'because', %s, 'admin')"
MANY = (
    "SELECT count(lock_admin.record_denied('terminate', 4711, now(), 'because', %s, 'admin'))"
    " FROM generate_series(1, %s)"
)
KEPT = (
    "SELECT logged_by, coalesce(acting_for, ''), count(*) FROM lock_admin.action_history"
    " WHERE code = 'no_right' GROUP BY 1, 2 ORDER BY 1, 2"
)
COUNTED = "SELECT logged_by, acting_for, attempts, stored FROM lock_admin.denied_count ORDER BY 1, 2"
OTHER = "door_reader_two"
PAGES = "pages_login"


@pytest.fixture
def scene(server: Server, vault_db: str) -> str:
    """Two readers, and the pages' login."""
    doors.prepare(server, vault_db)
    with psycopg.connect(vault_db, autocommit=True) as dba:
        for role in (OTHER, PAGES):
            if not dba.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone():
                dba.execute(f"CREATE ROLE {role} LOGIN IN ROLE lock_monitoring_role")
        dba.execute("INSERT INTO lock_admin.application_login (login) VALUES (%s)", [PAGES])
        # an hour that ends within the test would begin the counting anew
        dba.execute(
            "SELECT pg_sleep(2) WHERE date_part('minute', now()) = 59 AND date_part('second', now()) > 57"
        )
    return vault_db


def found(dba: psycopg.Connection[Any], question: str) -> list[tuple[Any, ...]]:
    return dba.execute(question).fetchall()


def test_a_flood_by_one_login_hides_nobody_elses(scene: str, connect: Connect) -> None:
    dba, flooder, other = connect(scene), connect(scene, user=doors.READER), connect(scene, user=OTHER)
    assert flooder.execute(MANY, ["eve", 3000]).fetchone() == (100,)
    # another name is the same person: who can type SQL can type any name
    assert flooder.execute(TRY, ["mallory"]).fetchone() == (None,)
    assert other.execute(TRY, ["carol"]).fetchone() != (None,)
    assert found(dba, KEPT) == [(doors.READER, "eve", 100), (OTHER, "carol", 1)]
    assert found(dba, COUNTED) == [(doors.READER, "", 3001, 100), (OTHER, "", 1, 1)]
    facts = dba.execute(
        "SELECT actions_refused_1_hour, denied_not_stored_1_hour, denied_people_1_hour"
        " FROM monitoring.alert_facts"
    ).fetchone()
    assert facts == (3002, 2901, 2)


def test_a_flood_by_one_web_login_hides_no_other_web_logins(scene: str, connect: Connect) -> None:
    dba, pages = connect(scene), connect(scene, user=PAGES)
    pages.execute(MANY, ["eve", 120])
    assert pages.execute(TRY, ["carol"]).fetchone() != (None,)
    assert found(dba, KEPT) == [(PAGES, "carol", 1), (PAGES, "eve", 100)]
    assert found(dba, COUNTED) == [(PAGES, "carol", 1, 1), (PAGES, "eve", 120, 100)]


def test_what_names_can_fill_is_bounded(scene: str, connect: Connect) -> None:
    dba, pages = connect(scene), connect(scene, user=PAGES)
    pages.execute(
        "SELECT count(lock_admin.record_denied('terminate', 1, now(), 'x', 'name ' || g, 'admin'))"
        " FROM generate_series(1, 400) AS g"
    )
    rows, attempts = dba.execute(
        "SELECT count(*), sum(attempts) FROM lock_admin.denied_count"
    ).fetchone() or (0, 0)
    assert (rows, attempts) == (51, 400)
    assert dba.execute("SELECT count(*) FROM lock_admin.action_log WHERE step = 'request'").fetchone() == (
        150,
    )


def test_nobody_but_the_door_counts(scene: str, connect: Connect) -> None:
    for user in (doors.READER, doors.KEEPER, PAGES):
        connection = connect(scene, user=user)
        for statement in (
            "DELETE FROM lock_admin.denied_count",
            "UPDATE lock_admin.denied_count SET attempts = 0",
            "INSERT INTO lock_admin.denied_count VALUES (now(), 'x', 'x', 1, 1, now(), now())",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)
