"""A living site of release candidate 1 is updated: nobody keeps a right that this release does not give."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from lockmon.install import InstallError, install, verify
from tests.conftest import Connect, OpenSession
from tests.support import catalog, doors, sites, vaults
from tests.support.poll import poll
from tests.support.servers import Server
from tests.support.stored import VAULT_TABLES, Stored

READERS = """
SELECT r.rolname::text FROM pg_roles AS r
 WHERE NOT r.rolsuper AND r.rolname !~ '^pg_'
   AND (has_any_column_privilege(r.oid, 'auth.tenant_h', 'SELECT')
        OR has_any_column_privilege(r.oid, 'auth.user_h', 'SELECT'))
 ORDER BY 1
"""
KEEPER = "vault_keeper"


def update(server: Server, dsn: str, tool: str = "python") -> list[str]:
    """Install this release over what is there; what it says at its end."""
    told: list[str] = []
    if tool == "python":
        assert install(dsn, told.append).changed
        return told
    name = str(psycopg.conninfo.conninfo_to_dict(dsn)["dbname"])
    done = [sites.psql(server, name, "-f", step) for step in sites.STEPS]
    assert [one.returncode for one in done] == [0, 0], [one.stderr for one in done]
    return [line for one in done for line in one.stdout.splitlines()]


def tenants_of_rows(living: psycopg.Connection[Any]) -> set[bytes]:
    """Keys of the tenants that the vault's rows belong to."""
    question = " UNION ".join(
        f"SELECT tenant_hk FROM lock_monitoring.{table}" for table in VAULT_TABLES if not table.endswith("_s")
    )
    return {bytes(key) for (key,) in living.execute(question)}


@pytest.mark.parametrize("tool", ["python", "psql"])
def test_tenants_keep_their_names_and_one_role_alone_reads_the_platforms_tables(
    server: Server, site: str, connect: Connect, tool: str
) -> None:
    living = connect(site)
    # rc1 gave single columns; a site may have given the whole tables beside that
    living.execute("GRANT SELECT ON auth.tenant_h, auth.user_h TO lock_monitoring_role, lock_vault_owner")
    before = {name for (name,) in living.execute(READERS)}
    assert {"lock_monitoring_role", "lock_vault_owner", "lock_door_owner", "lock_admin_role"} <= before
    # a row of each of the site's tenants
    living.execute(
        "INSERT INTO lock_monitoring.lock_activity_h"
        " (lock_activity_hk, lock_activity_bk, tenant_hk, load_date, record_source)"
        " SELECT t.tenant_hk, encode(t.tenant_hk, 'hex'), t.tenant_hk, now(), 'deadlock:test'"
        " FROM auth.tenant_h AS t"
        " WHERE t.record_source = 'SITE'"
    )
    whose = tenants_of_rows(living)
    assert len(whose) == 3

    update(server, site, tool)

    assert [name for (name,) in living.execute(READERS)] == ["lock_site_reader"]
    columns = living.execute(
        "SELECT a.attrelid::regclass::text || '.' || a.attname FROM pg_attribute AS a"
        " WHERE a.attrelid IN ('auth.tenant_h'::regclass, 'auth.user_h'::regclass) AND a.attnum > 0"
        " AND has_column_privilege('lock_site_reader', a.attrelid, a.attnum, 'SELECT') ORDER BY 1"
    ).fetchall()
    assert [name for (name,) in columns] == [
        "auth.tenant_h.tenant_bk",
        "auth.tenant_h.tenant_hk",
        "auth.user_h.tenant_hk",
        "auth.user_h.user_bk",
    ]
    assert tenants_of_rows(living) == whose
    application = connect(site, user=vaults.APP_LOGIN)
    application.execute("SET ROLE lock_monitoring_role")
    names = application.execute("SELECT tenant_hk, tenant_bk FROM lock_engine.tenant_names()").fetchall()
    there = living.execute("SELECT tenant_hk, tenant_bk FROM auth.tenant_h").fetchall()
    assert sorted(names) == sorted(there)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        application.execute("SELECT tenant_bk FROM auth.tenant_h")
    application.execute("SELECT * FROM lock_monitoring.lock_activity_dashboard LIMIT 1")


def test_a_site_whose_policies_let_the_old_reader_in_is_told_the_line_for_the_new_one(
    server: Server, site: str, connect: Connect, session: OpenSession
) -> None:
    living = connect(site)
    living.execute(
        "ALTER TABLE auth.tenant_h ENABLE ROW LEVEL SECURITY;"
        "CREATE POLICY own ON auth.tenant_h USING (tenant_bk = current_setting('app.tenant'));"
        "CREATE POLICY monitor ON auth.tenant_h TO lock_vault_owner, lock_door_owner USING (true)"
    )
    whose = tenants_of_rows(living)
    try:
        (line,) = [line for line in update(server, site) if "row security" in line]
        stored = Stored(living)
        assert stored.cycle()["monitoring_summary"] is not None
        assert stored.rows("SELECT * FROM lock_engine.tenant_names()") == []
        assert tenants_of_rows(living) - {b""} == whose, "rows of before stay whose they are"
        statement = "ALTER ROLE lock_site_reader BYPASSRLS;"
        assert statement in line
        living.execute(statement)
        living.execute("SELECT lock_engine.ask_site(true)")
        assert len(stored.rows("SELECT * FROM lock_engine.tenant_names()")) == 3
    finally:
        living.execute("ALTER ROLE lock_site_reader NOBYPASSRLS")


def test_settings_that_the_release_before_took_and_nothing_can_use_are_the_defaults(
    server: Server, site: str, connect: Connect
) -> None:
    living = connect(site)
    nonsense = {
        "door.enabled": '"maybe"',
        "capture.min_transaction_age_seconds": '"soon"',
        "analysis.business_hours": '{"days": [9], "from": "8", "to": "18:00"}',
        "auto_resolve.min_severity": '"high"',
        "door.protected_users": "5",
    }
    kept = {"policy.second_person": '"never"', "capture.max_locks": "1234"}
    there = {name for (name,) in living.execute("SELECT name FROM lock_admin.setting")}
    kept = {name: value for name, value in kept.items() if name in there}
    assert set(nonsense) <= there and kept
    for name, value in (nonsense | kept).items():
        living.execute("UPDATE lock_admin.setting SET value = %s::jsonb WHERE name = %s", [value, name])
    update(server, site)
    values = dict(living.execute("SELECT name, value::text FROM lock_admin.setting").fetchall())
    assert {name: values[name] for name in kept} == kept
    assert not [name for name in nonsense if values[name] == nonsense[name]]
    for name in nonsense:
        row = living.execute(
            "SELECT old_value = %s::jsonb FROM lock_admin.setting_history"
            " WHERE name = %s AND new_value IS NULL",
            [nonsense[name], name],
        ).fetchone()
        assert row == (True,), f"the history keeps what {name} was"
    faults = living.execute(
        "SELECT name FROM lock_admin.setting WHERE lock_admin.setting_fault(name, value) > ''"
    )
    assert faults.fetchall() == []
    assert not Stored(living).cycle()["monitoring_summary"].startswith("skipped")


def give_away(living: psycopg.Connection[Any]) -> None:
    """The vault's tables and their schemas belong to a role of the site's, as on a site that made them."""
    if living.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [KEEPER]).fetchone() is None:
        living.execute(f"CREATE ROLE {KEEPER} LOGIN")
    for table in VAULT_TABLES:
        living.execute(f"ALTER TABLE lock_monitoring.{table} OWNER TO {KEEPER}")
    living.execute(f"ALTER SCHEMA lock_monitoring OWNER TO {KEEPER}")
    living.execute(f"ALTER SCHEMA monitoring OWNER TO {KEEPER}")
    living.execute("GRANT USAGE ON SCHEMA lock_monitoring TO shop_rw")
    living.execute("GRANT SELECT ON lock_monitoring.lock_activity_s TO shop_rw")


@pytest.mark.parametrize("tool", ["python", "psql"])
def test_what_the_sites_role_owned_is_taken_over_with_its_rows(
    server: Server, site: str, connect: Connect, tool: str
) -> None:
    living = connect(site)
    give_away(living)
    count = "SELECT count(*) FROM lock_monitoring.lock_activity_s"
    rows = living.execute(count).fetchone()
    told = "\n".join(update(server, site, tool))
    for what in ("schema lock_monitoring", "schema monitoring", "table lock_monitoring.lock_activity_s"):
        assert f'The {what} belonged to "{KEEPER}" and is now postgres' in told
    assert [check for check in verify(living) if not check.passed] == []
    owner = connect(site, user=KEEPER)
    assert owner.execute(count).fetchone() == rows, "its owner of before reads it"
    assert connect(site, user="shop_rw").execute(count).fetchone() == rows, "grants stay"
    for statement in (
        "CREATE FUNCTION lock_monitoring.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "DROP FUNCTION lock_monitoring.run_lock_monitoring(bytea)",
        "DELETE FROM lock_monitoring.lock_activity_s",
        "ALTER TABLE lock_monitoring.lock_activity_s DISABLE TRIGGER ALL",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            owner.execute(statement)
    remembered = living.execute("SELECT DISTINCT owner_name FROM lock_engine.site_owner").fetchall()
    assert remembered == [(KEEPER,)]
    assert Stored(living).cycle()["monitoring_summary"] is not None


def test_what_its_owner_left_in_a_table_stops_the_update_and_not_the_release_before(
    server: Server, site: str, connect: Connect
) -> None:
    living = connect(site)
    give_away(living)
    living.execute(
        f"SET ROLE {KEEPER};"
        "CREATE FUNCTION lock_monitoring.spy() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
        "CREATE TRIGGER spy BEFORE INSERT ON lock_monitoring.lock_activity_s FOR EACH ROW"
        " EXECUTE FUNCTION lock_monitoring.spy(); RESET ROLE"
    )
    before = catalog.definitions(living)
    with pytest.raises(InstallError, match=r"trigger spy.*Nothing was changed\."):
        install(site)
    assert catalog.definitions(living) == before
    assert Stored(living).cycle()["monitoring_summary"] is not None, "the release before goes on"
    living.execute("DROP TRIGGER spy ON lock_monitoring.lock_activity_s; DROP FUNCTION lock_monitoring.spy()")
    update(server, site)


def test_an_updated_vault_is_at_home_and_what_stays_armed_acts(
    server: Server, site: str, connect: Connect, session: OpenSession
) -> None:
    living = connect(site)
    second = connect(site, user="shop_dba")
    second.execute("SET ROLE lock_admin_role")
    rules = (
        '{"action": "terminate", "min_severity": "LOW", "min_blocked_seconds": 1, "user_patterns": ["app_*"]}'
    )
    living.execute("SELECT lock_admin.save_policy('idle', %s, 'ann')", [rules])
    living.execute("SELECT lock_admin.backtest_policy('idle')")
    row = second.execute(
        "SELECT accepted, message FROM lock_admin.set_policy_mode('idle', 'armed', 'agreed', 'bob', 1)"
    ).fetchone()
    assert row is not None and row[0], row
    update(server, site)
    doors.prepare(server, site)

    home = living.execute(
        "SELECT h.system_identifier = c.system_identifier AND h.database_oid = d.oid, h.reason"
        " FROM lock_engine.home AS h, pg_control_system() AS c, pg_database AS d"
        " WHERE d.datname = current_database()"
    ).fetchall()
    assert home == [(True, "installed here")]
    application = connect(site, user=vaults.APP_LOGIN)
    application.execute("SET ROLE lock_monitoring_role")
    assert application.execute("SELECT lock_engine.disarmed_because()").fetchone() == (None,)
    holder = doors.hold(session, site)
    doors.wait(session, site)

    def gone() -> bool:
        application.execute("SELECT * FROM lock_admin.run_policies()")
        return not doors.alive(site)(holder.pid)

    poll(gone, 20, "the policy's stop", 0.2)
