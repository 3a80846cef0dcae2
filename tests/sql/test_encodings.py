"""Text of other encodings: sessions, names and log lines are bytes until they are proven to be text."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from tests.conftest import Connect
from tests.support import strangers
from tests.support.poll import poll
from tests.support.servers import Server
from tests.support.strangers import Abroad

MARKED = rb"\xE9".decode()


@pytest.fixture
def abroad(server: Server) -> Iterator[Abroad]:
    """Databases in other encodings and sessions there."""
    with strangers.abroad(server) as there:
        yield there


@pytest.fixture(scope="module", params=["UTF8", "LATIN1", "WIN1252", "EUC_JP", "EUC_TW"])
def words(server: Server, request: pytest.FixtureRequest) -> Iterator[psycopg.Connection[Any]]:
    """A connection to an installed vault in one of these encodings."""
    with (
        strangers.vault_in(server, request.param) as place,
        psycopg.connect(place, autocommit=True) as connection,
    ):
        yield connection


def of_bytes(connection: psycopg.Connection[Any], data: bytes, *, json: bool = False) -> str:
    row = connection.execute(
        "SELECT lock_catalog.readable_bytes(%s, getdatabaseencoding(), %s)", [data, json]
    ).fetchone()
    assert row is not None
    return str(row[0])


def encoding_of(connection: psycopg.Connection[Any]) -> str:
    row = connection.execute("SELECT getdatabaseencoding()").fetchone()
    assert row is not None
    return str(row[0])


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b"", ""),
        (b"SELECT 'plain'", "SELECT 'plain'"),
        ("caf\u00e9 \u20ac \U0001f600".encode(), "caf\u00e9 \u20ac \U0001f600"),
        (b"caf\xe9", r"caf\xE9"),
        (b"caf\xe9 and \xc3\xa9", "caf\\xE9 and \u00e9"),
        (b"cut \xe2\x82", r"cut \xE2\x82"),
        (b"stray \x80\xbf", r"stray \x80\xBF"),
        (b"long form \xc0\x80 \xe0\x80\x80", r"long form \xC0\x80 \xE0\x80\x80"),
        (b"surrogate \xed\xa0\x80", r"surrogate \xED\xA0\x80"),
        (b"too large \xf4\x90\x80\x80 \xf5", r"too large \xF4\x90\x80\x80 \xF5"),
        (b"quote ' and \\ and \xff", r"quote ' and \ and \xFF"),
        (rb"SELECT '\xDEADBEEF', '\xdeadbeef', '\n'", r"SELECT '\xDEADBEEF', '\xdeadbeef', '\n'"),
        (rb"looks like one of ours: \xE9", r"looks like one of ours: \x5CxE9"),
        (b"both: \\xE9 \xe9", r"both: \x5CxE9 \xE9"),
        (b"digits behind: \xe912 \xe91", r"digits behind: \xE9\x31\x32 \xE91"),
    ],
)
def test_bytes_become_text_of_utf8(vault_db: str, connect: Connect, data: bytes, shown: str) -> None:
    assert of_bytes(connect(vault_db), data) == shown


def test_two_different_texts_stay_different(words: psycopg.Connection[Any]) -> None:
    alphabet = [b"\\", b"x", b"E", b"9", b"5", b"C", b"\xe9", b"\x81", b"\xc3\xa9", b"'"]
    chance = random.Random(7)
    texts = [b"".join(w) for n in (1, 2, 3) for w in itertools.product(alphabet, repeat=n)]
    texts += [b"".join(chance.choice(alphabet) for _ in range(chance.randint(4, 9))) for _ in range(3000)]
    texts = sorted(set(texts))
    rows = words.execute(
        "SELECT x.data, lock_catalog.readable_bytes(x.data, getdatabaseencoding(), false)"
        " FROM unnest(%s::bytea[]) x(data)",
        [texts],
    ).fetchall()
    seen: dict[str, bytes] = {}
    for data, shown in rows:
        assert seen.setdefault(shown, data) == data, f"{data!r} and {seen[shown]!r} are both {shown!r}"
    assert len(seen) == len(texts)


@pytest.mark.parametrize("data", [b"no\xebl", b"\x81 \x8d", b"\xff\xfe\\\x90'\xe9", b"\xa4\xa2\x8e\xb1\x8f"])
def test_names_of_roles_are_text_in_a_vault_of_any_encoding(
    words: psycopg.Connection[Any], abroad: Abroad, data: bytes
) -> None:
    raw = abroad.session("SQL_ASCII")
    raw.run(b'CREATE ROLE "' + data + b'"')
    try:
        row = words.execute(
            "SELECT lock_catalog.readable(r.rolname::text) FROM pg_roles r ORDER BY r.oid DESC LIMIT 1"
        ).fetchone()
        assert row == (of_bytes(words, data),)
        if encoding_of(words) == "UTF8":
            assert row[0].isascii() and all(f"\\x{byte:02X}" in row[0] for byte in data if byte > 127)
    finally:
        raw.run(b'DROP ROLE "' + data + b'"')


def test_json_stays_json(words: psycopg.Connection[Any]) -> None:
    for text, plain in (
        (rb'{"m": "caf\\xE9 \\\\ \" \n"}', 'caf\\xE9 \\\\ " \n'),
        (b'{"m": "\x81 \\\\xE9"}', None),
        (b'{"m": "caf\xff12 \\\\x81"}', None),
    ):
        found = json.loads(of_bytes(words, text, json=True))["m"]
        raw = json.loads(text.decode("latin1"))["m"].encode("latin1")
        assert found == of_bytes(words, raw)
        assert plain is None or found == of_bytes(words, plain.encode())


def everything(connection: psycopg.Connection[Any]) -> list[dict[str, Any]]:
    """Each row of each table and view of the product, read as a client does: what is not text raises."""
    found: list[dict[str, Any]] = []
    cursor = connection.cursor(row_factory=dict_row)
    names = cursor.execute(
        "SELECT c.oid::regclass::text AS name FROM pg_class c"
        " WHERE c.relkind IN ('r', 'p', 'v') AND c.relnamespace::regnamespace::text IN"
        " ('lock_monitoring', 'lock_catalog', 'lock_engine', 'lock_admin', 'lock_log', 'monitoring')"
    ).fetchall()
    for row in names:
        for one in cursor.execute(f"SELECT * FROM {row['name']}").fetchall():
            found.append({"table": row["name"], **one})
    return found


@pytest.mark.parametrize("encoding", strangers.ENCODINGS)
def test_sessions_of_every_encoding_are_seen_and_stored(
    vault_db: str, connect: Connect, abroad: Abroad, encoding: str
) -> None:
    connection = connect(vault_db)
    # a character in each of them, and a byte that is no character in some
    data = {"EUC_JP": b"\xa4\xa2\xb0\xa1", "KOI8R": b"\xd0\xd2\xc9", "SQL_ASCII": b"\xe9\xff\xc3\xa9"}
    words = data.get(encoding, b"caf\xe9")
    holder, waiter = abroad.session(encoding, Abroad.USER), abroad.session(encoding, Abroad.USER)
    abroad.queue(holder, waiter, words)
    shown = of_bytes(connection, words)
    assert "\\x" in shown
    row = connection.execute(
        "SELECT monitoring_summary FROM lock_monitoring.run_lock_monitoring()"
    ).fetchone()
    assert row is not None and row[0].startswith("1 session waits behind 1 root")
    rows = everything(connection)
    for table, column in (
        ("lock_catalog.sessions", "query"),
        ("lock_catalog.graph", "query"),
        ("lock_monitoring.lock_activity_s", "query_text"),
        ("lock_monitoring.blocking_session_s", "current_query"),
    ):
        texts = [one[column] or "" for one in rows if one["table"] == table]
        assert any(f"/* {shown} holds */" in text for text in texts), table
    stored = [one for one in rows if one["table"] == "lock_monitoring.blocking_session_s"]
    assert [(one["user_name"], one["database_name"]) for one in stored] == [
        (r"caf\xE9", f"abroad_{encoding}")
    ]
    assert {one["user_name"] for one in rows if one["table"] == "lock_monitoring.lock_activity_s"} >= {
        r"caf\xE9"
    }

    # what is shown of them is the same at each look: nothing new is stored until a duration has grown
    def unchanged() -> bool:
        row = connection.execute(
            "SELECT monitoring_summary FROM lock_monitoring.run_lock_monitoring()"
        ).fetchone()
        return row is not None and row[0].endswith("unchanged")

    poll(unchanged, 10, "a cycle that finds nothing changed")


def test_names_of_databases_prepared_transactions_and_deadlocks(
    vault_db: str, connect: Connect, abroad: Abroad
) -> None:
    connection = connect(vault_db)
    preparing, waiter = abroad.at_home(), abroad.at_home()
    preparing.run(b"CREATE TABLE donn\xe9es (id integer)")
    preparing.run(b"BEGIN")
    preparing.run(b"LOCK TABLE donn\xe9es")
    preparing.run(b"PREPARE TRANSACTION 'op\xe9ration'")
    waiter.start(b"SELECT * FROM donn\xe9es").wait_blocked(abroad.server)
    try:
        connection.execute("SELECT * FROM lock_monitoring.run_lock_monitoring()")
        rows = everything(connection)
        [open_one] = [one for one in rows if one["table"] == "lock_monitoring.blocking_sessions_dashboard"]
        assert (open_one["user_name"], open_one["database_name"]) == (r"caf\xE9", r"donn\xE9es")
        assert open_one["prepared_gid"] == r"op\xE9ration"
        assert "COMMIT PREPARED E'op\\\\xE9ration'" in open_one["recommended_action"]
        assert r"donn\xE9es" in {
            one["database_name"] for one in rows if one["table"] == "lock_engine.deadlock_counter"
        }
        assert {r"donn\xE9es"} == {
            one["database_name"]
            for one in rows
            if one["table"] == "lock_monitoring.lock_activity_s" and one["lock_pid"] in (0, waiter.pid)
        }
    finally:
        waiter.close()
        abroad.opened.remove(waiter)
        preparing.run(b"ROLLBACK PREPARED 'op\xe9ration'")


def test_a_deadlock_abroad_is_stored_with_both_statements(
    vault_db: str, connect: Connect, abroad: Abroad
) -> None:
    connection = connect(vault_db)
    connection.execute("SELECT * FROM lock_monitoring.run_lock_monitoring()")
    one, two = abroad.at_home(), abroad.at_home()
    for session, key in ((one, 1), (two, 2)):
        session.run(b"BEGIN")
        session.run(f"SELECT pg_advisory_xact_lock({key}, 77)".encode())
    one.start(b"SELECT pg_advisory_xact_lock(2, 77) /* \xe9t\xe9 */").wait_blocked(abroad.server)
    two.start(b"SELECT pg_advisory_xact_lock(1, 77) /* no\xebl */")

    def stored() -> list[dict[str, Any]]:
        connection.execute("SELECT * FROM lock_monitoring.run_lock_monitoring()")
        return [row for row in everything(connection) if row["table"] == "lock_monitoring.deadlock_event_s"]

    [event] = poll(stored, 20, "the deadlock's record in the log")
    assert set(event["involved_users"]) == {r"caf\xE9"}
    texts = " ".join(event["involved_queries"])
    assert r"/* \xE9t\xE9 */" in texts and r"/* no\xEBl */" in texts


def test_the_cut_of_a_long_statement_is_no_half_character(
    vault_db: str, connect: Connect, abroad: Abroad
) -> None:
    connection = connect(vault_db)
    for number in range(4):
        there = abroad.session("SQL_ASCII")
        there.run(b"SELECT '" + b"x" * number + "\u20ac".encode() * 4000 + b"'")
        row = connection.execute(
            "SELECT query, query_truncated FROM lock_catalog.sessions WHERE pid = %s", [there.pid]
        ).fetchone()
        assert row is not None
        assert row[0].startswith("SELECT '" + "x" * number + "\u20ac" * 100)
        assert row[1] is True
