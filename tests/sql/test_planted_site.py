"""Code that the owner of the platform's tables planted there runs with nobody's rights but his own."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from tests.conftest import Connect, OpenSession
from tests.support.aside import ACME, PUBLISHED, aside, blocked_pair, of, places, two_tenants
from tests.support.planted import OF_TENANTS, ON_TENANTS, OWNER, REFUSED, SPY, plant, ran, take_away
from tests.support.poll import poll
from tests.support.stored import Stored

CALLS = (
    "lock_monitoring.run_lock_monitoring()",
    "lock_monitoring.run_lock_monitoring('\\xac3e')",
    "lock_monitoring.capture_lock_activity()",
    "lock_monitoring.capture_lock_activity('\\xac3e')",
    "lock_monitoring.detect_blocking_sessions('\\xac3e', 0)",
    "lock_monitoring.detect_deadlocks('\\xac3e')",
    "lock_monitoring.analyze_lock_waits('\\xac3e', 1)",
    "lock_monitoring.analyze_lock_waits(NULL, 1)",
    "lock_monitoring.auto_resolve_blocking('\\xac3e', 600, true)",
    "lock_monitoring.cleanup_old_data(30)",
    "lock_engine.ask_site(true)",
    "lock_engine.tenant_names()",
    "lock_admin.run_policies()",
    "lock_admin.follow_up()",
)


@pytest.fixture
def scene(vault_db: str) -> str:
    """A database with two tenants, whose tables belong to somebody else than the vault."""
    two_tenants(vault_db)
    with psycopg.connect(vault_db, autocommit=True) as connection:
        connection.execute(SPY)
    return vault_db


@pytest.fixture
def stored(scene: str, connect: Connect) -> Stored:
    """The vault, as the DBA reads it."""
    return Stored(connect(scene))


def test_nothing_planted_on_the_users_runs(scene: str, stored: Stored, session: OpenSession) -> None:
    dba = stored.connection
    dba.execute("SET constraint_exclusion = on")
    root, _waiter = blocked_pair(scene, session, "NOBODY", 1)
    for what, (since, _how, undone) in ON_TENANTS.items():
        if what in OF_TENANTS or dba.info.server_version // 10000 < since:
            continue
        plant(dba, what, "auth.user_h")
        dba.execute("DELETE FROM lock_engine.tenant_claim; DELETE FROM lock_engine.part_state")
        dba.execute("INSERT INTO lock_engine.tenant_wanted (claim) VALUES ('u:ann') ON CONFLICT DO NOTHING")
        for call in (*CALLS[:3], "lock_engine.ask_site(true)"):
            stored.rows(f"SELECT * FROM {call}")
        assert ran(dba) == (0, 0) and of(stored, root.pid), what
        if what in REFUSED:
            said = stored.one("SELECT * FROM lock_engine.part_state WHERE part = 'tenants'")
            assert said["failures_in_a_row"] > 0 and "user_h" in said["last_error"], what
        if undone:
            take_away(dba, what, "auth.user_h")


@pytest.mark.parametrize("what", ON_TENANTS)
def test_nothing_planted_runs(scene: str, stored: Stored, session: OpenSession, what: str) -> None:
    """Neither while tenants are read, nor in a foreign key; and what it kept out comes in afterwards."""
    dba = stored.connection
    if dba.info.server_version // 10000 < ON_TENANTS[what][0]:
        pytest.skip(f"there are no such things before {ON_TENANTS[what][0]}")
    dba.execute("SELECT lock_engine.ask_site(true)")
    dba.execute("SET constraint_exclusion = on")
    plant(dba, what)
    root, waiter = blocked_pair(scene, session, "ACME", 1)
    dba.execute("UPDATE lock_engine.tenant_claim SET looked_up_at = now() - interval '1 hour'")
    for call in CALLS:
        stored.rows(f"SELECT * FROM {call}")
    assert ran(dba) == (0, 0)
    assert of(stored, root.pid) and of(stored, waiter.pid), "it blinds nobody"
    if what in REFUSED:
        said = stored.one("SELECT * FROM lock_engine.part_state WHERE part = 'tenants'")
        assert said["failures_in_a_row"] > 0 and "auth.tenant_h" in said["last_error"]
        assert places(stored, root.pid) != PUBLISHED
    stored.check_rules()
    if ON_TENANTS[what][2]:
        take_away(dba, what)
        dba.execute("UPDATE lock_engine.tenant_wanted SET try_at = now()")
        poll(lambda: [stored.capture(), aside(stored) == 0][1], 10, "its place")
        assert {bytes(row["tenant_hk"]) for row in of(stored, root.pid)} == {ACME}
        assert places(stored, root.pid) == PUBLISHED
        stored.check_rules()


def test_the_spy_would_be_seen(scene: str, stored: Stored) -> None:
    """The test above can fail: whoever reads a table with a trap on it runs the trap."""
    dba = stored.connection
    dba.execute(
        "GRANT SELECT ON auth.tenant_h TO lock_vault_owner;GRANT USAGE ON SCHEMA auth TO lock_vault_owner"
    )
    for what in ("a policy", "a view in the table's place"):
        plant(dba, what)
        dba.execute("SET ROLE lock_vault_owner")
        dba.execute("SELECT tenant_bk FROM auth.tenant_h")
        dba.execute("RESET ROLE")
        everything, with_other_rights = ran(dba)
        assert everything > 0 and with_other_rights > 0, what
        take_away(dba, what)


# Everything that a function can do to the session it runs in; it is no superuser's, and not even its owner's.
HARM = f"""
CREATE OR REPLACE FUNCTION auth.harm() RETURNS boolean LANGUAGE plpgsql SECURITY INVOKER AS $$
BEGIN
  PERFORM nextval('auth.ran');
  PERFORM set_config('search_path', 'auth', false), set_config('lock_timeout', '1', false),
          set_config('DateStyle', 'German', false), set_config('lock_vault.unplaced_since', '1', false);
  PERFORM pg_advisory_unlock_all();
  PERFORM pg_advisory_lock(460, 1), pg_advisory_lock(460, 10), pg_advisory_lock(77),
          pg_advisory_lock_shared(-5, -6);
  EXECUTE 'LISTEN trap';
  EXECUTE 'NOTIFY trap';
  EXECUTE 'PREPARE trap AS SELECT 1';
  EXECUTE 'CREATE TEMP TABLE trap (n int)';
  EXECUTE 'CREATE FUNCTION pg_temp.spring() RETURNS trigger LANGUAGE plpgsql AS '
          '''BEGIN PERFORM nextval(''''auth.ran_as_another''''); RETURN NULL; END''';
  EXECUTE 'CREATE CONSTRAINT TRIGGER spring AFTER INSERT ON pg_temp.trap DEFERRABLE INITIALLY DEFERRED '
          'FOR EACH ROW EXECUTE FUNCTION pg_temp.spring()';
  EXECUTE 'INSERT INTO pg_temp.trap VALUES (1)';
  BEGIN
    EXECUTE 'SET ROLE lock_admin_role';
    PERFORM nextval('auth.ran_as_another');
  EXCEPTION WHEN OTHERS THEN NULL;
  END;
  BEGIN
    EXECUTE 'SET SESSION AUTHORIZATION DEFAULT';
    PERFORM nextval('auth.ran_as_another');
  EXCEPTION WHEN OTHERS THEN NULL;
  END;
  RETURN true;
END $$;
ALTER TABLE auth.tenant_h RENAME TO tenants;
CREATE VIEW auth.tenant_h AS SELECT tenant_hk, tenant_bk FROM auth.tenants WHERE auth.harm();
ALTER VIEW auth.tenant_h OWNER TO {OWNER};
GRANT SELECT ON auth.tenant_h TO PUBLIC;
"""
SESSION = """
SELECT current_setting('search_path') AS path, current_setting('lock_timeout') AS timeout,
       current_setting('DateStyle') AS style, current_user::text AS who,
       coalesce(current_setting('lock_vault.unplaced_since', true), '') AS unplaced,
       (SELECT count(*) FROM pg_locks l
         WHERE l.locktype = 'advisory' AND l.pid = pg_backend_pid()) AS locks,
       (SELECT count(*) FROM pg_prepared_statements p WHERE p.name = 'trap') AS prepared,
       (SELECT count(*) FROM pg_listening_channels()) AS listening,
       to_regclass('pg_temp.trap') IS NULL AS nothing_temporary
"""


def test_the_second_wall_holds_without_the_first(scene: str, stored: Stored, connect: Connect) -> None:
    """Were a trap of a kind that nobody thought of not refused, the session would be as before."""
    dba = stored.connection
    dba.execute(HARM)
    dba.execute(
        "CREATE OR REPLACE FUNCTION"
        " lock_engine.site_fault(p_table text, p_columns text[], p_oid oid DEFAULT NULL)"
        " RETURNS text LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS 'SELECT NULL::text'"
    )
    caller = Stored(connect(scene, autocommit=True))
    caller.connection.execute("SELECT pg_advisory_lock(99)")
    before = caller.one(SESSION)
    dba.execute("SELECT lock_engine.tenant_of('nobody', 'tenant=ACME')")
    caller.rows("SELECT * FROM lock_monitoring.run_lock_monitoring()")
    assert ran(dba)[0] > 0, "the trap was sprung"
    assert ran(dba)[1] == 0
    assert caller.one(SESSION) == before
    said = stored.one("SELECT * FROM lock_engine.part_state WHERE part = 'tenants'")
    for left in (
        "advisory lock (460, 1)",
        "advisory lock (460, 10)",
        "(0, 77)",
        "prepared statement trap",
        "no more advisory lock (0, 99)",
    ):
        assert left in said["last_error"], said["last_error"]
    # nobody is kept out by what it took, and the session goes on
    assert not stored.cycle()["monitoring_summary"].startswith("skipped")
    assert not caller.cycle()["monitoring_summary"].startswith("skipped")
    assert caller.value("SELECT pg_advisory_unlock(99)") is True


def test_a_policy_of_the_platform_costs_the_name_at_most(
    scene: str, stored: Stored, session: OpenSession
) -> None:
    """A platform that shows each tenant its own row, as multi-tenant platforms do."""
    dba = stored.connection
    dba.execute(
        "ALTER TABLE auth.tenant_h ENABLE ROW LEVEL SECURITY;"
        "CREATE POLICY own ON auth.tenant_h USING (tenant_bk = current_setting('app.tenant'))"
    )
    dba.execute("DELETE FROM lock_engine.tenant_claim; DELETE FROM lock_engine.tenant_seen")
    root, waiter = blocked_pair(scene, session, "ACME", 1)
    assert not stored.cycle()["monitoring_summary"].startswith("skipped")
    assert stored.capture()["blocking_locks"] > 0
    assert of(stored, root.pid) and of(stored, waiter.pid) and stored.episodes(root.pid)
    said = stored.one("SELECT * FROM lock_engine.part_state WHERE part = 'tenants'")
    assert "row-level security" in said["last_error"]
    stored.check_rules()


def test_a_trap_set_between_the_question_and_the_check_is_taken_back(
    scene: str, stored: Stored, connect: Connect
) -> None:
    """The question is put again after the check, when what was made in between cannot have gone again."""
    dba = stored.connection
    writer = connect(scene, autocommit=False)
    writer.execute("SELECT lock_engine.defer_keys(clock_timestamp())")
    writer.execute(
        "INSERT INTO lock_monitoring.deadlock_event_h (deadlock_event_hk, deadlock_event_bk, tenant_hk,"
        " load_date, record_source) VALUES ('\\x01', 'x', '\\xac3e', clock_timestamp(), 't')"
    )
    plant(dba, "an index on an expression")
    # as if it had been made a moment after the first question
    dba.execute(
        "CREATE OR REPLACE FUNCTION lock_engine.plain_tenants() RETURNS void LANGUAGE plpgsql VOLATILE"
        " SET search_path = pg_catalog, pg_temp AS $$ BEGIN"
        " IF current_setting('spy.asked', true) IS DISTINCT FROM 'yes' THEN"
        "   PERFORM set_config('spy.asked', 'yes', true); RETURN; END IF;"
        " RAISE EXCEPTION '%', lock_engine.site_fault('auth.tenant_h', ARRAY['tenant_hk'])"
        "   USING ERRCODE = 'insufficient_privilege'; END $$"
    )
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="runs code that somebody made here"):
        writer.execute("SELECT lock_engine.check_keys()")
    writer.rollback()
    assert ran(dba)[1] == 0, "with nobody's rights but its owner's"


def test_what_comes_with_a_range_type_is_not_taken_for_postgresqls_own(stored: Stored) -> None:
    """Its constructors are in the language internal, and call its canonical function, whoever made it."""
    dba = stored.connection
    dba.execute(
        f"SET ROLE {OWNER}; CREATE TYPE auth.span AS RANGE (subtype = text);"
        "CREATE INDEX trap ON auth.tenant_h (tenant_hk) WHERE isempty(auth.span('a', 'b')); RESET ROLE"
    )
    assert stored.value("SELECT lock_engine.is_compiled('auth.span(text,text)'::regprocedure)") is False
    assert (
        stored.value("SELECT lock_engine.is_compiled('pg_catalog.int4range(int,int)'::regprocedure)") is True
    )
    fault = stored.value("SELECT lock_engine.site_fault('auth.tenant_h', '{tenant_hk,tenant_bk}')")
    assert "runs code that somebody made here" in str(fault)


def test_rows_without_a_name_or_a_key_cost_nobody_elses_name(
    scene: str, stored: Stored, session: OpenSession
) -> None:
    """The empty key means "not known yet": a tenant of that key must not keep rows aside for ever."""
    dba = stored.connection
    plant(dba, "rows without a name or a key")
    root, waiter = blocked_pair(scene, session, "NOBODY", 1)
    dba.execute("DELETE FROM lock_engine.tenant_claim WHERE claim = 'all'")
    poll(lambda: [stored.cycle(), aside(stored) == 0][1], 10, "a place for what nobody's are")
    assert places(stored, root.pid) == PUBLISHED and of(stored, waiter.pid)
    said = stored.rows("SELECT * FROM lock_engine.part_state WHERE part = 'tenants' AND failures > 0")
    assert said == []
    names = {row["tenant_bk"] for row in stored.rows("SELECT tenant_bk FROM lock_engine.tenant_seen")}
    assert names >= {"ACME", "BOLT"} and "NOBODY" not in names


def test_what_cannot_be_kept_of_the_sites_rows_is_a_failure_of_that_part(
    scene: str, stored: Stored, session: OpenSession
) -> None:
    dba = stored.connection
    dba.execute(
        "ALTER TABLE lock_engine.tenant_seen ADD CONSTRAINT trap CHECK (tenant_bk <> 'ACME') NOT VALID;"
        "DELETE FROM lock_engine.tenant_claim; DELETE FROM lock_engine.tenant_seen"
    )
    root, _waiter = blocked_pair(scene, session, "ACME", 1)
    assert not stored.cycle()["monitoring_summary"].startswith("skipped")
    said = stored.one("SELECT * FROM lock_engine.part_state WHERE part = 'tenants'")
    assert said["last_sqlstate"] == "23514" and of(stored, root.pid)


def test_compiled_and_own_code_is_no_trap(scene: str, stored: Stored) -> None:
    """An index that a site has for good reasons: PostgreSQL's functions, on columns of any kind."""
    dba: psycopg.Connection[Any] = stored.connection
    dba.execute(
        "CREATE INDEX lower_bk ON auth.tenant_h (lower(tenant_bk), length(tenant_bk)) WHERE tenant_bk <> '';"
        "ALTER TABLE auth.tenant_h ADD CHECK (tenant_bk ~ '.'),"
        " ADD COLUMN n int GENERATED ALWAYS AS (length(tenant_bk)) STORED;"
        "CREATE TABLE auth.other (PRIMARY KEY (tenant_hk)) INHERITS (auth.tenant_h)"
    )
    assert stored.value("SELECT lock_engine.site_fault('auth.tenant_h', '{tenant_hk,tenant_bk}')") is None
    assert stored.value("SELECT lock_engine.site_fault('auth.user_h', '{user_bk,tenant_hk}')") is None
