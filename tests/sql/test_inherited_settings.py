"""Published functions and what a role's or a database's settings make of their caller's session."""

from __future__ import annotations

import datetime
from typing import Any

import psycopg
import pytest

from lockmon import session as sessions
from tests.conftest import Connect, OpenSession
from tests.support.inherited import defaults
from tests.support.servers import Server
from tests.support.stored import Stored

WRITING = {
    "lock_monitoring.run_lock_monitoring": "lock_monitoring.run_lock_monitoring()",
    "lock_monitoring.capture_lock_activity": "lock_monitoring.capture_lock_activity()",
    "lock_monitoring.detect_blocking_sessions": "lock_monitoring.detect_blocking_sessions()",
    "lock_monitoring.detect_deadlocks": "lock_monitoring.detect_deadlocks()",
    "lock_monitoring.analyze_lock_waits": "lock_monitoring.analyze_lock_waits()",
    "lock_monitoring.cleanup_old_data": "lock_monitoring.cleanup_old_data(30)",
    "lock_monitoring.auto_resolve_blocking": "lock_monitoring.auto_resolve_blocking(NULL, 600, false)",
}
ALSO_WRITING = {
    "lock_admin.request_action": "lock_admin.request_action('cancel', 1, now(), 'a test')",
    "lock_admin.execute_action": "lock_admin.execute_action(1)",
    "lock_admin.run_policies": "lock_admin.run_policies()",
    "lock_admin.save_policy": "lock_admin.save_policy('x', '{}')",
    "lock_admin.set_policy_mode": "lock_admin.set_policy_mode('x', 'off', 'a test')",
    "lock_admin.backtest_policy": "lock_admin.backtest_policy('x')",
    "monitoring.store_alert_states": "monitoring.store_alert_states('[]')",
    "monitoring.claim_alert_message": "monitoring.claim_alert_message()",
    "monitoring.forget_alerts": "monitoring.forget_alerts(now() - interval '2 days')",
}


def refusal(connection: psycopg.Connection[Any], call: str) -> str:
    """The one sentence with which a call is refused."""
    with pytest.raises(psycopg.Error) as caught:
        connection.execute(f"SELECT * FROM {call}")
    if connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
        connection.execute("ROLLBACK")
    sentence = caught.value.diag.message_primary or ""
    assert sentence.endswith(".") and "\n" not in sentence
    return sentence


@pytest.mark.parametrize("name", [*WRITING, *ALSO_WRITING])
def test_a_read_only_session_is_told_what_to_type(vault_db: str, connect: Connect, name: str) -> None:
    connection, call = connect(vault_db), (WRITING | ALSO_WRITING)[name]
    connection.execute("SET default_transaction_read_only = on")
    assert refusal(connection, call) == (
        f"{name}() writes, and this transaction is READ ONLY (default_transaction_read_only = on): "
        "type SET default_transaction_read_only = off; and call it again in a new transaction."
    )
    connection.execute("SET default_transaction_read_only = off;")
    connection.execute("BEGIN READ ONLY")
    assert "transaction_read_only = on, as it was begun): type ROLLBACK; BEGIN READ WRITE;" in refusal(
        connection, call
    )
    if name in WRITING:
        connection.execute(f"SELECT * FROM {call}")


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
@pytest.mark.parametrize("name", [name for name in WRITING if "auto_resolve" not in name])
def test_a_session_that_sees_an_old_state_is_told_what_to_type(
    vault_db: str, connect: Connect, name: str, level: str
) -> None:
    connection, call = connect(vault_db), WRITING[name]
    connection.execute(f"SET default_transaction_isolation = '{level}'")
    assert refusal(connection, call) == (
        f"{name}() must see what others commit meanwhile, and this transaction is {level.upper()} "
        f"(default_transaction_isolation = '{level}'): type SET default_transaction_isolation = "
        "'read committed'; and call it again in a new transaction."
    )
    connection.execute("SET default_transaction_isolation = 'read committed';")
    connection.execute(f"BEGIN ISOLATION LEVEL {level}")
    assert "as it was begun): type ROLLBACK; BEGIN ISOLATION LEVEL READ COMMITTED;" in refusal(
        connection, call
    )
    connection.execute("SET default_transaction_isolation = 'read uncommitted'")
    connection.execute(f"SELECT * FROM {call}")


def test_the_door_says_the_line_too(vault_db: str, connect: Connect) -> None:
    connection = connect(vault_db)
    (said,) = connection.execute("SELECT lock_admin.refusal_message('not_read_committed', 1)").fetchone() or (
        "",
    )
    assert "type SET default_transaction_isolation = 'read committed';" in said


def test_every_entry_sets_what_it_relies_on(vault_db: str, connect: Connect) -> None:
    rows = (
        connect(vault_db)
        .execute(
            """
        SELECT p.oid::regprocedure::text,
               ARRAY(SELECT lower(split_part(c, '=', 1)) FROM unnest(p.proconfig) AS c)
          FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
         WHERE p.prokind = 'f'
           AND (n.nspname IN ('lock_monitoring', 'monitoring')
                OR (n.nspname = 'lock_admin' AND p.prosecdef
                    AND (has_function_privilege('lock_monitoring_role', p.oid, 'EXECUTE')
                         OR has_function_privilege('lock_admin_role', p.oid, 'EXECUTE'))))
        """
        )
        .fetchall()
    )
    assert len(rows) > 25
    wanted = {"datestyle", "intervalstyle", "timezone", "search_path", "row_security", "jit", "exit_on_error"}
    wanted |= {"standard_conforming_strings", "extra_float_digits", "bytea_output", "array_nulls"}
    assert {name: wanted - set(has) for name, has in rows if wanted - set(has)} == {}


def test_a_body_with_a_backslash_is_read_as_it_was_written(vault_db: str, connect: Connect) -> None:
    statement = r"SELECT 'se\cret', 4711, E'it\'s' FROM t WHERE a = 'it''s'"
    question = "SELECT lock_engine.hide_literals(%s), lock_engine.query_fingerprint(%s)"
    expected = connect(vault_db).execute(question, [statement, statement]).fetchone()
    other = connect(vault_db)
    other.execute("SET standard_conforming_strings = off")
    assert other.execute(question, [statement, statement]).fetchone() == expected
    assert expected is not None and "4711" not in expected[0]


def test_business_hours_are_the_servers_whatever_the_session_takes_for_local(
    vault_db: str, connect: Connect
) -> None:
    connection = connect(vault_db)
    (zone,) = connection.execute("SHOW log_timezone").fetchone() or ("",)
    connection.execute("SELECT set_config('TimeZone', %s, false)", [zone])
    monday = datetime.date(2026, 11, 23)
    question = """
        SELECT lock_engine.within_hours('{"days": [1], "from": "08:00", "to": "18:00"}',
                 (%(day)s || ' ' || h.t)::timestamp AT TIME ZONE %(zone)s,
                 (%(day)s || ' ' || h.t)::timestamp AT TIME ZONE %(zone)s + interval '1 minute'),
               lock_admin.in_window('[{"days": [1], "from": "08:00", "to": "18:00"}]',
                 (%(day)s || ' ' || h.t)::timestamp AT TIME ZONE %(zone)s)
          FROM unnest(ARRAY['07:30', '09:00', '17:30', '18:30']) WITH ORDINALITY AS h (t, place)
         ORDER BY h.place
    """
    expected = [(False, False), (True, True), (True, True), (False, False)]
    for other in (zone, "Asia/Kathmandu", "America/Los_Angeles"):
        connection.execute("SELECT set_config('TimeZone', %s, false)", [other])
        found = connection.execute(question, {"day": str(monday), "zone": zone}).fetchall()
        assert found == expected, other


def test_hours_may_name_their_zone(vault_db: str, connect: Connect) -> None:
    question = """
        SELECT lock_engine.within_hours('{"days": [1], "from": "08:00", "to": "09:00", "zone": "Asia/Tokyo"}',
                                        at, at + interval '1 minute')
          FROM unnest(ARRAY['2026-11-22 23:30+00', '2026-11-23 08:30+00']::timestamptz[]) AS at
    """
    assert connect(vault_db).execute(question).fetchall() == [(True,), (False,)]


def test_what_connections_begin_with_is_known_to_every_version(server: Server, connect: Connect) -> None:
    known = {name.lower() for (name,) in connect("postgres").execute("SELECT name FROM pg_settings")}
    assert {name for name in sessions.START if name.lower() not in known} == set()


FORGED = (
    "x",
    "1",
    "-1",
    "infinity",
    "9999999999",
    "1e300",
    "on",
    "[]",
    '{"a":',
    '{"1:2": "x"}',
    "1 1",
    "1 x",
)


def test_settings_that_are_the_monitors_own_memory_are_nobodys_to_give(
    server: Server, vault_db: str, connect: Connect, session: OpenSession
) -> None:
    """A database's owner, or a login, may give any value to a setting that nobody has defined."""
    dba = connect(vault_db)
    own = dba.execute(
        "SELECT DISTINCT m[1] FROM pg_proc AS p CROSS JOIN LATERAL"
        r" regexp_matches(p.prosrc, 'current_setting\(''((?:lock_vault|one_vault)\.\w+)''', 'g') AS m"
        " WHERE p.pronamespace::regnamespace::text ~ '^(lock_|monitoring)'"
    ).fetchall()
    assert {"lock_vault.unplaced_since", "one_vault.waits_seen", "one_vault.counter_looked"} <= {
        name for (name,) in own
    }
    dba.execute("CREATE TABLE quarrel (n int); INSERT INTO quarrel VALUES (1)")
    for value in FORGED:
        with defaults(server, [dba.info.dbname], [(name, value) for (name,) in own]) as taken:
            assert len(taken) == len(own)
            stored = Stored(connect(vault_db))
        assert stored.value("SELECT current_setting('lock_vault.unplaced_since')") == value
        holder, waiter = session(vault_db), session(vault_db)
        holder.run("UPDATE quarrel SET n = 2")
        waiter.start("UPDATE quarrel SET n = 3")
        waiter.wait_blocked()
        for _ in range(2):
            assert not stored.cycle()["monitoring_summary"].startswith("skipped"), value
        assert stored.locks(waiter.pid, "NOT lock_granted") and stored.episodes(holder.pid), value
        assert stored.value(
            "SELECT coalesce(min(w.blocking_since) > now() - interval '1 minute'"
            " AND max(w.blocking_since) <= clock_timestamp(), true) FROM lock_catalog.waits_for() AS w"
        ), value
        for call in WRITING.values():
            stored.rows(f"SELECT * FROM {call}")
        stored.rows("SELECT lock_engine.collect_deadlocks()")
        assert stored.rows("SELECT * FROM lock_engine.part_state WHERE failures_in_a_row > 0") == [], value
        stored.check_rules()
        holder.close()
        waiter.result()
        waiter.close()
