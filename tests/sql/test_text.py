"""Words made of what PostgreSQL shows: hidden literals, fingerprints, severities, names of objects."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql

from tests.conftest import Connect, OpenSession
from tests.support.servers import Server
from tests.support.stored import Stored


@pytest.fixture
def stored(vault_db: str, connect: Connect) -> Stored:
    """A database of one's own with the vault."""
    return Stored(connect(vault_db))


@pytest.fixture(scope="module")
def words(server: Server, template_vault: str) -> Iterator[Stored]:
    """One database for all tests that only call functions of text."""
    name = server.create_database(template=template_vault)
    with psycopg.connect(server.dsn(name), autocommit=True) as connection:
        yield Stored(connection)
    server.drop_database(name)


def hidden(words: Stored, query: str | None) -> Any:
    """hide_literals() of a query."""
    return words.value("SELECT lock_engine.hide_literals(%s)", query)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELECT 1", "SELECT ?"),
        ("SELECT * FROM t WHERE a = 'secret' AND b = 42", "SELECT * FROM t WHERE a = ? AND b = ?"),
        ("SELECT 'it''s', E'a\\'b', 3.5e-7, .5", "SELECT ?, ?, ?, ?"),
        ("SELECT $$se'cret$$, $tag$all of it$tag$", "SELECT ?, ?"),
        ("SELECT $1, $2", "SELECT $1, $2"),
        ("SELECT t1.c2 FROM s3.t1", "SELECT t1.c2 FROM s3.t1"),
        ('SELECT "it\'s a", x FROM "T_2"', 'SELECT "it\'s a", x FROM "T_2"'),
        ("SELECT x'1F', b'01', U&'d\\0061t'", "SELECT x?, b?, U&?"),
        ("UPDATE t SET n = -5 WHERE id IN (1,2)", "UPDATE t SET n = ? WHERE id IN (?,?)"),
        ("SELECT 'cut in the mid", "SELECT ?"),
        ("SELECT $$cut in the mid", "SELECT ?"),
    ],
)
def test_constants_are_hidden_and_names_are_not(words: Stored, query: str, expected: str) -> None:
    assert " ".join(hidden(words, query).split()) == expected


@pytest.mark.parametrize(
    "query",
    [
        "SELECT 1 -- user jane.doe@example.com",
        "SELECT 1 /* jane.doe@example.com */ + 2",
        "SELECT 'jane.doe@example.com'",
        "SELECT 'a'/* ' */, 'jane.doe@example.com' -- '",
        "SELECT \"a'b\", 'jane.doe@example.com', 'c'",
        "SELECT E'\\\\', 'jane.doe@example.com'",
        "SELECT E'\\'', 'jane.doe@example.com'",
        "SELECT $x$ ' $x$, 'jane.doe@example.com'",
        "SELECT $$ ' $$, 'jane.doe@example.com'",
        "SELECT /* nested /* ' */ */ 'jane.doe@example.com'",
        "SELECT 'x\x01y', 'jane.doe@example.com'",
        "SELECT 1 /* cut jane.doe@example.com",
        "SELECT '''', '''jane.doe@example.com'''",
    ],
)
def test_no_secret_passes(words: Stored, query: str) -> None:
    shown = hidden(words, query)
    assert "jane" not in shown and "example" not in shown, shown


def test_null_stays_null_and_anything_is_survived(words: Stored) -> None:
    assert hidden(words, None) is None
    for text in ("", "'", '"', "$", "$$", "/*", "--", "\\", "''''", "$a$", "é'ü", "'" * 5000, "/*" * 5000):
        assert isinstance(hidden(words, text), str)


def test_long_text_is_quick(words: Stored) -> None:
    words.connection.execute("SET statement_timeout = '5s'")
    for text in ("('a', 1), " * 20000, '"a"' * 20000, "'" * 99999, "$x" * 50000, "/* " * 30000):
        assert len(hidden(words, text)) <= 20000 * 2


def test_like_statements_share_a_fingerprint_and_others_do_not(words: Stored) -> None:
    def of(query: str) -> str:
        return str(words.value("SELECT lock_engine.query_fingerprint(%s)", query))

    like = [
        "SELECT * FROM t WHERE id = 1",
        "select *\n  from t where id = 99",
        "SELECT * FROM t WHERE id = 'x' ",
        "SELECT * FROM t /* trace 7 */ WHERE id = 1",
    ]
    prints = {of(query.strip()) for query in like}
    assert len(prints) == 1
    assert len(prints.pop()) == 32
    assert of("SELECT * FROM t WHERE id IN (1, 2, 3)") == of("SELECT * FROM t WHERE id IN (4)")
    assert of("SELECT * FROM t WHERE id IN ($1, $2)") == of("SELECT * FROM t WHERE id IN ($1)")
    assert of("SELECT * FROM t") != of("SELECT * FROM u")
    assert of("UPDATE t SET a = 1") != of("UPDATE t SET b = 1")


@pytest.mark.parametrize(
    ("blocked", "seconds", "severity"),
    [
        (0, 1000, None),
        (None, 1000, None),
        (1, 0, "LOW"),
        (1, 9.9, "LOW"),
        (1, 10, "MEDIUM"),
        (3, 2, "MEDIUM"),
        (3, 1.9, "LOW"),
        (9, 1.9, "LOW"),
        (1, 60, "HIGH"),
        (10, 2, "HIGH"),
        (19, 59, "HIGH"),
        (20, 10, "CRITICAL"),
        (500, 1, "MEDIUM"),
        (1, 299, "HIGH"),
        (2, 300, "HIGH"),
        (3, 300, "CRITICAL"),
    ],
)
def test_severity_is_the_worse_of_crowd_and_wait(
    words: Stored, blocked: int | None, seconds: float, severity: str | None
) -> None:
    assert words.value("SELECT lock_engine.severity(%s::int, %s::numeric)", blocked, seconds) == severity


def test_severities_are_ranked(words: Stored) -> None:
    names = ["CRITICAL", "HIGH", "MEDIUM", "LOW", None]
    ranks = [words.value("SELECT lock_engine.severity_rank(%s)", name) for name in names]
    assert ranks == [4, 3, 2, 1, 0]


def test_severity_never_falls_while_people_wait_longer_or_more(words: Stored) -> None:
    assert not words.rows(
        """
        SELECT b, s FROM generate_series(1, 40) AS b, generate_series(0, 400, 5) AS s
         WHERE lock_engine.severity_rank(lock_engine.severity(b, s))
               > least(lock_engine.severity_rank(lock_engine.severity(b + 1, s)),
                       lock_engine.severity_rank(lock_engine.severity(b, s + 5)))
        """
    )


@pytest.mark.parametrize(
    ("take", "lock_type", "name"),
    [
        ("LOCK TABLE {t} IN SHARE MODE", "relation", "table odd.My Täble"),
        ("SELECT pg_advisory_xact_lock(-1)", "advisory", "advisory lock -1"),
        ("SELECT pg_advisory_xact_lock(5)", "advisory", "advisory lock 5"),
        ("SELECT pg_advisory_xact_lock(1, 2)", "advisory", "advisory lock (1, 2)"),
    ],
)
def test_objects_are_named(
    stored: Stored, vault_db: str, session: OpenSession, take: str, lock_type: str, name: str
) -> None:
    stored.connection.execute("CREATE SCHEMA odd")
    stored.connection.execute('CREATE TABLE odd."My Täble" (id int)')
    statement = take.replace("{t}", 'odd."My Täble"')
    holder, waiter = session(vault_db), session(vault_db)
    holder.run(statement)
    waiter.start(statement.replace("SHARE MODE", "EXCLUSIVE MODE"))
    waiter.wait_blocked()
    row = stored.one(
        "SELECT lock_type, object_name FROM lock_catalog.waits_for() WHERE node = %s", waiter.pid
    )
    assert (row["lock_type"], row["object_name"]) == (lock_type, name)


def test_a_query_cut_by_postgresql_is_marked(stored: Stored, vault_db: str, session: OpenSession) -> None:
    short, long, wide = (session(vault_db) for _ in range(3))
    short.run("SELECT 'x'")
    long.run(f"SELECT '{'x' * 5000}'")
    wide.run(f"SELECT '{'é' * 3000}'")
    marks = {
        row["pid"]: row["query_truncated"]
        for row in stored.rows("SELECT pid, query_truncated FROM lock_catalog.sessions")
    }
    assert (marks[short.pid], marks[long.pid], marks[wide.pid]) == (False, True, True)


def test_names_from_the_database_are_only_text(stored: Stored, vault_db: str, session: OpenSession) -> None:
    """A table may be called anything; it ends up in a column, never in a statement."""
    evil = "x'; DROP SCHEMA lock_monitoring CASCADE; --"
    stored.connection.execute(sql.SQL("CREATE TABLE {} (id int)").format(sql.Identifier(evil)))
    holder = session(vault_db, application_name=evil)
    holder.connection.execute(sql.SQL("LOCK TABLE {} IN SHARE MODE").format(sql.Identifier(evil)))
    stored.capture()
    (row,) = stored.locks(holder.pid, "table_name IS NOT NULL AND lock_mode = 'ShareLock'")
    assert (row["table_name"], row["application_name"]) == (evil, evil)
    assert isinstance(stored.connection, psycopg.Connection)
