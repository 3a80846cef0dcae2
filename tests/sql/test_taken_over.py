"""What a site's own role owns of the contract is taken over, and what others have a hold on is named."""

from __future__ import annotations

import json
import re

import psycopg
import pytest

from lockmon.install import (
    SQL_FOLDER,
    InstallError,
    install,
    manifest,
    ownership,
    remove,
    verify,
    what_is_lost,
)
from lockmon.install import connect as connect_installer
from lockmon.install.verification import ROLES
from tests.conftest import Connect
from tests.support import sites, traps
from tests.support.servers import Server
from tests.support.traps import EVIL

CONTRACT_TABLES = sorted(json.loads((sites.DATA / "contract.json").read_text(encoding="utf-8"))["tables"])
# What the owner of a table of the contract can leave in it; each would run as the vault's owner
VAULT_KINDS = {
    "trigger": "CREATE TRIGGER spy BEFORE INSERT ON {} FOR EACH ROW EXECUTE FUNCTION trap.fired()",
    "trigger of PostgreSQL's": "CREATE TRIGGER spy BEFORE UPDATE ON {} FOR EACH ROW "
    "EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "rule": "CREATE RULE spy AS ON INSERT TO {} DO ALSO SELECT trap.note('rule')",
    "policy": "ALTER TABLE {0} ENABLE ROW LEVEL SECURITY; "
    "CREATE POLICY spy ON {0} USING (trap.note('policy'))",
    "default": "ALTER TABLE {} ALTER COLUMN record_source "
    "SET DEFAULT CASE WHEN trap.note('default') THEN 'x' END",
    "check": "ALTER TABLE {} ADD CONSTRAINT spy CHECK (trap.spy('check'))",
    "index on an expression": "CREATE INDEX spy ON {} (trap.spy(record_source))",
    "index with a condition": "CREATE INDEX spy ON {} (record_source) WHERE trap.spy('predicate')",
    "foreign key to it": "CREATE UNIQUE INDEX site_s ON {0} (load_date);"
    "CREATE TABLE trap.refers (spy timestamptz REFERENCES {0} (load_date))",
    "child with a trigger": "CREATE TABLE lock_monitoring.child () INHERITS ({}); CREATE TRIGGER spy "
    "BEFORE INSERT ON lock_monitoring.child FOR EACH ROW EXECUTE FUNCTION trap.fired()",
    # of PostgreSQL's own functions only, and yet his code
    "check that runs a text": "ALTER TABLE {} ADD CONSTRAINT spy CHECK (ts_rewrite('a'::tsquery, "
    "'SELECT ''a''::tsquery, ''b''::tsquery WHERE trap.note(''text'')') IS NOT NULL)",
    "default that acts": "ALTER TABLE {} ALTER COLUMN record_source SET DEFAULT lo_create(0)::text",
    "part of a table of his": "CREATE TABLE trap.spy (LIKE {0}) PARTITION BY RANGE (record_source);"
    "ALTER TABLE trap.spy ATTACH PARTITION {0} DEFAULT",
    "child of a table of his": "CREATE TABLE trap.spy (LIKE {0}); ALTER TABLE {0} INHERIT trap.spy",
}


@pytest.mark.parametrize(
    "table",
    [
        table
        if table in ("lock_activity_h", "lock_activity_s")
        else pytest.param(table, marks=pytest.mark.long)
        for table in CONTRACT_TABLES
    ],
)
@pytest.mark.parametrize("kind", VAULT_KINDS)
def test_what_an_owner_left_in_a_table_of_the_contract_is_refused_by_name(
    server: Server, connect: Connect, kind: str, table: str
) -> None:
    name = traps.a_sites_owners_site(server, old_functions=True)
    dba = connect(name)
    traps.give(dba, "lock_monitoring", "monitoring")
    dba.execute(f"SET ROLE {EVIL}")
    dba.execute(VAULT_KINDS[kind].format(f"lock_monitoring.{table}"))
    dba.execute("RESET ROLE")
    with pytest.raises(InstallError) as caught:
        install(server.dsn(name))
    said = str(caught.value)
    assert "would run with the monitor's rights" in said and "Nothing was changed." in said
    assert ("record_source" if kind.startswith("default") else "spy") in said
    owner = dba.execute("SELECT tableowner FROM pg_tables WHERE tablename = %s", [table]).fetchone()
    assert owner == (EVIL,), "nothing was changed"
    assert traps.ran(dba) == []


@pytest.mark.parametrize("tool", traps.TOOLS)
def test_schemas_and_tables_of_the_site_are_taken_over_and_given_back(
    server: Server, connect: Connect, tool: str
) -> None:
    name = traps.a_sites_owners_site(server, old_functions=True)
    dba = connect(name)
    traps.give(dba, "lock_monitoring", "monitoring")
    reader = "planted_reader"
    if dba.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [reader]).fetchone() is None:
        dba.execute(f"CREATE ROLE {reader} LOGIN")
    dba.execute(
        f"SET ROLE {EVIL};"
        "CREATE FUNCTION lock_monitoring.cleanup_old_data(p_retention_days integer DEFAULT 30)"
        " RETURNS TABLE (cleanup_summary varchar, records_cleaned integer) LANGUAGE sql AS"
        " $$ SELECT 'x'::varchar, 1 $$;"
        f"GRANT USAGE ON SCHEMA lock_monitoring TO {reader};"
        f"GRANT SELECT, TRIGGER ON lock_monitoring.lock_activity_s TO {reader};"
        f"GRANT EXECUTE ON FUNCTION lock_monitoring.cleanup_old_data(integer) TO {reader}; RESET ROLE"
    )
    if tool == "psql":
        done = [sites.psql(server, name, "-f", step) for step in sites.STEPS]
        assert [one.returncode for one in done] == [0, 0], [one.stderr for one in done]
        told = "".join(one.stdout for one in done)
    else:
        lines: list[str] = []
        install(server.dsn(name), lines.append)
        told = "\n".join(lines)
    for what in ("schema lock_monitoring", "schema monitoring", "table lock_monitoring.lock_activity_s"):
        assert f'The {what} belonged to "{EVIL}" and is now postgres' in told
    assert f"{reader} may no longer have TRIGGER on the table lock_monitoring.lock_activity_s" in told
    assert [check for check in verify(dba) if not check.passed] == []

    owner = connect(name, user=EVIL)
    assert owner.execute("SELECT count(*) FROM lock_monitoring.lock_activity_s").fetchone() == (0,)
    assert owner.execute("SELECT monitoring.system_health()").fetchone() == ("fine",)
    for statement in (
        "CREATE FUNCTION lock_monitoring.run_lock_monitoring(text) RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE TABLE monitoring.mine (n int)",
        "DROP FUNCTION monitoring.save_alert_configuration(bytea, bigint, jsonb, text, text)",
        "DROP FUNCTION lock_monitoring.run_lock_monitoring(bytea)",
        "DELETE FROM lock_monitoring.lock_activity_s",
        "ALTER SCHEMA lock_monitoring RENAME TO mine",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            owner.execute(statement)
    others = connect(name, user=reader)
    assert others.execute("SELECT count(*) FROM lock_monitoring.lock_activity_s").fetchone() == (0,)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        others.execute("SELECT lock_monitoring.cleanup_old_data(30)")

    removal = remove(dba)
    assert f"schema monitoring: it belongs to {EVIL} again" in removal.left
    for schema in ("lock_monitoring", "monitoring"):
        row = dba.execute("SELECT nspowner::regrole::text FROM pg_namespace WHERE nspname = %s", [schema])
        assert row.fetchone() == (EVIL,)
    owners = dba.execute("SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'lock_monitoring'")
    assert owners.fetchall() == [(EVIL,)]
    assert traps.ran(dba) == []


def test_who_may_create_in_a_schema_of_the_monitors_is_refused_with_the_line(
    server: Server, connect: Connect
) -> None:
    name = traps.a_sites_owners_site(server)
    dba = connect(name)
    dba.execute(f"GRANT CREATE ON SCHEMA monitoring TO {EVIL}; GRANT CREATE ON SCHEMA monitoring TO PUBLIC")
    with pytest.raises(InstallError) as caught:
        install(server.dsn(name))
    lines = [f"REVOKE CREATE ON SCHEMA monitoring FROM {who};" for who in (EVIL, "PUBLIC")]
    assert all(line in str(caught.value) for line in lines)
    for line in lines:
        dba.execute(line)
    assert install(server.dsn(name)).changed


@pytest.mark.parametrize(
    "planted_object",
    [
        "CREATE FUNCTION monitoring.save_alert_configuration(bytea, bigint, jsonb, text, text) "
        "RETURNS bigint LANGUAGE sql AS $$ SELECT 1::bigint WHERE trap.note('function') $$",
        "CREATE FUNCTION monitoring.store_alert_states(text) RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE VIEW monitoring.alert_overview AS SELECT trap.note('view') AS a",
        "CREATE VIEW lock_monitoring.deadlock_patterns AS SELECT trap.note('view') AS a",
    ],
)
def test_what_bears_a_name_of_ours_is_not_taken_for_ours(
    server: Server, connect: Connect, planted_object: str
) -> None:
    name = traps.a_sites_owners_site(server, old_functions=True)
    dba = connect(name)
    traps.give(dba, "lock_monitoring", "monitoring")
    dba.execute(f"SET ROLE {EVIL}")
    dba.execute(planted_object)
    dba.execute("RESET ROLE")
    with pytest.raises(InstallError, match=r"Others own what bears names of the monitor's: .*Drop or rename"):
        install(server.dsn(name))
    assert traps.ran(dba) == []


def test_schemas_of_ours_that_somebody_made_first_are_refused_unread(
    server: Server, connect: Connect
) -> None:
    """Before anything is installed, with records of an install that never was: looking runs none of them."""
    name = server.create_database()
    dba = connect(name)
    traps.spy(dba)
    dba.execute(f"GRANT CREATE ON DATABASE {name} TO {EVIL}; SET ROLE {EVIL}")
    dba.execute(
        """
        CREATE SCHEMA lock_engine; CREATE SCHEMA lock_admin;
        CREATE VIEW lock_engine.installation AS SELECT 1::bigint AS installation_id, now() AS installed_at,
            'x'::text AS installed_by, 1 AS server_version, 'x'::text AS catalog_hash, 'x'::text AS files_hash
            WHERE trap.note('installation');
        CREATE VIEW lock_engine.site_object AS SELECT 'x'::text AS kind, 'x'::text AS schema_name,
            'x'::text AS object_name WHERE trap.note('site object');
        CREATE VIEW lock_admin.setting AS SELECT 'x'::text AS name, '1'::jsonb AS value
            WHERE trap.note('setting');
        CREATE FUNCTION lock_engine.catalog_hash() RETURNS text LANGUAGE sql AS
            $$ SELECT 'x'::text WHERE trap.note('hash') $$;
        RESET ROLE
        """
    )
    with connect_installer(server.dsn(name)) as installer:
        assert [check for check in verify(installer) if not check.passed]
        assert what_is_lost(installer) == []
        with pytest.raises(InstallError, match="is not installed in this database"):
            remove(installer)
    for run in (lambda: install(server.dsn(name)), lambda: sites.install_with_psql(server, name)):
        with pytest.raises((InstallError, AssertionError)) as caught:
            run()
        assert f'belongs to "{EVIL}", whose code would run as you' in str(caught.value)
    assert traps.ran(dba) == []


def test_roles_of_ours_that_somebody_could_work_as_are_given_nothing(
    server: Server, connect: Connect
) -> None:
    name = server.create_database()
    install(server.dsn(name))
    dba = connect(name)
    traps.spy(dba)
    dba.execute(f"GRANT lock_log_reader TO {EVIL}")
    try:
        with pytest.raises(InstallError, match=f"REVOKE lock_log_reader FROM {EVIL};"):
            install(server.dsn(name), again=True)
    finally:
        dba.execute(f"REVOKE lock_log_reader FROM {EVIL}")
    install(server.dsn(name), again=True)


@pytest.mark.parametrize(
    ("change", "named", "how"),
    [
        (f"ALTER SCHEMA monitoring OWNER TO {EVIL}", "schema monitoring", "ALTER SCHEMA monitoring OWNER TO"),
        (f"GRANT CREATE ON SCHEMA lock_engine TO {EVIL}", "schema lock_engine", "REVOKE CREATE ON SCHEMA"),
        (
            f"ALTER TABLE lock_monitoring.lock_activity_s OWNER TO {EVIL}",
            "lock_monitoring.lock_activity_s",
            "ALTER TABLE lock_monitoring.lock_activity_s OWNER TO",
        ),
        (
            f"GRANT TRIGGER ON lock_monitoring.lock_activity_s TO {EVIL}",
            "lock_monitoring.lock_activity_s",
            "REVOKE TRIGGER ON lock_monitoring.lock_activity_s",
        ),
        (
            f"ALTER FUNCTION lock_monitoring.run_lock_monitoring(bytea) OWNER TO {EVIL}",
            "lock_monitoring.run_lock_monitoring",
            "which belongs to",
        ),
        (
            "CREATE FUNCTION lock_monitoring.run_lock_monitoring(text) RETURNS int "
            "LANGUAGE sql AS 'SELECT 1'; "
            f"ALTER FUNCTION lock_monitoring.run_lock_monitoring(text) OWNER TO {EVIL}",
            "lock_monitoring.run_lock_monitoring",
            "drop lock_monitoring.run_lock_monitoring(text)",
        ),
        (
            f"ALTER VIEW lock_engine.monitor_status OWNER TO {EVIL}",
            "lock_engine.monitor_status",
            "drop or rename it",
        ),
        (
            "CREATE TRIGGER spy BEFORE INSERT ON lock_engine.coverage "
            "FOR EACH ROW EXECUTE FUNCTION trap.fired()",
            "lock_engine.coverage",
            "drop its trigger spy, which runs code of",
        ),
        (
            "CREATE TABLE trap.refers (spy bytea CONSTRAINT spy REFERENCES lock_monitoring.lock_activity_h); "
            f"ALTER TABLE trap.refers OWNER TO {EVIL}",
            "lock_monitoring.lock_activity_h",
            "ALTER TABLE trap.refers DROP CONSTRAINT spy",
        ),
        (
            "CREATE INDEX spy ON lock_engine.coverage (period_start) WHERE trap.spy('x')",
            "lock_engine.coverage",
            "drop its index spy",
        ),
        (
            "CREATE TABLE trap.above (LIKE lock_engine.home);"
            "ALTER TABLE lock_engine.home INHERIT trap.above;"
            f"ALTER TABLE trap.above OWNER TO {EVIL}",
            "lock_engine.home",
            "ALTER TABLE lock_engine.home NO INHERIT trap.above",
        ),
    ],
)
def test_the_verification_names_what_others_have_a_hold_on(
    server: Server, connect: Connect, change: str, named: str, how: str
) -> None:
    name = server.create_database()
    install(server.dsn(name))
    dba = connect(name)
    traps.spy(dba)
    assert [check for check in verify(dba) if not check.passed] == []
    dba.execute(change)
    found = {check.name: check.how for check in verify(dba) if check.kind == "owner" and not check.passed}
    assert list(found) == [named]
    assert how in found[named]


def test_an_index_that_was_built_upon_somebodys_operator_is_made_anew(
    server: Server, connect: Connect
) -> None:
    """An install of before took the operator that fitted best, wherever it was."""
    name = server.create_database()
    install(server.dsn(name))
    dba = connect(name)
    traps.spy(dba)
    traps.plant_names(dba, traps.SCHEMA)
    index = "lock_log.idx_event_unhandled"
    before = dba.execute("SELECT pg_get_indexdef(%s::regclass)", [index]).fetchone()
    dba.execute(
        f"DROP INDEX {index}; CREATE INDEX idx_event_unhandled ON lock_log.event (logged_at)"
        " WHERE kind OPERATOR(trap.=) 'x'::text"
    )
    dba.execute("TRUNCATE trap.log; ALTER SEQUENCE trap.ran RESTART")
    install(server.dsn(name))
    assert dba.execute("SELECT pg_get_indexdef(%s::regclass)", [index]).fetchone() == before
    assert [check for check in verify(dba) if not check.passed] == []
    assert traps.ran(dba) == []


def test_the_lists_of_ours_are_complete() -> None:
    """The first file of the install names the tables that a site may have had, and the roles of ours."""
    text = (SQL_FOLDER / "prerequisites" / "session.sql").read_text(encoding="utf-8")
    named = set(re.findall(r"'((?:lock_monitoring|monitoring)\.\w+)'", text))
    ours = {
        f"{schema}.{name}"
        for kind, schema, name in manifest.contents().objects
        if kind == "table" and schema in ("lock_monitoring", "monitoring")
    }
    assert named == ours
    (roles,) = re.findall(r"'\^lock_\(([a-z_|]+)\)\$'", text)
    assert {f"lock_{name}" for name in roles.split("|")} == set(ownership.OWNERS)
    assert set(ownership.OWNERS) == {name for name in ROLES if not name.endswith("_role")}
    for file in ("check_roles.sql", "take_owners.sql"):
        text = (SQL_FOLDER / "prerequisites" / file).read_text(encoding="utf-8")
        assert set(ownership.OWNERS) <= set(re.findall(r"'(lock_\w+)'", text)), file
