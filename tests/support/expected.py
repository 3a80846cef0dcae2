"""Writes sql/prerequisites/expected.sql: which functions and views this release brings, as the catalog tells
after a fresh install, and which roles its files let call a function, as the files say.

    python -m tests.support.expected

Run it after adding, removing or changing the arguments, results or columns of a function or view, or who may
call a function; a test says when it is due.
"""

from __future__ import annotations

import re
from typing import Any

import psycopg

from lockmon.install import SQL_FOLDER, install, manifest
from tests.support.servers import throwaway

FILE = SQL_FOLDER / "prerequisites" / "expected.sql"
HEAD = """\
-- Written by tests/support/expected.py: what this release brings, functions with arguments and result, views
-- with their columns (prerequisites/drop_outdated.sql compares), and whom the files let call a function
-- (grants/functions.sql).
DROP TABLE IF EXISTS pg_temp.lockmon_expected;
CREATE TEMP TABLE lockmon_expected (kind text, full_name text, parts text[]) ON COMMIT DROP;
INSERT INTO pg_temp.lockmon_expected (kind, full_name, parts) VALUES
"""
BROUGHT = r"""
SELECT 'function', p.oid::regprocedure::text,
       ARRAY[regexp_replace(pg_get_function_arguments(p.oid), '\mIN p_', 'p_', 'g'),
             pg_get_function_result(p.oid)]
  FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
 WHERE n.nspname = ANY (%(schemas)s)
UNION ALL
SELECT 'view', n.nspname || '.' || c.relname,
       ARRAY(SELECT a.attname || ' ' || format_type(a.atttypid, a.atttypmod) FROM pg_attribute AS a
              WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum)
  FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
 WHERE c.relkind = 'v' AND n.nspname = ANY (%(schemas)s)
"""
GRANT = re.compile(r"GRANT EXECUTE ON (?:FUNCTION|PROCEDURE)\s+([^;%]+?)\s+TO\s+([a-z_,\s]+);")
SIGNATURE = re.compile(r"\w+\.\w+\([^)]*\)")
SCHEMAS = ["lock_monitoring", "lock_catalog", "lock_engine", "lock_admin", "lock_log", "monitoring"]


def granted() -> dict[str, set[str]]:
    """Signatures, as the files write them, and the roles that may call them beside those of
    grants/functions.sql."""
    found: dict[str, set[str]] = {}
    for source in manifest.sources():
        for functions, roles in GRANT.findall(source.text):
            for signature in SIGNATURE.findall(functions):
                found.setdefault(signature, set()).update(re.findall(r"\w+", roles))
    return found


def brought(connection: psycopg.Connection[Any]) -> str:
    """The text of the file for the release installed in this database."""
    with connection.transaction():
        connection.execute("SET LOCAL search_path = pg_catalog")
        rows = connection.execute(BROUGHT, {"schemas": SCHEMAS}).fetchall()
        for written, roles in granted().items():
            row = connection.execute("SELECT %s::regprocedure::text", [written]).fetchone()
            assert row is not None
            rows.append(("grant", row[0], sorted(roles)))

    def quoted(text: str | None) -> str:
        # a procedure has no result
        return "NULL" if text is None else "'" + text.replace("'", "''") + "'"

    lines = [
        f"({quoted(kind)}, {quoted(name)}, ARRAY[{', '.join(map(quoted, parts))}])"
        for kind, name, parts in sorted(rows)
    ]
    return HEAD + ",\n".join(lines) + ";\n"


def main() -> None:
    """Install into a throwaway server and write the file."""
    FILE.write_text(HEAD + "('', '', '{}');\n", encoding="utf-8")
    with throwaway() as server:
        dsn = server.dsn(server.create_database())
        install(dsn)
        with psycopg.connect(dsn, autocommit=True) as connection:
            text = brought(connection)
    FILE.write_text(text, encoding="utf-8")
    print(f"{FILE.name}: {text.count(chr(10)) - HEAD.count(chr(10))} functions, views and grants")


if __name__ == "__main__":
    main()
