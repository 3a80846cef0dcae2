"""What a role that may create somewhere plants there, to have its code run by whoever names such a thing."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from typing import Any

import psycopg

from lockmon.install import SQL_FOLDER, install
from tests.support import sites
from tests.support.servers import Server

EVIL = "planter"
SCHEMA = "trap"
PATH = f"{SCHEMA}, public, pg_catalog"
"""A search path in which what is planted is found before what is PostgreSQL's own."""

# trap.note() writes down who runs it; a sequence remembers it also where the transaction is taken back.
_SPY = f"""
CREATE SCHEMA {SCHEMA} AUTHORIZATION {EVIL};
SET ROLE {EVIL};
GRANT USAGE ON SCHEMA {SCHEMA} TO PUBLIC;
CREATE SEQUENCE {SCHEMA}.ran;
CREATE TABLE {SCHEMA}.log (who pg_catalog.name, login pg_catalog.name, what pg_catalog.text);
GRANT ALL ON SEQUENCE {SCHEMA}.ran TO PUBLIC;
GRANT ALL ON TABLE {SCHEMA}.log TO PUBLIC;
CREATE FUNCTION {SCHEMA}.note(what pg_catalog.text) RETURNS pg_catalog.bool LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog AS $$
BEGIN
  IF current_user <> '{EVIL}' THEN
    PERFORM nextval('{SCHEMA}.ran');
    INSERT INTO {SCHEMA}.log VALUES (current_user, session_user, what);
    RAISE LOG 'planted code ran as % (%): %', current_user, session_user, what;
  END IF;
  RETURN true;
END $$;
CREATE FUNCTION {SCHEMA}.spy(what pg_catalog.text) RETURNS pg_catalog.bool LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog AS $$
BEGIN
  PERFORM {SCHEMA}.note(what);
  RETURN true;
END $$;
-- named as what it does: whatever comes next in this session looks through the planter's schema first
CREATE FUNCTION {SCHEMA}.hijack(what pg_catalog.text) RETURNS pg_catalog.text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  PERFORM pg_catalog.set_config('search_path', '{PATH}', false);
  RETURN what;
END $$;
CREATE FUNCTION {SCHEMA}.fired() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
  PERFORM {SCHEMA}.note(format('%s on %s', TG_NAME, TG_TABLE_NAME));
  RETURN coalesce(NEW, OLD);
END $$;
RESET ROLE;
"""

# operator, its arguments' type, the function of PostgreSQL's that does the same
_OPERATORS = [
    ("=", "text", "text", "bool", "texteq"),
    ("<>", "text", "text", "bool", "textne"),
    ("=", "varchar", "varchar", "bool", "texteq"),
    ("=", "text", "varchar", "bool", "texteq"),
    ("=", "varchar", "text", "bool", "texteq"),
    ("<>", "varchar", "varchar", "bool", "textne"),
    ("||", "text", "text", "text", "textcat"),
    ("~", "text", "text", "bool", "textregexeq"),
    ("=", "name", "name", "bool", "nameeq"),
    ("=", "name", "text", "bool", "nameeqtext"),
    ("=", "int4", "int4", "bool", "int4eq"),
    (">", "int4", "int4", "bool", "int4gt"),
    ("<", "int4", "int4", "bool", "int4lt"),
    ("=", "int8", "int8", "bool", "int8eq"),
    ("=", "oid", "oid", "bool", "oideq"),
    ("=", "bytea", "bytea", "bool", "byteaeq"),
    ("=", "bool", "bool", "bool", "booleq"),
    (">", "timestamptz", "timestamptz", "bool", "timestamptz_gt"),
    ("<", "timestamptz", "timestamptz", "bool", "timestamptz_lt"),
    ("->>", "jsonb", "text", "text", "jsonb_object_field_text"),
]
# functions of PostgreSQL's that statements name without a schema
_FUNCTIONS = [
    ("now()", "timestamptz", "pg_catalog.now()"),
    ("clock_timestamp()", "timestamptz", "pg_catalog.clock_timestamp()"),
    ("lower(varchar)", "text", "pg_catalog.lower($1::pg_catalog.text)"),
    ("lower(text)", "text", "pg_catalog.lower($1)"),
    ("upper(varchar)", "text", "pg_catalog.upper($1::pg_catalog.text)"),
    ("current_setting(text)", "text", "pg_catalog.current_setting($1)"),
    ("current_setting(text, bool)", "text", "pg_catalog.current_setting($1, $2)"),
    ("set_config(text, text, bool)", "text", "pg_catalog.set_config($1, $2, $3)"),
    ("current_database()", "name", "pg_catalog.current_database()"),
    ("getdatabaseencoding()", "name", "pg_catalog.getdatabaseencoding()"),
    ("pg_is_in_recovery()", "bool", "pg_catalog.pg_is_in_recovery()"),
    ("pg_advisory_xact_lock(int4, int4)", "void", "pg_catalog.pg_advisory_xact_lock($1, $2)"),
    ("to_regclass(text)", "regclass", "pg_catalog.to_regclass($1)"),
    ("to_regprocedure(text)", "regprocedure", "pg_catalog.to_regprocedure($1)"),
    ("sha256(bytea)", "bytea", "pg_catalog.sha256($1)"),
    ("decode(text, text)", "bytea", "pg_catalog.decode($1, $2)"),
    ("pg_get_userbyid(oid)", "name", "pg_catalog.pg_get_userbyid($1)"),
    ("count(int4)", "int8", "1::pg_catalog.int8"),
    ("length(varchar)", "int4", "pg_catalog.length($1::pg_catalog.text)"),
]
# types and relations of PostgreSQL's, in another schema
_DOMAINS = ("jsonb", "text", "timestamptz", "bytea")
_VIEWS = ("pg_class", "pg_namespace", "pg_roles", "pg_proc", "pg_database", "pg_settings")


def spy(dba: psycopg.Connection[Any]) -> None:
    """Make the role that plants, its schema trap, and what writes down who runs its code."""
    if dba.execute("SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = %s", [EVIL]).fetchone() is None:
        dba.execute(f"CREATE ROLE {EVIL} LOGIN")
    dba.execute(_SPY)


def plant_names(dba: psycopg.Connection[Any], schema: str) -> None:
    """Plant operators, functions, types, casts and views of PostgreSQL's names in a schema, each a spy."""

    def qualified(arguments: str) -> str:
        return ", ".join(f"pg_catalog.{kind.strip()}" for kind in arguments.split(",") if kind.strip())

    dba.execute(f"SET ROLE {EVIL}")
    try:
        for number, (operator, left, right, result, does) in enumerate(_OPERATORS):
            dba.execute(
                f"CREATE FUNCTION {schema}.operator_{number}(pg_catalog.{left}, pg_catalog.{right})"
                f" RETURNS pg_catalog.{result} LANGUAGE sql IMMUTABLE AS"
                f" $$ SELECT CASE WHEN {SCHEMA}.spy('operator {operator}({left}, {right})')"
                f" THEN pg_catalog.{does}($1, $2) END $$;"
                f"CREATE OPERATOR {schema}.{operator} (LEFTARG = pg_catalog.{left},"
                f" RIGHTARG = pg_catalog.{right}, FUNCTION = {schema}.operator_{number})"
            )
        for call, result, does in _FUNCTIONS:
            name, arguments = call.rstrip(")").split("(")
            dba.execute(
                f"CREATE FUNCTION {schema}.{name}({qualified(arguments)}) RETURNS pg_catalog.{result}"
                f" LANGUAGE sql AS $$ SELECT {does} WHERE {SCHEMA}.note('function {call}') $$"
            )
        for name in _DOMAINS:
            dba.execute(
                f"CREATE DOMAIN {schema}.{name} AS pg_catalog.{name} CHECK ({SCHEMA}.spy('domain {name}'))"
            )
        for name in _VIEWS:
            dba.execute(
                f"CREATE VIEW {schema}.{name} AS SELECT * FROM pg_catalog.{name}"
                f" WHERE {SCHEMA}.note('view {name}')"
            )
            dba.execute(f"GRANT SELECT ON {schema}.{name} TO PUBLIC")
        dba.execute(
            f"CREATE TYPE {schema}.box_of_text AS (value pg_catalog.text);"
            f"CREATE FUNCTION {schema}.to_box(pg_catalog.varchar) RETURNS {schema}.box_of_text LANGUAGE sql"
            f" IMMUTABLE AS $$ SELECT ROW($1)::{schema}.box_of_text WHERE {SCHEMA}.spy('cast') $$;"
            f"CREATE CAST (pg_catalog.varchar AS {schema}.box_of_text)"
            f" WITH FUNCTION {schema}.to_box(pg_catalog.varchar) AS IMPLICIT"
        )
    finally:
        dba.execute("RESET ROLE")


def ran(dba: psycopg.Connection[Any]) -> list[tuple[str, str]]:
    """Whether planted code ran as anybody but who planted it: (role, what)."""
    found = dba.execute(f"SELECT DISTINCT who::text, what FROM {SCHEMA}.log ORDER BY 1, 2").fetchall()
    row = dba.execute(f"SELECT is_called FROM {SCHEMA}.ran").fetchone()
    assert row is not None
    return found or ([("unknown", "in a transaction that was taken back")] if row[0] else [])


def give(dba: psycopg.Connection[Any], *schemas: str) -> None:
    """Let these schemas and all in them belong to who plants, as a site's own role owns its database."""
    for schema in schemas:
        dba.execute(f"ALTER SCHEMA {schema} OWNER TO {EVIL}")
        for (statement,) in dba.execute(
            """
            SELECT format('ALTER %%s %%s OWNER TO %%I', CASE c.relkind WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END,
                          c.oid::regclass, %(to)s::text)
            FROM pg_catalog.pg_class AS c
            WHERE c.relnamespace = %(schema)s::regnamespace AND c.relkind IN ('r', 'p', 'v')
            UNION ALL
            SELECT format('ALTER ROUTINE %%s OWNER TO %%I', p.oid::regprocedure, %(to)s::text)
            FROM pg_catalog.pg_proc AS p WHERE p.pronamespace = %(schema)s::regnamespace
            """,
            {"schema": schema, "to": EVIL},
        ).fetchall():
            dba.execute(statement)


def by_python(server: Server, database: str) -> None:
    """Install as lockmon_deploy does, over a connection with the hostile path."""
    path = PATH.replace(" ", "")
    install(f"{server.dsn(database)} options='-c search_path={path}'", again=True)


def by_psql(server: Server, database: str) -> None:
    """Install as the guide does, in sessions with the hostile path."""
    for step in sites.STEPS:
        done = subprocess.run(
            [server.program("psql"), "-X", "-d", server.dsn(database), "-f", step],
            cwd=SQL_FOLDER,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            env=os.environ | {"PGOPTIONS": f"-c search_path={PATH.replace(' ', '')}"},
        )
        assert done.returncode == 0, done.stderr


TOOLS: dict[str, Callable[[Server, str], None]] = {"python": by_python, "psql": by_psql}


def a_sites_owners_site(server: Server, *, old_functions: bool = False) -> str:
    """A real site that an ordinary role owns, which is the one who plants."""
    name = sites.real_site(server, old_functions=old_functions)
    with psycopg.connect(server.dsn(name), autocommit=True) as dba:
        spy(dba)
        dba.execute(f"GRANT CREATE ON DATABASE {name} TO {EVIL}")
        # of triggers only those that are planted count here
        dba.execute("DROP TRIGGER audit_tenant_h ON auth.tenant_h; DROP EVENT TRIGGER note_ddl")
        give(dba, "auth", "util")
    return name
