"""Everything that others can make in a database, planted on everything that ours reaches, all at once.

What they can make: one line for each CREATE that psql knows (KINDS), planted here or left out with the
reason. What ours reaches: the table of reach (tests/data/reach.txt), and whatever of PostgreSQL's own our
files and our Python name. Each planted thing writes down who runs it (tests/support/traps.py).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import psycopg

from lockmon.install import SQL_FOLDER
from tests.support import reach, traps
from tests.support.traps import EVIL, SCHEMA

NAMES = "a name of PostgreSQL's or ours, in public, in a schema that is looked through first, and in pg_temp"
TABLES = "on the site's tables: tests/support/planted.py"
LEFT_IN = "left in the contract's tables before they are taken over: tests/sql/test_taken_over.py"
SUPERUSER = "only a superuser makes one"
NO_CODE = "holds no code"

KINDS: dict[str, str] = {
    "ACCESS METHOD": SUPERUSER,
    "AGGREGATE": NAMES,
    "CAST": NAMES,
    "COLLATION": NO_CODE,
    "CONVERSION": "its function is one in C, which only a superuser brings",
    "DATABASE": "another database",
    "DOMAIN": NAMES,
    "EVENT TRIGGER": SUPERUSER,
    "EXTENSION": "what a trusted one brings belongs to a superuser",
    "FOREIGN DATA WRAPPER": SUPERUSER,
    "FOREIGN TABLE": "needs a server of a wrapper that a superuser made; refused as no plain table",
    "FUNCTION": NAMES,
    "GROUP": "no object of the database",
    "INDEX": TABLES,
    "LANGUAGE": SUPERUSER,
    "MATERIALIZED VIEW": NAMES,
    "OPERATOR": NAMES,
    "OPERATOR CLASS": SUPERUSER,
    "OPERATOR FAMILY": SUPERUSER,
    "POLICY": TABLES,
    "PROCEDURE": NAMES,
    "PROPERTY GRAPH": "read by statements that name it, and ours name none",
    "PUBLICATION": "read by a subscriber's own session",
    "ROLE": "no object of the database",
    "RULE": TABLES,
    "SCHEMA": "holds the others; one of our names is refused: tests/sql/test_taken_over.py",
    "SEQUENCE": NO_CODE,
    "SERVER": "needs a wrapper that a superuser made",
    "STATISTICS": TABLES,
    "SUBSCRIPTION": SUPERUSER,
    "TABLE": TABLES,
    "TABLE AS": "a table, by another word",
    "TABLESPACE": SUPERUSER,
    "TEXT SEARCH CONFIGURATION": NO_CODE,
    "TEXT SEARCH DICTIONARY": "made of a template, which only a superuser brings",
    "TEXT SEARCH PARSER": SUPERUSER,
    "TEXT SEARCH TEMPLATE": SUPERUSER,
    "TRANSFORM": "its functions are in C, which only a superuser brings",
    "TRIGGER": TABLES,
    "TYPE": NAMES,
    "USER": "no object of the database",
    "USER MAPPING": "needs a server of a wrapper that a superuser made",
    "VIEW": NAMES,
}
"""Each CREATE that psql knows: what is planted of it, or why nothing is."""

REFUSED_TO_OTHERS = {
    "ACCESS METHOD": "CREATE ACCESS METHOD mine TYPE TABLE HANDLER heap_tableam_handler",
    "EVENT TRIGGER": f"CREATE EVENT TRIGGER mine ON ddl_command_end EXECUTE FUNCTION {SCHEMA}.on_event()",
    "FOREIGN DATA WRAPPER": "CREATE FOREIGN DATA WRAPPER mine",
    "LANGUAGE": "CREATE LANGUAGE mine HANDLER plpgsql_call_handler",
    "OPERATOR CLASS": f"CREATE OPERATOR CLASS {SCHEMA}.mine FOR TYPE text USING btree AS OPERATOR 1 <",
    "OPERATOR FAMILY": f"CREATE OPERATOR FAMILY {SCHEMA}.mine USING btree",
    "SUBSCRIPTION": "CREATE SUBSCRIPTION mine CONNECTION 'host=nowhere' PUBLICATION p WITH (connect = false)",
    "TABLESPACE": "CREATE TABLESPACE mine LOCATION '/nowhere'",
    "TEXT SEARCH PARSER": f"CREATE TEXT SEARCH PARSER {SCHEMA}.mine (START = prsd_start, GETTOKEN ="
    " prsd_nexttoken, END = prsd_end, LEXTYPES = prsd_lextype)",
    "TEXT SEARCH TEMPLATE": f"CREATE TEXT SEARCH TEMPLATE {SCHEMA}.mine (LEXIZE = dsimple_lexize)",
    # what the reasons of others lean on
    "a function in C": f"CREATE FUNCTION {SCHEMA}.mine() RETURNS int LANGUAGE c AS 'mine'",
    "a function of PostgreSQL's": f"CREATE FUNCTION {SCHEMA}.mine() RETURNS int LANGUAGE internal AS 'now'",
}
"""Statements that PostgreSQL refuses to whoever is no superuser."""

_WORDS = re.compile(r"[a-z_][a-z_0-9]+")
_PLANT = Path(__file__).resolve().parent.parent / "data" / "plant_names.sql"


def words() -> list[str]:
    """Every word of our SQL and of our Python: whatever ours names is among them."""
    project = SQL_FOLDER.parent
    found: set[str] = set()
    for folder, pattern in (("sql", "*.sql"), ("lockmon", "*.py"), ("onevault", "*.py")):
        for path in (project / folder).rglob(pattern):
            found.update(_WORDS.findall(path.read_text(encoding="utf-8").lower()))
    # what Django and psycopg name in statements of their own
    return sorted(found | {"current_schema", "oidvector", "regtype", "pg_attribute", "pg_type", "pg_range"})


LAID = """
    SELECT relname FROM pg_class WHERE relnamespace = %(schema)s::regnamespace
    UNION SELECT proname FROM pg_proc WHERE pronamespace = %(schema)s::regnamespace
    -- of a type of ours, which nobody else may name
    UNION SELECT p.proname FROM pg_proc AS p
     WHERE EXISTS (SELECT FROM pg_type AS t LEFT JOIN pg_type AS e ON e.oid = t.typelem
                    WHERE t.oid = ANY (p.proargtypes::oid[] || p.prorettype)
                      AND coalesce(e.typnamespace, t.typnamespace)::regnamespace::text
                          ~ '^(lock_|monitoring)')
"""
"""What is planted in a schema, by name, and what could not be."""


def reached() -> set[str]:
    """The relations and functions in the table of reach, by name alone."""
    text = reach.TABLE.read_text(encoding="utf-8")
    return {name.split(".")[1] for name in re.findall(r"[a-z_]+\.[a-z_0-9]+", text)}


def plant_names(connection: psycopg.Connection[Any], schema: str) -> int:
    """Plant there all that ours could name, as who owns the schema; how many things. None has run."""
    connection.execute(_PLANT.read_text(encoding="utf-8").encode())
    row = connection.execute("CALL pg_temp.plant(%s, %s)", [schema, words()]).fetchone()
    assert row is not None
    return int(row[0])


def clear(dba: psycopg.Connection[Any]) -> None:
    """Drop all of it; one by one, as a transaction holds a lock for each."""
    for (function,) in dba.execute(
        "SELECT p.oid::regprocedure::text FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace"
        " WHERE p.proowner = %s::regrole AND n.nspname IN ('public', %s) AND p.prokind = 'f'"
        " AND p.proname NOT IN ('note', 'spy', 'fired', 'hijack')",
        [EVIL, SCHEMA],
    ).fetchall():
        dba.execute(f"DROP FUNCTION IF EXISTS {function} CASCADE")
    dba.execute(f"DROP OWNED BY {EVIL} CASCADE")


def kinds_known(psql_help: str) -> set[str]:
    """The CREATE statements in what psql's \\h * prints."""
    return set(re.findall(r"^Command: +CREATE (.+?) *$", psql_help, re.MULTILINE))


def give_database(dba: psycopg.Connection[Any], name: str) -> None:
    """Let the database and public belong to who plants, and everybody look through his schema first."""
    dba.execute(
        f"ALTER DATABASE {name} OWNER TO {EVIL}; ALTER SCHEMA public OWNER TO {EVIL};"
        f"ALTER DATABASE {name} SET search_path = {traps.PATH};"
        # what a query on a part of a table has to do with the table's key
        f"ALTER DATABASE {name} SET constraint_exclusion = on"
    )
