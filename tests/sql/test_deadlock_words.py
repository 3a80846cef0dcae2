"""What is said of a ring given as its members: what is certain of them, and nothing of another database."""

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest

from tests.conftest import Connect, OpenSession
from tests.support.deadlock_play import SETUP

WAIT = {"lock_type": "transactionid", "wanted_mode": "ShareLock", "wanted": "transaction 5"}
SUGGESTION = "SELECT lock_engine.deadlock_suggestion(%s), current_database()"


def ring(*members: dict[str, Any]) -> list[dict[str, Any]]:
    """Members that wait each for the next, for a row unless they say otherwise."""
    count = len(members)
    return [
        WAIT | {"pid": n + 1, "blocked_by": (n + 1) % count + 1} | member for n, member in enumerate(members)
    ]


def said(connection: psycopg.Connection[Any], members: list[dict[str, Any]]) -> str:
    """The advice for a ring."""
    row = connection.execute(SUGGESTION, [json.dumps(members)]).fetchone()
    assert row is not None
    return str(row[0])


@pytest.fixture
def here(vault_db: str, connect: Connect) -> psycopg.Connection[Any]:
    """A connection to a database with tables."""
    connection = connect(vault_db)
    connection.execute(SETUP)
    return connection


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"lock_type": "advisory", "wanted": "advisory lock 1"}, "exclusive one first"),
        ({"query": "ALTER TABLE a ADD c int", "wanted_mode": "AccessExclusiveLock", "lock_type": "relation"},
         "IN ACCESS EXCLUSIVE MODE as the first statement"),
        ({"table": "public.a", "page": 0, "tuple": 1}, "the same row"),
        ({"query": "UPDATE a SET n = 1 WHERE id = 1"}, "which does not show. This ends both"),
        ({"query": "SELECT move(1, 2)"}, "cannot be concluded"),
        ({"query": "SELECT touch(id) FROM runs"}, "cannot be concluded"),
        ({"query": "CALL move(1, 2)"}, "cannot be concluded"),
        ({"query": "WITH x AS (SELECT 1 FROM a FOR UPDATE) UPDATE b SET n = 1"}, "cannot be concluded"),
        ({}, "cannot be concluded"),
    ],
)  # fmt: skip
def test_the_advice_follows_from_the_ring(vault_db: str, change: dict[str, Any], expected: str) -> None:
    with psycopg.connect(vault_db) as connection:
        assert expected in said(connection, ring(change, change))


@pytest.mark.parametrize(
    "query",
    [
        "SELECT EXISTS (SELECT 1 FROM parent WHERE parent.id = r.id) FROM runs r WHERE id = 1 FOR UPDATE",
        "SELECT extract(epoch FROM n) FROM runs WHERE id = 1 FOR UPDATE",
        "SELECT 1 FROM parent p JOIN runs r USING (id) FOR UPDATE OF r",
        "SELECT 1 FROM parent WHERE id IN (SELECT id FROM runs) FOR UPDATE",
    ],
)
def test_a_table_within_a_select_is_not_taken_for_the_one_that_it_locks(
    here: psycopg.Connection[Any], query: str
) -> None:
    database = {"database": str(here.execute("SELECT current_database()").fetchone()[0])}  # type: ignore[index]
    text = said(here, ring({"query": query} | database, {"query": query} | database))
    assert "cannot be concluded" in text and "parent" not in text
    plain = {"query": "SELECT 1 FROM runs WHERE id = 1 FOR UPDATE"} | database
    assert "public.runs" in said(here, ring(plain, plain))


def test_rows_that_are_known_to_differ_were_taken_in_different_orders(vault_db: str) -> None:
    """Sorting them was advised where each had locked the same row more weakly before, too."""
    one = {"query": "UPDATE runs SET n = 1", "page": 0, "row_mode": "FOR NO KEY UPDATE"}
    members = ring(one | {"table": "public.runs", "tuple": 1}, one | {"tuple": 2})
    with psycopg.connect(vault_db) as connection:
        assert "runs on several rows of public.runs in different orders" in said(connection, members)


def test_a_newer_version_may_be_the_same_row(here: psycopg.Connection[Any]) -> None:
    """A KEY SHARE lets the row be changed, which moves it: two places, one row."""
    one = {"database": here.info.dbname, "table": "public.parent", "page": 0}
    members = ring(
        one | {"tuple": 1, "row_mode": "FOR NO KEY UPDATE", "query": "UPDATE parent SET n = 1"},
        one | {"tuple": 6, "row_mode": "FOR UPDATE", "query": "DELETE FROM parent"},
    )
    advice = said(here, members)
    assert "which does not show" in advice and "Different statements" not in advice
    for member in members:
        member |= {"table": "public.runs"}
    assert "it may be one row" in said(here, members)
    for member in members:
        member |= {"row_mode": "FOR NO KEY UPDATE"}
    assert "it may be one row" not in said(here, members)


def test_the_catalog_is_asked_for_this_database_alone(here: psycopg.Connection[Any]) -> None:
    """The foreign keys of this database were told of a deadlock in another one."""
    one = {"query": "SELECT 1 FROM parent WHERE id = 1 FOR UPDATE"}
    of_this = one | {"database": here.info.dbname}
    assert "child_parent_id_fkey" in said(here, ring(of_this, of_this))
    for other in (one, one | {"database": "elsewhere"}):
        advice = said(here, ring(of_this, other))
        assert "child_parent_id_fkey" not in advice
        assert "Told by the statements" in advice


def test_a_name_that_two_tables_have_is_no_table(here: psycopg.Connection[Any]) -> None:
    here.execute("CREATE SCHEMA other; CREATE TABLE other.runs (id int)")
    one = {"database": here.info.dbname}
    members = ring(one | {"query": "UPDATE runs SET n = 1"}, one | {"query": "UPDATE public.runs SET n = 1"})
    assert "nothing shows in which table 1 waits" in said(here, members)
    here.execute("DROP TABLE other.runs")
    assert "rows of public.runs" in said(here, members)


def test_a_foreign_key_without_an_index_is_no_cause(here: psycopg.Connection[Any]) -> None:
    """An index was advised, which ends no deadlock: a check locks the same rows with and without."""
    here.execute("CREATE TABLE late (parent_id int REFERENCES parent)")
    one = {"database": here.info.dbname, "page": 0, "tuple": 1}
    advice = said(
        here,
        ring(
            one | {"query": "UPDATE late SET parent_id = NULL", "table": "public.late"},
            one | {"query": "UPDATE parent SET n = 1", "table": "public.parent"},
        ),
    )
    assert "index" not in advice
    assert "public.parent, then public.late" in advice


def test_inserts_whose_trigger_or_foreign_key_may_wait_are_no_certain_keys(
    here: psycopg.Connection[Any],
) -> None:
    wait = "INSERT INTO child (parent_id) VALUES (1)"
    one: dict[str, Any] = {"database": here.info.dbname, "query": wait}
    key = one | {"context": 'while inserting index tuple (0,1) in relation "child_pkey"'}
    assert "cannot be concluded" in said(here, ring(one, key))
    one |= {"pids": [1]}
    assert "Told by the statements" in said(here, ring(one, key))
    assert "Told by the statements" not in said(here, ring(key, key))
    here.execute(
        "CREATE FUNCTION bump() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN UPDATE runs SET n = n + 1; RETURN NULL; END $$;"
        "CREATE TRIGGER bump AFTER INSERT ON child FOR EACH ROW EXECUTE FUNCTION bump()"
    )
    assert "cannot be concluded" in said(here, ring(one, key))


def test_an_exclusion_constraint_is_known_without_the_log(here: psycopg.Connection[Any]) -> None:
    here.execute("CREATE TABLE bookings (during int4range, EXCLUDE USING gist (during WITH &&))")
    one = {"database": here.info.dbname, "pids": [1], "query": "INSERT INTO bookings VALUES ('[1,2]')"}
    assert "sorted by the constraint's columns" in said(here, ring(one, one))
    assert "take turns" not in said(here, ring(one, one))
    here.execute("ALTER TABLE bookings ADD id serial PRIMARY KEY")
    assert "several unique keys" in said(here, ring(one, one))
    named = one | {"context": 'while checking exclusion constraint on tuple (0,1) in relation "bookings"'}
    assert "sorted by the constraint's columns" in said(here, ring(named, one))
    assert "take turns" in said(here, ring(named, one))


def test_who_is_only_before_the_next_in_the_queue_holds_nothing(here: psycopg.Connection[Any]) -> None:
    table = {"lock_type": "relation", "database": here.info.dbname}
    advice = said(
        here,
        ring(
            table
            | {"wanted": "table public.runs", "table": "public.runs", "wanted_mode": "RowExclusiveLock"}
            | {"behind_in_queue": True, "query": "UPDATE runs SET n = 1"},
            table
            | {
                "wanted": "table public.parent",
                "table": "public.parent",
                "wanted_mode": "AccessExclusiveLock",
            }
            | {"query": "LOCK TABLE parent"},
        ),
    )
    assert "(2) waits before the next one for table public.runs and wants table public.parent" in advice
    assert "(1) holds table public.parent" in advice


def test_no_lock_of_the_site_is_waited_for(
    here: psycopg.Connection[Any], vault_db: str, session: OpenSession
) -> None:
    holder = session(vault_db)
    holder.run("LOCK TABLE parent, child, runs IN ACCESS EXCLUSIVE MODE")
    holder.run("ALTER TABLE child ADD c int")
    here.execute("SET lock_timeout = '100ms'")
    one = {"database": here.info.dbname}
    members = ring(
        one | {"query": "UPDATE child SET n = 1"}, one | {"query": "DELETE FROM parent WHERE id = 1"}
    )
    assert "public.parent, then public.child" in said(here, members)


@pytest.mark.parametrize(
    ("query", "table"),
    [
        ('UPDATE "Open Runs" SET n = 1', "Open Runs"),
        ('DELETE FROM ONLY Shop . "Order" WHERE id = 1', "shop.Order"),
        ("MERGE INTO Stock s USING x ON true", "stock"),
        ('LOCK TABLE "a""b" IN SHARE MODE', 'a"b'),
        ("insert into größe values (1)", "größe"),
        ("/* UPDATE no */ SELECT 'UPDATE no' FROM yes", "yes"),
        ("TRUNCATE staging", "staging"),
        ("ALTER TABLE IF EXISTS ONLY a.b ADD c int", "a.b"),
        ("SELECT 1 FROM runs FOR UPDATE SKIP LOCKED", "runs"),
        ("CALL move(1)", None),
    ],
)
def test_the_table_that_a_statement_names(
    here: psycopg.Connection[Any], query: str, table: str | None
) -> None:
    assert here.execute("SELECT lock_engine.statement_table(%s)", [query]).fetchone() == (table,)


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("runs", "public.runs"),
        ("public.seen", "public.runs"),
        ("seen_again", "public.runs"),
        ("twice", None),
        ("facts_1", "public.facts"),
        ("nowhere", None),
    ],
)
def test_one_table_however_it_is_named(here: psycopg.Connection[Any], name: str, table: str | None) -> None:
    here.execute(
        "CREATE VIEW seen AS SELECT * FROM runs; CREATE VIEW seen_again AS SELECT id FROM seen;"
        "CREATE VIEW twice AS SELECT r.id FROM runs r JOIN parent p USING (id);"
        "CREATE TABLE facts (id int) PARTITION BY RANGE (id);"
        "CREATE TABLE facts_1 PARTITION OF facts DEFAULT"
    )
    assert here.execute("SELECT lock_engine.table_named(%s)", [name]).fetchone() == (table,)
