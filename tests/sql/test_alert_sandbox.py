"""monitoring.evaluate_alert_query: one finite number, and nothing else whatever the query tries."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import psycopg
import pytest

from lockmon.calls import alerts
from tests.conftest import Connect, OpenSession

RECIPIENTS = "monitoring.alert_configuration_s"


def evaluate(connection: psycopg.Connection[Any], query: str, timeout: str = "1s") -> Decimal:
    """Run the sandbox as the evaluator does: read only, with timeouts, always rolled back."""
    connection.execute("BEGIN READ ONLY")
    try:
        connection.execute("SET LOCAL ROLE lock_monitoring_role")
        connection.execute(f"SET LOCAL statement_timeout = '{timeout}'")
        connection.execute("SET LOCAL lock_timeout = '300ms'")
        row = connection.execute("SELECT monitoring.evaluate_alert_query(%s)", [query]).fetchone()
        assert row is not None
        value: Decimal = row[0]
        return value
    finally:
        connection.execute("ROLLBACK")


@pytest.mark.parametrize(
    ("query", "value"),
    [
        ("SELECT 1", "1"),
        ("SELECT 1.5;", "1.5"),
        ("SELECT -0.25::float8", "-0.25"),
        ("VALUES (3)", "3"),
        ("WITH x AS (SELECT 4 AS n) SELECT n FROM x", "4"),
        (
            "SELECT count(*) FROM lock_monitoring.blocking_sessions_dashboard WHERE blocking_severity ="
            " 'CRITICAL'",
            "0",
        ),
        ("SELECT count(*) FROM lock_catalog.sessions WHERE pid = 0", "0"),
        (r'SELECT 7 AS U&"\0061"', "7"),
        ("SELECT length('requests_stats')", "14"),
    ],
)
def test_a_query_that_gives_one_number_gives_its_value(
    vault_db: str, connect: Connect, query: str, value: str
) -> None:
    assert evaluate(connect(vault_db), query) == Decimal(value)


HOSTILE = [
    ("no statement", "", "There is no query"),
    ("only a comment", "-- nothing", "multi-query|empty"),
    ("two statements", "SELECT 1; SELECT 2", "multi-query"),
    ("a statement behind", "SELECT 1; DROP TABLE monitoring.alert_state", "multi-query"),
    ("no column", "SELECT", "0 columns"),
    ("two columns", "SELECT 1, 2", "2 columns"),
    ("two columns of one name", "SELECT 1 AS a, 2 AS a", "2 columns"),
    ("two rows", "SELECT generate_series(1, 2)", "more than one row"),
    ("no row", "SELECT 1 WHERE false", "no row"),
    ("NULL", "SELECT NULL::int", "NULL"),
    ("text", "SELECT 'x'", "a text and not a number"),
    ("digits as text", "SELECT '12'", "a text and not a number"),
    ("truth", "SELECT true", "a truth value and not a number"),
    ("list", "SELECT ARRAY[1]", "a list and not a number"),
    ("row", "SELECT ROW(1, 2)", "a row and not a number"),
    ("NaN", "SELECT 'NaN'::float8", "not a finite number"),
    ("infinity", "SELECT '-Infinity'::float8", "not a finite number"),
    ("a huge number", "SELECT repeat('9', 500)::numeric", "digits"),
    (
        "writes",
        "INSERT INTO monitoring.alert_state (alert_config_hk) VALUES ('x') RETURNING 1",
        "not allowed|read-only",
    ),
    (
        "writes in WITH",
        "WITH x AS (DELETE FROM monitoring.alert_state RETURNING 1) SELECT count(*) FROM x",
        "not allowed",
    ),
    ("creates", "CREATE TABLE public.x (a int)", "cannot open CREATE TABLE"),
    ("temporary table", "CREATE TEMP TABLE x AS SELECT 1", "cannot open CREATE TABLE AS"),
    ("SELECT INTO", "SELECT 1 INTO TEMP x", "cannot open SELECT"),
    ("truncates", "TRUNCATE monitoring.alert_state", "cannot open TRUNCATE"),
    ("sleeps", "SELECT pg_sleep(100)", "may not call"),
    ("locks rows", "SELECT 1 FROM pg_class LIMIT 1 FOR UPDATE", "not allowed|read-only"),
    ("locks a table", "LOCK TABLE monitoring.alert_state", "cannot open LOCK TABLE"),
    (
        "terminates",
        "SELECT pg_terminate_backend(pid)::int FROM pg_stat_activity WHERE pid <> 0 LIMIT 1",
        "terminate|permission|member",
    ),
    (
        "terminates itself",
        "SELECT pg_terminate_backend(pg_backend_pid())::int",
        "terminate|permission|member",
    ),
    ("cancels itself", "SELECT pg_cancel_backend(pg_backend_pid())::int", "cancel|permission|member"),
    ("SET ROLE", "SET ROLE lock_admin_role", "cannot open SET"),
    ("RESET ROLE", "RESET ROLE", "cannot open RESET"),
    (
        "set_config role",
        "SELECT length(set_config('role', 'lock_admin_role', true))",
        "security-definer|role",
    ),
    ("set_config none", "SELECT length(set_config('role', 'none', false))", "security-definer|role"),
    (
        "set_config session",
        "SELECT length(set_config('session_authorization', 'postgres', false))",
        "security-definer",
    ),
    ("set_config writable", "SELECT length(set_config('transaction_read_only', 'off', true))", "read-write"),
    ("COPY to a program", "COPY (SELECT 1) TO PROGRAM 'true'", "cannot open COPY"),
    ("COPY from a file", "COPY monitoring.alert_state FROM '/etc/passwd'", "cannot open COPY"),
    ("DO", "DO $$ BEGIN PERFORM 1; END $$", "cannot open DO"),
    ("CALL", "CALL x()", "cannot open CALL|does not exist"),
    ("COMMIT", "COMMIT", "cannot open COMMIT"),
    ("EXPLAIN ANALYZE", "EXPLAIN ANALYZE SELECT 1", "not allowed|a text"),
    ("SHOW", "SHOW max_connections", "not allowed|a text"),
    ("NOTIFY", "NOTIFY x", "cannot open NOTIFY"),
    ("takes an advisory lock", "SELECT count(pg_advisory_lock(460, 3))", "may not call"),
    ("tries an advisory lock", "SELECT PG_TRY_ADVISORY_XACT_LOCK(460, 1)::int", "may not call"),
    ("drops advisory locks", "SELECT count(pg_advisory_unlock_all())", "may not call"),
    (
        "hides a statement in XML",
        "SELECT length(query_to_xml('DELETE FROM x', true, true, '')::text)",
        "may not call",
    ),
    ("hides a name behind escapes", r'SELECT U&"pg\005fsleep"(100)', "may not call"),
    ("escapes six digits", r'SELECT u&"\+000070g_sl\0065ep"(100)', "may not call"),
    (
        "escapes its own way",
        """SELECT U&"pg!005fsl!0065ep" /* x */ UESCAPE '!' (100)""",
        "may not call|syntax",
    ),
    ("declares a sign", """SELECT pg_catalog . U&"pg@005fsleep" UESCAPE '@' (100)""", "may not call"),
    ("quotes it", 'SELECT pg_catalog . "pg_sleep" (100)', "may not call"),
    ("puts a comment between", "SELECT pg_catalog/* */./**/pg_sleep/* */(100)", "may not call"),
    (
        "escapes an advisory lock",
        r'SELECT count(U&"pg\005fadvisory\005flock"(460, 3))',
        "may not call",
    ),
    (
        "runs a text",
        "SELECT count(*) FROM ts_stat('SELECT to_tsvector(''x'') FROM ' || 'pg_sl' || 'eep(9)')",
        "may not call",
    ),
    ("rewrites by a text", "SELECT length(ts_rewrite('a'::tsquery, 'SELECT 1')::text)", "may not call"),
    ("reads recipients", f"SELECT count(notification_recipients) FROM {RECIPIENTS}", "permission denied"),
    (
        "guesses recipients",
        f"SELECT count(*) FROM {RECIPIENTS} WHERE 'a@b.c' = ANY (notification_recipients)",
        "permission denied",
    ),
    ("reads the outbox", "SELECT count(*) FROM monitoring.alert_message", "permission denied"),
    ("reads users", "SELECT count(*) FROM auth.user_h", "permission denied"),
    ("reads a file", "SELECT length(pg_read_file('/etc/passwd'))", "permission denied"),
    ("runs a cycle", "SELECT count(*) FROM lock_monitoring.run_lock_monitoring()", "permission denied"),
    (
        "knocks at the door",
        "SELECT count(*) FROM lock_monitoring.auto_resolve_blocking(NULL, 0, false)",
        "permission denied|does not exist",
    ),
    (
        "edits an alert",
        "SELECT monitoring.save_alert_configuration('x', NULL, '{}', 'x')",
        "permission denied",
    ),
    ("a parameter", "SELECT $1::int", "no parameter"),
]


@pytest.mark.parametrize(("query", "sentence"), [row[1:] for row in HOSTILE], ids=[row[0] for row in HOSTILE])
def test_a_hostile_query_is_refused_with_a_sentence(
    vault_db: str, connect: Connect, query: str, sentence: str
) -> None:
    connection = connect(vault_db)
    with pytest.raises(psycopg.Error, match=sentence) as refused:
        evaluate(connection, query)
    assert refused.value.diag.message_primary
    row = connection.execute(
        "SELECT current_user = session_user, current_setting('transaction_read_only')"
    ).fetchone()
    assert row == (True, "off"), "the connection is as it was"


@pytest.mark.parametrize(
    "query",
    [
        "SELECT count(*) FROM generate_series(1, 1000000000)",
        "SELECT length(set_config('statement_timeout', '0', false)) + (SELECT count(*) FROM"
        " generate_series(1, 1000000000))",
        "WITH RECURSIVE x AS (SELECT 1 AS n UNION ALL SELECT n FROM x) SELECT count(*) FROM x",
    ],
)
def test_a_query_that_outlives_its_timeout_is_cancelled(vault_db: str, connect: Connect, query: str) -> None:
    connection = connect(vault_db)
    with pytest.raises(psycopg.errors.QueryCanceled, match="timeout"):
        evaluate(connection, query, "300ms")
    assert connection.execute("SHOW statement_timeout").fetchone() == ("0",), (
        "set_config did not outlive the rollback"
    )


HELPERS = """
CREATE SCHEMA site;
CREATE FUNCTION site.nap() RETURNS int LANGUAGE sql AS $$ SELECT 1 FROM (SELECT pg_sleep(60)) AS s $$;
CREATE FUNCTION site.grab() RETURNS int LANGUAGE sql AS $$
  SELECT 1 FROM (SELECT pg_advisory_lock(460, 3), set_config('statement_timeout', '0', false),
                        set_config('work_mem', '64kB', false)) AS s $$;
CREATE VIEW site.naps AS SELECT site.nap() AS n;
CREATE VIEW site.grabs AS SELECT site.grab() AS n;
GRANT USAGE ON SCHEMA site TO PUBLIC;
GRANT SELECT ON site.naps, site.grabs TO PUBLIC
"""


def test_what_no_word_betrays_is_held_by_the_timeout_the_rollback_and_the_dropping_of_locks(
    vault_db: str, connect: Connect
) -> None:
    """The site's own functions and views may be named anything."""
    connect(vault_db).execute(HELPERS)
    for query in ("SELECT n FROM site.naps", "SELECT site.nap()"):
        with pytest.raises(psycopg.errors.QueryCanceled, match="timeout"):
            evaluate(connect(vault_db), query, "300ms")
    connection = connect(vault_db)
    connection.autocommit = False
    connection.read_only = True
    settings = "SELECT current_setting('statement_timeout'), current_setting('work_mem')"
    before = connection.execute(settings).fetchone()
    connection.rollback()
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL ROLE lock_monitoring_role")
        assert alerts.evaluate_alert_query(cursor, "SELECT n FROM site.grabs", 1000, 300) == 1
    connection.rollback()
    # what the evaluator does behind every query
    with connection.cursor() as cursor:
        alerts.drop_advisory_locks(cursor)
    connection.rollback()
    assert connection.execute(settings).fetchone() == before
    held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
    assert connection.execute(held).fetchone() == (0,)


def test_a_large_object_or_an_object_id_leaves_nothing_behind(vault_db: str, connect: Connect) -> None:
    connection = connect(vault_db)
    with pytest.raises(psycopg.Error):
        evaluate(connection, "SELECT lo_create(4242)")
    assert connection.execute("SELECT count(*) FROM pg_largeobject_metadata").fetchone() == (0,)


def test_a_query_that_waits_for_a_table_lock_gives_up(
    vault_db: str, connect: Connect, session: OpenSession
) -> None:
    holder = session(vault_db)
    holder.run("LOCK TABLE monitoring.alert_state IN ACCESS EXCLUSIVE MODE")
    with pytest.raises(psycopg.errors.LockNotAvailable, match="lock timeout"):
        evaluate(connect(vault_db), "SELECT count(*) FROM monitoring.alert_overview")


def test_only_in_a_read_only_transaction_with_a_timeout(vault_db: str, connect: Connect) -> None:
    connection = connect(vault_db)
    with pytest.raises(psycopg.Error, match="read-only transaction only"):
        connection.execute("SELECT monitoring.evaluate_alert_query('SELECT 1')")
    connection.execute("BEGIN READ ONLY")
    with pytest.raises(psycopg.Error, match="statement_timeout"):
        connection.execute("SELECT monitoring.evaluate_alert_query('SELECT 1')")


def test_the_sandbox_role_can_do_nothing_by_itself(vault_db: str, connect: Connect) -> None:
    connection = connect(vault_db)
    row = connection.execute(
        "SELECT rolcanlogin, rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls"
        " FROM pg_roles WHERE rolname = 'lock_alert_sandbox'"
    ).fetchone()
    assert row == (False,) * 6
    writable = connection.execute(
        """SELECT format('%s.%s', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid =
        c.relnamespace
            WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND n.nspname !~ '^pg_' AND n.nspname <>
            'information_schema'
              AND has_table_privilege('lock_alert_sandbox', c.oid, CASE c.relkind WHEN 'S' THEN 'UPDATE'
              ELSE 'INSERT, UPDATE, DELETE, TRUNCATE' END)"""
    ).fetchall()
    assert writable == []
    memberships = connection.execute(
        "SELECT roleid::regrole::text FROM pg_auth_members WHERE member = 'lock_alert_sandbox'::regrole"
    ).fetchall()
    assert memberships == [("pg_read_all_stats",)]


def test_viewers_and_the_sandbox_cannot_read_recipients(vault_db: str, connect: Connect) -> None:
    connection = connect(vault_db)
    for role in ("lock_monitoring_role", "lock_alert_sandbox"):
        for table, column in (
            ("alert_configuration_s", "notification_recipients"),
            ("alert_configuration_s", "escalation_recipients"),
            ("alert_message", "recipient"),
            ("alert_message", "context"),
            ("alert_channel", "recipient"),
            ("alert_channel", "last_error"),
        ):
            row = connection.execute(
                "SELECT has_column_privilege(%s, 'monitoring.' || %s, %s, 'SELECT')", [role, table, column]
            ).fetchone()
            assert row == (False,), (role, table, column)
