"""What the owner of the platform's tables can put on them to have code run by whoever touches them."""

from __future__ import annotations

import re
from typing import Any

import psycopg

OWNER = "site_owner"

# A sequence goes on counting where a transaction is taken back, so that nothing of what ran can be hidden.
SPY = f"""
DO $$ BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{OWNER}') THEN CREATE ROLE {OWNER} LOGIN; END IF;
END $$;
ALTER SCHEMA auth OWNER TO {OWNER};
ALTER TABLE auth.tenant_h OWNER TO {OWNER};
ALTER TABLE auth.user_h OWNER TO {OWNER};
ALTER SCHEMA util OWNER TO {OWNER};
ALTER FUNCTION util.current_load_date() OWNER TO {OWNER};
ALTER FUNCTION util.hash_binary(text) OWNER TO {OWNER};
ALTER FUNCTION util.get_record_source() OWNER TO {OWNER};
SET ROLE {OWNER};
CREATE SEQUENCE auth.ran;
CREATE SEQUENCE auth.ran_as_another;
GRANT USAGE ON SCHEMA auth TO PUBLIC;
GRANT USAGE, UPDATE ON SEQUENCE auth.ran, auth.ran_as_another TO PUBLIC;
-- named as what it does, so that an index may have it
CREATE FUNCTION auth.spy(anyelement) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  IF current_setting('spy.asleep', true) = 'yes' THEN RETURN true; END IF;
  PERFORM nextval('auth.ran');
  IF current_user <> '{OWNER}' THEN PERFORM nextval('auth.ran_as_another'); END IF;
  RETURN true;
END $$;
CREATE FUNCTION auth.spy_text(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS
  'BEGIN PERFORM auth.spy(1); RETURN $1; END';
CREATE FUNCTION auth.spy_trigger() RETURNS trigger LANGUAGE plpgsql AS
  'BEGIN PERFORM auth.spy(1); RETURN NEW; END';
RESET ROLE;
"""

# name: (from which version on, how it is planted, how it is taken away again)
ON_TENANTS: dict[str, tuple[int, str, str]] = {
    "a policy": (
        13,
        "ALTER TABLE auth.tenant_h ENABLE ROW LEVEL SECURITY;"
        "CREATE POLICY p ON auth.tenant_h USING (auth.spy(tenant_bk))",
        "DROP POLICY p ON auth.tenant_h; ALTER TABLE auth.tenant_h DISABLE ROW LEVEL SECURITY",
    ),
    "a policy that its owner is under, too": (
        13,
        "ALTER TABLE auth.tenant_h ENABLE ROW LEVEL SECURITY;"
        "ALTER TABLE auth.tenant_h FORCE ROW LEVEL SECURITY;"
        "CREATE POLICY p ON auth.tenant_h USING (auth.spy(tenant_bk))",
        "DROP POLICY p ON auth.tenant_h; ALTER TABLE auth.tenant_h DISABLE ROW LEVEL SECURITY;"
        "ALTER TABLE auth.tenant_h NO FORCE ROW LEVEL SECURITY",
    ),
    "a view in the table's place": (
        13,
        "ALTER TABLE auth.tenant_h RENAME TO tenants; CREATE VIEW auth.tenant_h AS"
        " SELECT tenant_hk, tenant_bk FROM auth.tenants WHERE auth.spy(tenant_bk);"
        "GRANT SELECT ON auth.tenant_h TO PUBLIC",
        "DROP VIEW auth.tenant_h; ALTER TABLE auth.tenants RENAME TO tenant_h",
    ),
    "another table in the table's place": (
        13,
        "ALTER TABLE auth.tenant_h RENAME TO tenants;"
        "CREATE INDEX trap ON auth.tenants (tenant_hk) WHERE auth.spy_text('x') = 'x';"
        "CREATE TABLE auth.tenant_h (LIKE auth.tenants);"
        "INSERT INTO auth.tenant_h SELECT * FROM auth.tenants;"
        "GRANT SELECT ON auth.tenant_h TO PUBLIC",
        "DROP TABLE auth.tenant_h; DROP INDEX auth.trap; ALTER TABLE auth.tenants RENAME TO tenant_h",
    ),
    "an index on an expression": (
        13,
        "CREATE INDEX trap ON auth.tenant_h (auth.spy_text(tenant_bk))",
        "DROP INDEX auth.trap",
    ),
    "an index with a condition that is planned away": (
        13,
        "CREATE INDEX trap ON auth.tenant_h (tenant_hk) WHERE auth.spy_text('x') = 'x'",
        "DROP INDEX auth.trap",
    ),
    "an operator in an index's condition": (
        13,
        "CREATE FUNCTION auth.eq(text, text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS"
        " 'BEGIN RETURN auth.spy(1); END';"
        "CREATE OPERATOR auth.=== (leftarg = text, rightarg = text, function = auth.eq);"
        "CREATE INDEX trap ON auth.tenant_h (tenant_hk) WHERE 'a'::text OPERATOR(auth.===) 'b'::text",
        "DROP INDEX auth.trap; DROP OPERATOR auth.=== (text, text); DROP FUNCTION auth.eq(text, text)",
    ),
    "a domain in an index's expression": (
        13,
        "CREATE DOMAIN auth.checked AS text CHECK (auth.spy(VALUE));"
        "CREATE INDEX trap ON auth.tenant_h ((tenant_bk::text::auth.checked))",
        "DROP INDEX auth.trap; DROP DOMAIN auth.checked",
    ),
    "a check": (
        13,
        "ALTER TABLE auth.tenant_h ADD CONSTRAINT trap"
        " CHECK (auth.spy(tenant_bk) OR auth.spy_text('x') = 'x')",
        "ALTER TABLE auth.tenant_h DROP CONSTRAINT trap",
    ),
    "statistics on an expression": (
        14,
        "CREATE STATISTICS auth.trap ON (auth.spy_text('x') || tenant_bk) FROM auth.tenant_h",
        "DROP STATISTICS auth.trap",
    ),
    "a generated column": (
        13,
        "ALTER TABLE auth.tenant_h"
        " ADD COLUMN trap text GENERATED ALWAYS AS (auth.spy_text(tenant_bk)) STORED",
        "ALTER TABLE auth.tenant_h DROP COLUMN trap",
    ),
    "a column of another type": (
        13,
        "CREATE DOMAIN auth.checked AS varchar(255) CHECK (auth.spy(VALUE));"
        "ALTER TABLE auth.tenant_h ALTER COLUMN tenant_bk TYPE auth.checked",
        "ALTER TABLE auth.tenant_h ALTER COLUMN tenant_bk TYPE varchar(255); DROP DOMAIN auth.checked",
    ),
    "a default": (
        13,
        "ALTER TABLE auth.tenant_h ADD COLUMN trap text DEFAULT auth.spy_text('x')",
        "ALTER TABLE auth.tenant_h DROP COLUMN trap",
    ),
    "triggers": (
        13,
        "CREATE TRIGGER trap BEFORE INSERT OR UPDATE OR DELETE ON auth.tenant_h FOR EACH ROW"
        " EXECUTE FUNCTION auth.spy_trigger();"
        "CREATE TRIGGER trap2 AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON auth.tenant_h"
        " FOR EACH STATEMENT EXECUTE FUNCTION auth.spy_trigger();"
        "CREATE CONSTRAINT TRIGGER trap3 AFTER INSERT OR UPDATE ON auth.tenant_h"
        " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION auth.spy_trigger()",
        "DROP TRIGGER trap ON auth.tenant_h; DROP TRIGGER trap2 ON auth.tenant_h;"
        "DROP TRIGGER trap3 ON auth.tenant_h",
    ),
    "rules": (
        13,
        "CREATE RULE trap AS ON UPDATE TO auth.tenant_h DO ALSO SELECT auth.spy(1);"
        "CREATE RULE trap2 AS ON INSERT TO auth.tenant_h DO ALSO SELECT auth.spy(1)",
        "DROP RULE trap ON auth.tenant_h; DROP RULE trap2 ON auth.tenant_h",
    ),
    "a child": (
        13,
        "CREATE TABLE auth.child (CHECK (auth.spy_text('x') = 'y')) INHERITS (auth.tenant_h);"
        "CREATE INDEX trap ON auth.child (auth.spy_text(tenant_bk));"
        "ALTER TABLE auth.child ENABLE ROW LEVEL SECURITY;"
        "CREATE POLICY p ON auth.child USING (auth.spy(tenant_bk)); GRANT SELECT ON auth.child TO PUBLIC",
        "DROP TABLE auth.child",
    ),
    "the key of a table that it is a part of": (
        13,
        "CREATE TABLE auth.above (LIKE auth.tenant_h)"
        " PARTITION BY RANGE ((auth.spy_text('x') || tenant_bk));"
        "ALTER TABLE auth.above ATTACH PARTITION auth.tenant_h DEFAULT",
        "ALTER TABLE auth.above DETACH PARTITION auth.tenant_h; DROP TABLE auth.above",
    ),
    "rows without a name or a key": (
        13,
        "ALTER TABLE auth.tenant_h ALTER COLUMN tenant_bk DROP NOT NULL;"
        "INSERT INTO auth.tenant_h (tenant_hk, tenant_bk, record_source)"
        " VALUES ('', 'NOBODY', 't'), ('\\x00', NULL, 't')",
        "DELETE FROM auth.tenant_h WHERE tenant_hk IN ('', '\\x00');"
        "ALTER TABLE auth.tenant_h ALTER COLUMN tenant_bk SET NOT NULL",
    ),
    "operators and functions of our names": (
        13,
        "CREATE FUNCTION auth.eq(varchar, varchar) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS"
        " 'BEGIN RETURN auth.spy(1); END';"
        "CREATE OPERATOR auth.= (leftarg = varchar, rightarg = varchar, function = auth.eq);"
        "CREATE FUNCTION auth.encode(bytea, text) RETURNS text LANGUAGE sql AS 'SELECT auth.spy_text($2)'",
        "DROP OPERATOR auth.= (varchar, varchar); DROP FUNCTION auth.eq(varchar, varchar);"
        "DROP FUNCTION auth.encode(bytea, text)",
    ),
    "the platform's own functions": (
        13,
        "CREATE OR REPLACE FUNCTION util.current_load_date() RETURNS timestamptz LANGUAGE plpgsql AS"
        " 'BEGIN PERFORM auth.spy(1); RETURN clock_timestamp(); END';"
        "CREATE OR REPLACE FUNCTION util.hash_binary(input text) RETURNS bytea LANGUAGE plpgsql AS"
        " 'BEGIN PERFORM auth.spy(1); RETURN sha256(convert_to(input, ''UTF8'')); END';"
        "CREATE OR REPLACE FUNCTION util.get_record_source() RETURNS varchar LANGUAGE plpgsql AS"
        " 'BEGIN PERFORM auth.spy(1); RETURN ''x''; END'",
        "",
    ),
}
# What keeps the tables from being read at all while it is there; the others are of no effect on reading.
REFUSED = {
    "a view in the table's place",
    "an index on an expression",
    "an index with a condition that is planned away",
    "an operator in an index's condition",
    "a domain in an index's expression",
    "a check",
    "statistics on an expression",
    "a generated column",
    "a column of another type",
    "the key of a table that it is a part of",
}
# Of the tenants alone: the users' table has another key, and the platform's functions are no table's.
OF_TENANTS = {
    "rows without a name or a key",
    "the platform's own functions",
    "operators and functions of our names",
}
# What cannot be there beside the others.
APART = {
    "a view in the table's place",
    "another table in the table's place",
    "a column of another type",
    "the key of a table that it is a part of",
}


def named_apart(statement: str, number: int) -> str:
    """The same with names of its own, so that many can be there at once."""
    statement = re.sub(
        r"\b(trap\d?|auth\.eq|auth\.checked|auth\.child|auth\.above)\b", rf"\1_{number}", statement
    )
    return statement.replace("POLICY p ON", f"POLICY p_{number} ON").replace("===", "===" + "=" * number)


def on(table: str, statement: str) -> str:
    """The same on auth.user_h, if that is the table."""
    if table == "auth.tenant_h":
        return statement
    return re.sub(r"tenant(s\b|_h\b|_bk\b)", r"user\1", statement)


def plant(
    connection: psycopg.Connection[Any], what: str, table: str = "auth.tenant_h", number: int | None = None
) -> None:
    """Plant one kind of object as the owner of the platform's tables; nothing of it counts as run yet.

    number: gives it names that no other has.
    """
    statement = on(table, ON_TENANTS[what][1])
    _as_owner(connection, statement if number is None else named_apart(statement, number))
    connection.execute("SELECT setval('auth.ran', 1, false), setval('auth.ran_as_another', 1, false)")


def take_away(connection: psycopg.Connection[Any], what: str, table: str = "auth.tenant_h") -> None:
    """Take it away again."""
    _as_owner(connection, on(table, ON_TENANTS[what][2]))


def _as_owner(connection: psycopg.Connection[Any], statement: str) -> None:
    # what runs here is the owner's own doing
    connection.execute("SELECT set_config('spy.asleep', 'yes', false)")
    connection.execute(f"SET ROLE {OWNER}")
    connection.execute(statement)
    connection.execute("RESET ROLE")
    connection.execute("RESET spy.asleep")


def ran(connection: psycopg.Connection[Any]) -> tuple[int, int]:
    """How often planted code has run: at all, and with the rights of somebody else than its owner."""
    row = connection.execute(
        "SELECT CASE WHEN r.is_called THEN r.last_value ELSE 0 END,"
        " CASE WHEN a.is_called THEN a.last_value ELSE 0 END FROM auth.ran r, auth.ran_as_another a"
    ).fetchone()
    assert row is not None
    return int(row[0]), int(row[1])
