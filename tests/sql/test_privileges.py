"""What each role has, and what it lacks."""

from __future__ import annotations

import re
from typing import Any

import psycopg
import pytest

from tests.conftest import Connect

ROLES = {
    "lock_monitoring_role": {"pg_monitor"},
    "lock_admin_role": {"lock_monitoring_role"},
    "lock_vault_owner": {"pg_monitor"},
    "lock_door_owner": {"pg_signal_backend", "pg_read_all_stats"},
    "lock_action_log_owner": set(),
    "lock_log_reader": {"pg_read_server_files", "pg_read_all_settings"},
    "lock_alert_sandbox": {"pg_read_all_stats"},
    "lock_site_reader": set(),
}
PEOPLE = ("lock_monitoring_role", "lock_admin_role")
OWNERS = tuple(role for role in ROLES if role not in PEOPLE)
VAULT = (
    "lock_activity_h",
    "lock_activity_s",
    "blocking_session_h",
    "blocking_session_s",
    "deadlock_event_h",
    "deadlock_event_s",
    "lock_wait_analysis_h",
    "lock_wait_analysis_s",
    "lock_blocking_l",
    "deadlock_involvement_l",
)
READING = (
    "capture_lock_activity()",
    "detect_blocking_sessions()",
    "detect_deadlocks()",
    "analyze_lock_waits()",
    "run_lock_monitoring()",
)
ACTING = ("auto_resolve_blocking()", "cleanup_old_data(30)")
# Triggers of the alert configuration write its hub and close versions; the others are the design's.
DEFINER_OUTSIDE = {"monitoring.version_alert_configuration"}
OUR_FUNCTIONS = """
    SELECT n.nspname, n.nspname || '.' || p.proname, p.prosecdef, p.proconfig, r.rolname, r.rolsuper,
           r.rolcanlogin,
           EXISTS (SELECT 1 FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS a
                   WHERE a.grantee = 0)
    FROM pg_proc AS p
    JOIN pg_namespace AS n ON n.oid = p.pronamespace
    JOIN pg_roles AS r ON r.oid = p.proowner
    WHERE n.nspname IN ('lock_monitoring', 'lock_catalog', 'lock_engine', 'lock_admin', 'lock_log',
                        'monitoring')
    ORDER BY 2
"""


@pytest.fixture
def dba(vault_db: str, connect: Connect) -> psycopg.Connection[Any]:
    """The DBA's connection to a fresh vault."""
    return connect(vault_db)


def may(connection: psycopg.Connection[Any], role: str, statement: str) -> bool:
    """Whether the role may run the statement; whatever else goes wrong with it is an error."""
    with connection.transaction(force_rollback=True):
        connection.execute(f"SET LOCAL ROLE {role}")
        try:
            with connection.transaction():
                connection.execute(statement)
        except psycopg.errors.InsufficientPrivilege:
            return False
        return True


@pytest.mark.parametrize("role", ROLES)
def test_a_role_cannot_log_in_and_has_exactly_these_memberships(
    dba: psycopg.Connection[Any], role: str
) -> None:
    attributes = dba.execute(
        "SELECT rolcanlogin, rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls "
        "FROM pg_roles WHERE rolname = %s",
        [role],
    ).fetchone()
    assert attributes == (False,) * 6
    parents = dba.execute(
        "SELECT r.rolname FROM pg_auth_members AS m JOIN pg_roles AS r ON r.oid = m.roleid "
        "WHERE m.member = %s::regrole",
        [role],
    )
    assert {name for (name,) in parents} == ROLES[role]


def test_nobody_is_a_member_of_an_owner(dba: psycopg.Connection[Any]) -> None:
    members = dba.execute(
        "SELECT m.member::regrole::text FROM pg_auth_members AS m JOIN pg_roles AS r ON r.oid = m.roleid "
        "JOIN pg_roles AS w ON w.oid = m.member WHERE r.rolname = ANY(%s) AND NOT w.rolsuper",
        [list(OWNERS)],
    ).fetchall()
    assert members == []


def test_only_the_doors_owner_may_signal(dba: psycopg.Connection[Any]) -> None:
    rows = dba.execute(
        "SELECT rolname FROM pg_roles "
        "WHERE rolname LIKE 'lock\\_%' AND pg_has_role(oid, 'pg_signal_backend', 'MEMBER')"
    )
    assert [name for (name,) in rows] == ["lock_door_owner"]


def test_every_function_pins_its_search_path(dba: psycopg.Connection[Any]) -> None:
    loose = [
        name
        for _schema, name, _definer, settings, *_rest in dba.execute(OUR_FUNCTIONS)
        if "search_path=pg_catalog, pg_temp" not in (settings or [])
    ]
    # the first commits, which a procedure with settings of its own may not: it sets it in each transaction;
    # the others are inlined, which a function with settings is not: they qualify all that they name
    assert loose == [
        "lock_catalog.never_stopped",
        "lock_catalog.shown_under",
        "lock_engine.claimed_tenant",
        "lock_engine.clean_up",
        "lock_engine.session_claim",
        "lock_engine.unplaced_since",
        "lock_engine.wait_until",
        "lock_engine.waits_for_object",
        "lock_engine.waits_itself",
    ]


def test_the_procedure_that_commits_uses_nothing_of_its_callers_path(vault_db: str, connect: Connect) -> None:
    caller = connect(vault_db)
    caller.execute(
        "CREATE SCHEMA trap;"
        "CREATE FUNCTION trap.wrong(timestamptz, timestamptz) RETURNS boolean LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'trapped'; END $$;"
        "CREATE OPERATOR trap.<> (LEFTARG = timestamptz, RIGHTARG = timestamptz, FUNCTION = trap.wrong);"
        "SET search_path = trap, pg_catalog"
    )
    assert caller.execute("CALL lock_engine.clean_up(30)").fetchone()
    assert caller.execute("SHOW search_path").fetchone() == ("trap, pg_catalog",)


def test_no_function_is_left_to_public(dba: psycopg.Connection[Any]) -> None:
    assert [row[1] for row in dba.execute(OUR_FUNCTIONS) if row[7]] == []


def test_functions_with_their_owners_rights_are_only_where_they_may_be(dba: psycopg.Connection[Any]) -> None:
    rows = [row for row in dba.execute(OUR_FUNCTIONS) if row[2]]
    outside = {
        name
        for schema, name, *_rest in rows
        if schema not in ("lock_monitoring", "lock_engine", "lock_admin", "lock_log")
    }
    by_vault_owner = {row[1] for row in rows if row[0] == "monitoring" and row[4] == "lock_vault_owner"}
    assert outside - by_vault_owner == {"monitoring.evaluate_alert_query"}
    assert by_vault_owner >= DEFINER_OUTSIDE
    assert [row[1] for row in rows if row[5] or row[6]] == [], (
        "owned by a superuser or by somebody who logs in"
    )
    assert {row[4] for row in rows} <= set(OWNERS)


def test_each_function_with_its_owners_rights_makes_sure_first_that_it_has_that_owner(
    dba: psycopg.Connection[Any],
) -> None:
    """As a restored dump leaves it where the roles are missing, a function would be a superuser's."""
    bare = []
    for name, owner, language, source in dba.execute(
        "SELECT p.oid::regprocedure::text, p.proowner::regrole::text, l.lanname, p.prosrc"
        " FROM pg_proc AS p JOIN pg_language AS l ON l.oid = p.prolang"
        " WHERE p.prosecdef AND p.pronamespace::regnamespace::text = ANY(%s)",
        [["lock_monitoring", "lock_catalog", "lock_engine", "lock_admin", "lock_log", "monitoring"]],
    ):
        guard = f"PERFORM lock_engine.require_owner('{owner}')"
        first = rf"(?m)^BEGIN\n *IF current_user <> '{owner}' THEN {re.escape(guard)}; END IF;$"
        if language == "sql":
            first = rf"\A\s*SELECT lock_engine.require_owner\('{owner}'\);$"
        if not re.search(first, source, re.MULTILINE):
            bare.append(name)
    assert bare == []


def test_views_do_not_read_with_a_superusers_rights(dba: psycopg.Connection[Any]) -> None:
    rows = dba.execute(
        "SELECT c.oid::regclass::text FROM pg_class AS c JOIN pg_roles AS r ON r.oid = c.relowner "
        "WHERE c.relkind = 'v' AND r.rolsuper "
        "AND c.relnamespace::regnamespace::text IN ('lock_monitoring', 'lock_catalog', 'lock_engine')"
    )
    assert rows.fetchall() == []


@pytest.mark.parametrize("role", PEOPLE)
@pytest.mark.parametrize("table", VAULT)
def test_people_read_history_and_cannot_rewrite_it(
    dba: psycopg.Connection[Any], role: str, table: str
) -> None:
    place = f"lock_monitoring.{table}"
    assert may(dba, role, f"SELECT * FROM {place} LIMIT 1")
    assert not may(dba, role, f"INSERT INTO {place} (record_source) VALUES ('x')")
    assert not may(dba, role, f"UPDATE {place} SET record_source = 'x'")
    assert not may(dba, role, f"DELETE FROM {place}")
    assert not may(dba, role, f"TRUNCATE {place} CASCADE")


@pytest.mark.parametrize("role", PEOPLE)
@pytest.mark.parametrize("call", READING)
def test_people_run_the_reading_functions(dba: psycopg.Connection[Any], role: str, call: str) -> None:
    assert may(dba, role, f"SELECT * FROM lock_monitoring.{call}")


@pytest.mark.parametrize("call", ACTING)
def test_only_the_admin_role_runs_those_that_act(dba: psycopg.Connection[Any], call: str) -> None:
    assert not may(dba, "lock_monitoring_role", f"SELECT * FROM lock_monitoring.{call}")
    assert may(dba, "lock_admin_role", f"SELECT * FROM lock_monitoring.{call}")


@pytest.mark.parametrize("role", PEOPLE)
@pytest.mark.parametrize(
    "source",
    [
        "lock_monitoring.lock_activity_dashboard",
        "lock_monitoring.blocking_sessions_dashboard",
        "lock_monitoring.lock_wait_analysis_dashboard",
        "lock_monitoring.deadlock_events_dashboard",
        "lock_catalog.sessions",
        "lock_catalog.locks",
        "lock_catalog.waits_for()",
        "lock_engine.monitor_status",
        "lock_engine.installation",
        "lock_admin.setting",
        "lock_admin.setting_history",
    ],
)
def test_people_read_the_live_picture_and_the_settings(
    dba: psycopg.Connection[Any], role: str, source: str
) -> None:
    assert may(dba, role, f"SELECT * FROM {source} LIMIT 1")


def test_only_the_admin_role_edits_settings(dba: psycopg.Connection[Any]) -> None:
    change = "UPDATE lock_admin.setting SET value = '2' WHERE name = 'capture.min_transaction_age_seconds'"
    assert not may(dba, "lock_monitoring_role", change)
    assert may(dba, "lock_admin_role", change)
    for role in PEOPLE:
        assert not may(dba, role, "DELETE FROM lock_admin.setting")
        assert not may(dba, role, "UPDATE lock_admin.setting SET changed_by = 'somebody else'")
        assert not may(dba, role, "UPDATE lock_admin.setting_history SET changed_by = 'somebody else'")
        assert not may(dba, role, "DELETE FROM lock_admin.setting_history")


def test_a_changed_setting_is_signed_and_kept(dba: psycopg.Connection[Any]) -> None:
    name = "capture.min_transaction_age_seconds"
    dba.execute("UPDATE lock_admin.setting SET value = '5', changed_by = 'forged' WHERE name = %s", [name])
    row = dba.execute(
        "SELECT old_value, new_value, changed_by FROM lock_admin.setting_history WHERE name = %s "
        "ORDER BY setting_history_id DESC LIMIT 1",
        [name],
    ).fetchone()
    assert row == (1, 5, "postgres")
    with pytest.raises(psycopg.Error, match=r'There is no setting named "nonsense\.name"'):
        dba.execute("SELECT lock_admin.setting('nonsense.name')")


INSERT_ALERT = """
    INSERT INTO monitoring.alert_configuration_s VALUES (
        util.hash_binary('X'), util.current_load_date(), NULL, util.hash_binary('Y'), 'X', 'LOCK_MONITORING',
        'SELECT 1', 0, 1, 'HIGH', true, ARRAY['dba@example.com'], 'a test', util.get_record_source())
"""


def test_only_the_admin_role_edits_alerts_and_only_by_new_versions(dba: psycopg.Connection[Any]) -> None:
    assert not may(dba, "lock_monitoring_role", INSERT_ALERT)
    assert may(dba, "lock_admin_role", INSERT_ALERT)
    for role in PEOPLE:
        assert not may(dba, role, "UPDATE monitoring.alert_configuration_s SET alert_query = 'SELECT 2'")
        assert not may(dba, role, "DELETE FROM monitoring.alert_configuration_s")


def test_recipients_are_for_the_admin_role_alone(dba: psycopg.Connection[Any]) -> None:
    query = "SELECT notification_recipients FROM monitoring.alert_configuration_s"
    assert may(dba, "lock_admin_role", query)
    assert not may(dba, "lock_monitoring_role", query)
    assert not may(dba, "lock_alert_sandbox", query)
    assert may(dba, "lock_monitoring_role", "SELECT alert_name FROM monitoring.alert_configuration_s")


def test_the_action_log_belongs_to_an_owner_of_its_own(dba: psycopg.Connection[Any]) -> None:
    owner = dba.execute("SELECT tableowner FROM pg_tables WHERE tablename = 'action_log'").fetchone()
    assert owner == ("lock_action_log_owner",)
    for role in (*PEOPLE, "lock_door_owner", "lock_vault_owner"):
        assert not may(dba, role, "UPDATE lock_admin.action_log SET reason = 'another'"), role
        assert not may(dba, role, "DELETE FROM lock_admin.action_log"), role
        assert not may(dba, role, "TRUNCATE lock_admin.action_log"), role


def test_people_cannot_signal_read_files_or_climb(dba: psycopg.Connection[Any], connect: Connect) -> None:
    dba.execute("DROP ROLE IF EXISTS other_user")
    dba.execute("CREATE ROLE other_user LOGIN")
    other = connect("postgres", user="other_user")
    for role in PEOPLE:
        assert not may(dba, role, f"SELECT pg_cancel_backend({other.info.backend_pid})")
        assert not may(dba, role, "SELECT pg_read_binary_file('PG_VERSION')")
        assert not may(dba, role, "SELECT rolpassword FROM pg_authid")
        assert not may(dba, role, "CREATE TABLE lock_monitoring.mine (a integer)")
        assert not may(
            dba, role, "CREATE FUNCTION lock_catalog.mine() RETURNS integer LANGUAGE sql AS 'SELECT 1'"
        )
    assert may(dba, "lock_door_owner", f"SELECT pg_cancel_backend({other.info.backend_pid})")


def test_somebody_without_a_role_sees_nothing(dba: psycopg.Connection[Any], connect: Connect) -> None:
    dba.execute("DROP ROLE IF EXISTS passer_by")
    dba.execute("CREATE ROLE passer_by LOGIN")
    for statement in (
        "SELECT * FROM lock_monitoring.lock_activity_dashboard",
        "SELECT * FROM lock_monitoring.run_lock_monitoring()",
        "SELECT * FROM lock_catalog.sessions",
        "SELECT lock_admin.setting('monitor.own_logins')",
        "SELECT monitoring.evaluate_alert_query('SELECT 1')",
    ):
        assert not may(dba, "passer_by", statement), statement
    dba.execute("DROP ROLE passer_by")


def test_one_role_that_has_nothing_else_sees_whose_a_session_is(dba: psycopg.Connection[Any]) -> None:
    tenants = "SELECT tenant_hk, tenant_bk FROM auth.tenant_h"
    users = "SELECT user_bk, tenant_hk FROM auth.user_h"
    assert may(dba, "lock_site_reader", tenants) and may(dba, "lock_site_reader", users)
    for role in (*PEOPLE, *OWNERS):
        if role != "lock_site_reader":
            assert not may(dba, role, tenants) and not may(dba, role, users), role
    for statement in (
        "SELECT * FROM auth.user_h",
        "SELECT email FROM auth.user_profile_s",
        "DELETE FROM auth.tenant_h",
        "SELECT * FROM lock_engine.tenant_seen",
        "SELECT lock_engine.ask_site()",
        "SELECT lock_engine.read_site('tenants', '{}', 1)",
    ):
        assert not may(dba, "lock_site_reader", statement), statement


def test_reading_is_no_right_to_say_what_was_watched(dba: psycopg.Connection[Any], connect: Connect) -> None:
    """Whoever could would make history a gap, a dead loop alive, or locks that nobody held."""
    dba.execute("DROP ROLE IF EXISTS reads_only; DROP ROLE IF EXISTS watches")
    dba.execute("CREATE ROLE reads_only LOGIN IN ROLE lock_monitoring_role")
    dba.execute("CREATE ROLE watches LOGIN IN ROLE lock_monitoring_role")
    dba.execute("INSERT INTO lock_admin.application_login (login) VALUES ('watches')")
    writes = (
        "SELECT lock_engine.begin_watching()",
        "SELECT lock_engine.record_coverage_gap(now() - interval '1 day', now(), 'x')",
        "SELECT lock_engine.name_gap('x', 3600)",
        "SELECT lock_engine.record_heartbeat('h', 1, now(), now(), now(), 1, 1, 'x', NULL, NULL)",
        "SELECT lock_engine.note_look(5)",
    )
    try:
        reader = connect(dba.info.dbname, user="reads_only")
        for statement in writes:
            with pytest.raises(
                psycopg.errors.InsufficientPrivilege, match="lockmon_deploy --login reads_only"
            ):
                reader.execute(statement)
        with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="begin_watching"):
            reader.execute(
                "SELECT lock_engine.store_seen(NULL, now(), now(), %s)",
                ['{"sessions": [], "locks": [], "graph": [], "prepared": [], "own": [], "waiting": 0}'],
            )
        reader.execute("SELECT * FROM lock_monitoring.run_lock_monitoring()")
        watcher = connect(dba.info.dbname, user="watches")
        for statement in writes:
            watcher.execute(statement)
    finally:
        for one in (reader, watcher):
            one.close()
        dba.execute("DELETE FROM lock_admin.application_login WHERE login = 'watches'")
        dba.execute("DROP ROLE reads_only; DROP ROLE watches")
