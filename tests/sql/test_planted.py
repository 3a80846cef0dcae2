"""What others planted before an install never runs as whoever installs, updates, verifies or removes."""

from __future__ import annotations

import os
import subprocess

import pytest

from lockmon.install import (
    SQL_FOLDER,
    InstallError,
    drift,
    grant_login,
    install,
    remove,
    verify,
    what_is_lost,
)
from lockmon.install import connect as connect_installer
from tests.conftest import Connect, OpenSession
from tests.support import sites, traps
from tests.support.servers import Server
from tests.support.traps import EVIL

SYSTEM_ROW = (
    "INSERT INTO auth.tenant_h (tenant_hk, tenant_bk, load_date, record_source) "
    "VALUES (sha256(convert_to('SYSTEM', 'UTF8')), 'SYSTEM', clock_timestamp(), 'LOCK_MONITOR')"
)


@pytest.mark.parametrize("moment", ["before the first", "before the next"])
@pytest.mark.parametrize("tool", traps.TOOLS)
def test_nothing_planted_in_the_search_path_runs_as_the_installer(
    server: Server, connect: Connect, tool: str, moment: str
) -> None:
    name = server.create_database()
    dba = connect(name)
    if moment == "before the next":
        install(server.dsn(name))
    traps.spy(dba)
    dba.execute(f"GRANT CREATE ON SCHEMA public TO {EVIL}")
    dba.execute(f"ALTER DATABASE {name} SET search_path = {traps.PATH}")
    traps.plant_names(dba, "public")
    traps.plant_names(dba, traps.SCHEMA)
    traps.TOOLS[tool](server, name)
    traps.TOOLS[tool](server, name)
    with connect_installer(server.dsn(name)) as installer:
        grant_login(installer, "planted_app", "only-for-tests")
        assert [check for check in verify(installer) if not check.passed] == []
    # over a connection of somebody else's making, too: this one has the database's path
    other = connect(name)
    grant_login(other, "planted_app", "only-for-tests")
    assert drift(other) == [] and [check for check in verify(other) if not check.passed] == []
    assert what_is_lost(other)
    remove(other)
    assert traps.ran(dba) == []


def test_what_the_install_makes_depends_on_nothing_of_others(server: Server, connect: Connect) -> None:
    """Defaults, checks, indexes, views, triggers and columns use what is PostgreSQL's and ours, but one."""
    name = server.create_database()
    dba = connect(name)
    traps.spy(dba)
    traps.plant_names(dba, traps.SCHEMA)
    traps.by_python(server, name)
    rows = dba.execute(
        """
        WITH ours AS (
            SELECT n.oid FROM pg_namespace AS n
            WHERE n.nspname ~ '^(lock_(monitoring|catalog|engine|admin|log)|monitoring)$'
        ), named AS (
            SELECT 'pg_proc'::regclass AS class, p.oid, p.pronamespace AS space FROM pg_proc AS p
            UNION ALL SELECT 'pg_operator'::regclass, o.oid, o.oprnamespace FROM pg_operator AS o
            UNION ALL SELECT 'pg_type'::regclass, t.oid, t.typnamespace FROM pg_type AS t
            UNION ALL SELECT 'pg_class'::regclass, c.oid, c.relnamespace FROM pg_class AS c
        ), parts AS (
            SELECT class, oid, space FROM named
            UNION ALL SELECT 'pg_constraint'::regclass, k.oid, k.connamespace
            FROM pg_constraint AS k WHERE k.contype <> 'f'
            UNION ALL SELECT 'pg_attrdef'::regclass, a.oid, c.relnamespace
            FROM pg_attrdef AS a JOIN pg_class AS c ON c.oid = a.adrelid
            UNION ALL SELECT 'pg_rewrite'::regclass, w.oid, c.relnamespace
            FROM pg_rewrite AS w JOIN pg_class AS c ON c.oid = w.ev_class
            UNION ALL SELECT 'pg_trigger'::regclass, t.oid, c.relnamespace
            FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid WHERE NOT t.tgisinternal
        )
        SELECT DISTINCT pg_describe_object(d.classid, d.objid, d.objsubid),
               pg_describe_object(d.refclassid, d.refobjid, 0)
        FROM parts AS p
        JOIN pg_depend AS d ON d.classid = p.class AND d.objid = p.oid
        JOIN named AS r ON r.class = d.refclassid AND r.oid = d.refobjid
        WHERE p.space IN (SELECT oid FROM ours) AND r.space NOT IN (SELECT oid FROM ours)
          AND r.space <> 'pg_catalog'::regnamespace AND r.space::regnamespace::text NOT LIKE 'pg_toast%'
        ORDER BY 1
        """
    ).fetchall()
    assert {target for _part, target in rows} == {"function util.current_load_date()"}
    assert [part for part, _target in rows if "default value for column load_date" not in part] == []


def test_every_insert_of_ours_gives_the_column_whose_default_is_the_sites(
    vault_db: str, connect: Connect, session: OpenSession
) -> None:
    """The contract's default is a function of the site's: it is never asked by the monitor."""
    dba = connect(vault_db)
    dba.execute(
        "CREATE OR REPLACE FUNCTION util.current_load_date() RETURNS timestamptz LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'asked as %', current_user; END $$"
    )
    dba.execute("CREATE TABLE t (n int)")
    session(vault_db).run("LOCK TABLE t IN EXCLUSIVE MODE")
    waiter = session(vault_db)
    waiter.start("LOCK TABLE t IN EXCLUSIVE MODE")
    waiter.wait_blocked()
    dba.execute("SELECT * FROM lock_monitoring.run_lock_monitoring()")
    dba.execute("SELECT * FROM lock_monitoring.analyze_lock_waits()")
    held = dba.execute("SELECT count(*) FROM lock_monitoring.lock_activity_s").fetchone()
    assert held is not None and held[0] > 0
    stored = dba.execute("SELECT failures_in_a_row FROM lock_engine.part_state WHERE failures > 0").fetchall()
    assert stored == []
    bodies = dba.execute(
        """
        SELECT n.nspname || '.' || p.proname, i.words[1], i.words[2]
        FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
        CROSS JOIN LATERAL regexp_matches(p.prosrc,
            'INSERT INTO ((?:lock_monitoring\\.\\w+|monitoring\\.alert_configuration)_[hsl])'
            '\\s*(?:AS \\w+\\s*)?\\(([^)]*)\\)', 'g') AS i (words)
        WHERE n.nspname ~ '^(lock_|monitoring)'
        """
    ).fetchall()
    assert len(bodies) > 10
    assert [(name, table) for name, table, columns in bodies if "load_date" not in columns] == []


# What the owner of auth.tenant_h can have run when a row is read or added, and whether the install goes on
TENANT_KINDS: dict[str, tuple[str, bool]] = {
    "trigger before": (
        "CREATE TRIGGER spy BEFORE INSERT ON auth.tenant_h FOR EACH ROW EXECUTE FUNCTION trap.fired()",
        True,
    ),
    "trigger after statement": (
        "CREATE TRIGGER spy AFTER INSERT ON auth.tenant_h FOR EACH STATEMENT EXECUTE FUNCTION trap.fired()",
        True,
    ),
    "trigger at commit": (
        "CREATE CONSTRAINT TRIGGER spy AFTER INSERT ON auth.tenant_h DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION trap.fired()",
        True,
    ),
    "trigger always": (
        "CREATE TRIGGER spy AFTER INSERT ON auth.tenant_h FOR EACH ROW EXECUTE FUNCTION trap.fired();"
        "ALTER TABLE auth.tenant_h ENABLE ALWAYS TRIGGER spy",
        False,
    ),
    "rule": (
        "CREATE RULE spy AS ON INSERT TO auth.tenant_h DO ALSO SELECT trap.note('rule')",
        True,
    ),
    "rule instead, always": (
        "CREATE RULE spy AS ON INSERT TO auth.tenant_h DO INSTEAD SELECT trap.note('rule');"
        "ALTER TABLE auth.tenant_h ENABLE ALWAYS RULE spy",
        False,
    ),
    "default": ("ALTER TABLE auth.tenant_h ADD COLUMN spy boolean DEFAULT trap.note('default')", True),
    "default of a column that is filled": (
        "ALTER TABLE auth.tenant_h ALTER COLUMN load_date SET DEFAULT CASE WHEN trap.note('default') "
        "THEN pg_catalog.now() END",
        True,
    ),
    "default that must be": (
        "ALTER TABLE auth.tenant_h ADD COLUMN spy boolean NOT NULL DEFAULT trap.note('default')",
        False,
    ),
    "generated column": (
        "ALTER TABLE auth.tenant_h ADD COLUMN spy boolean GENERATED ALWAYS AS (trap.spy(tenant_bk)) STORED",
        False,
    ),
    "check": ("ALTER TABLE auth.tenant_h ADD CONSTRAINT spy CHECK (trap.spy(tenant_bk))", False),
    "domain": (
        "CREATE DOMAIN trap.name AS text CHECK (trap.spy('domain'));"
        "ALTER TABLE auth.tenant_h ADD COLUMN spy trap.name",
        False,
    ),
    "index on an expression": ("CREATE INDEX spy ON auth.tenant_h (trap.spy(tenant_bk))", False),
    "index with a condition": (
        "CREATE INDEX spy ON auth.tenant_h (tenant_bk) WHERE trap.spy('predicate')",
        False,
    ),
    "operator in an index": (
        "CREATE FUNCTION trap.like_it(bytea, bytea) RETURNS boolean LANGUAGE sql IMMUTABLE AS "
        "'SELECT trap.spy(''operator'')'; CREATE OPERATOR trap.=== (LEFTARG = bytea, RIGHTARG = bytea, "
        "FUNCTION = trap.like_it); CREATE INDEX spy ON auth.tenant_h (tenant_bk) "
        "WHERE 'a'::bytea OPERATOR(trap.===) 'b'::bytea",
        False,
    ),
    # of PostgreSQL's own functions only, and yet his code
    "check that runs a text": (
        "ALTER TABLE auth.tenant_h ADD CONSTRAINT spy CHECK (ts_rewrite('a'::tsquery, "
        "'SELECT ''a''::tsquery, ''b''::tsquery WHERE trap.note(''text'')') IS NOT NULL)",
        False,
    ),
    "default that runs a text": (
        "ALTER TABLE auth.tenant_h ADD COLUMN spy tsquery DEFAULT ts_rewrite('a'::tsquery, "
        "'SELECT ''a''::tsquery, ''b''::tsquery WHERE trap.note(''text'')')",
        True,
    ),
    "key of a table that it is a part of": (
        "CREATE TABLE auth.above (LIKE auth.tenant_h) PARTITION BY LIST ((trap.spy(tenant_bk)));"
        "ALTER TABLE auth.above ATTACH PARTITION auth.tenant_h DEFAULT",
        False,
    ),
    "foreign key": (
        "CREATE TABLE auth.sources (name varchar(100) PRIMARY KEY);"
        "INSERT INTO auth.sources VALUES ('SITE'), ('LOCK_MONITOR');"
        "ALTER TABLE auth.tenant_h ADD CONSTRAINT spy FOREIGN KEY (record_source) REFERENCES auth.sources;"
        "CREATE INDEX spy ON auth.sources (name) WHERE trap.hijack('x') = 'x'",
        False,
    ),
    "what came with a range type": (
        "CREATE TYPE trap.span AS RANGE (subtype = text);"
        "CREATE INDEX spy ON auth.tenant_h (trap.span(tenant_bk, tenant_bk))",
        False,
    ),
    "function of the site's": (
        "CREATE FUNCTION util.get_system_operations_tenant_hk() RETURNS bytea LANGUAGE sql AS "
        "$$ SELECT 'x'::bytea WHERE trap.note('util') $$",
        False,
    ),
    "functions of the site's": (
        "CREATE OR REPLACE FUNCTION util.current_load_date() RETURNS timestamptz LANGUAGE sql AS "
        "$$ SELECT now() WHERE trap.note('load date') $$; "
        "CREATE OR REPLACE FUNCTION util.hash_binary(input text) RETURNS bytea LANGUAGE sql IMMUTABLE AS "
        "$$ SELECT 'x'::bytea WHERE trap.spy('hash') $$; "
        "CREATE OR REPLACE FUNCTION util.get_record_source() RETURNS varchar LANGUAGE sql AS "
        "$$ SELECT 'x'::varchar WHERE trap.note('source') $$",
        True,
    ),
}


@pytest.mark.parametrize("kind", TENANT_KINDS)
def test_the_owner_of_the_tenants_has_nothing_run_by_the_installer(
    server: Server, connect: Connect, kind: str
) -> None:
    statement, goes_on = TENANT_KINDS[kind]
    name = traps.a_sites_owners_site(server)
    dba = connect(name)
    if kind == "foreign key":
        # it runs as who owns the table; what is planted here would run as the installer then
        traps.plant_names(dba, traps.SCHEMA)
        dba.execute("SET search_path = pg_catalog")
    dba.execute("SET check_function_bodies = off")
    dba.execute(f"SET ROLE {EVIL}")
    dba.execute(statement)
    dba.execute("RESET ROLE")
    told: list[str] = []
    if goes_on:
        install(server.dsn(name), told.append)
        assert dba.execute("SELECT count(*) FROM auth.tenant_h").fetchone() == (3,)
        aside = [line for line in told if "without running what the site has there" in line]
        assert len(aside) == (kind.startswith(("trigger", "rule")))
        dba.execute(f"SET ROLE {EVIL}")
        dba.execute("CREATE TABLE auth.extra (n int)")
        dba.execute("RESET ROLE")
        install(server.dsn(name), again=True)
    else:
        with pytest.raises(InstallError) as caught:
            install(server.dsn(name))
        assert "Nothing was changed." in str(caught.value)
        assert "auth.tenant_h" in str(caught.value)
        # what it says: the owner adds a row himself, or names one by its key
        dba.execute(f"SET ROLE {EVIL}")
        if kind != "rule instead, always":
            dba.execute(SYSTEM_ROW)
        dba.execute("RESET search_path")
        (key,) = dba.execute(
            "SELECT tenant_hk FROM auth.tenant_h ORDER BY tenant_hk DESC LIMIT 1"
        ).fetchone() or (b"",)
        dba.execute("RESET ROLE")
        install(server.dsn(name), system_tenant=f"\\x{key.hex()}")
    assert traps.ran(dba) == []


def test_a_view_in_the_place_of_the_tenants_is_refused_unread(server: Server, connect: Connect) -> None:
    name = server.create_database()
    dba = connect(name)
    traps.spy(dba)
    dba.execute(f"CREATE SCHEMA auth AUTHORIZATION {EVIL}; SET ROLE {EVIL}")
    dba.execute(
        "CREATE VIEW auth.tenant_h AS SELECT 'x'::bytea AS tenant_hk, 'x'::text AS tenant_bk,"
        " now() AS load_date, 'x'::text AS record_source WHERE trap.note('view')"
    )
    dba.execute("RESET ROLE")
    with pytest.raises(InstallError, match="Nothing was changed"):
        install(server.dsn(name))
    assert traps.ran(dba) == []


def test_a_tenant_of_the_site_can_be_named(server: Server, connect: Connect) -> None:
    name = traps.a_sites_owners_site(server)
    dba = connect(name)
    install(server.dsn(name), system_tenant="ACME")
    row = dba.execute(
        "SELECT t.tenant_bk FROM lock_admin.setting AS s JOIN auth.tenant_h AS t"
        " ON t.tenant_hk = decode(substr(s.value #>> '{}', 3), 'hex') WHERE s.name = 'system.tenant_hk'"
    ).fetchone()
    assert row == ("ACME",)
    assert dba.execute("SELECT count(*) FROM auth.tenant_h").fetchone() == (2,)
    with pytest.raises(InstallError, match='no tenant with the business key "NOBODY"'):
        install(server.dsn(name), system_tenant="NOBODY")
    done = subprocess.run(
        [server.program("psql"), "-X", "-d", server.dsn(name), "-f", sites.STEPS[1]],
        cwd=SQL_FOLDER,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=os.environ | {"PGOPTIONS": "-c one_vault.system_tenant=NOBODY"},
    )
    assert done.returncode == 3
    assert 'no tenant with the business key "NOBODY"' in done.stderr
