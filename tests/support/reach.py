"""What each function of ours may touch, as the server itself reads its body: the table of reach.

    python -m tests.support.reach > tests/data/reach.txt

For plpgsql the extension plpgsql_check tells (Debian: postgresql-15-plpgsql-check); a function in SQL is made
once more with BEGIN ATOMIC in a transaction that is taken back, so that PostgreSQL writes down what it
depends on. What a function runs with EXECUTE is text, which nothing reads but a person: BY_HAND.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.support import vaults
from tests.support.servers import throwaway

TABLE = Path(__file__).resolve().parent.parent / "data" / "reach.txt"
DEBIAN = Path("/usr/lib/postgresql/15/bin")
CONTROL = Path("/usr/share/postgresql/15/extension/plpgsql_check.control")
OURS = ("lock_monitoring", "lock_catalog", "lock_engine", "lock_admin", "lock_log", "monitoring")

# Functions that run text, and the relations of others that it names: read by hand, each of them. The text of
# all but the last two is made of names that stand in the function, or of the catalog's names of our objects.
_NOTHING: frozenset[str] = frozenset()
BY_HAND: dict[str, frozenset[str]] = {
    "lock_engine.check_keys": _NOTHING,
    "lock_engine.cleanup_report": _NOTHING,
    "lock_engine.defer_keys": _NOTHING,
    "lock_engine.delete_empty_hubs": _NOTHING,
    "lock_engine.delete_expired": _NOTHING,
    "lock_engine.disarmed_because": _NOTHING,
    "lock_engine.find_tenants": _NOTHING,
    "lock_engine.forget_aside": _NOTHING,
    "lock_engine.forget_coverage": _NOTHING,
    "lock_engine.forget_records": _NOTHING,
    "lock_engine.forget_tenant": _NOTHING,
    "lock_engine.join_aside": _NOTHING,
    "lock_engine.move_back": _NOTHING,
    # DEALLOCATE of a name, quoted
    "lock_engine.put_back": _NOTHING,
    "lock_engine.say_unseen": _NOTHING,
    "lock_engine.shift_rows": _NOTHING,
    "lock_engine.sweep_hubs": _NOTHING,
    "lock_engine.this_database": _NOTHING,
    "lock_engine.try_apart": _NOTHING,
    "lock_engine.read_site": frozenset({"auth.tenant_h", "auth.user_h"}),
    # an alert's query, as the sandbox's role
    "monitoring.evaluate_alert_query": _NOTHING,
}

_FUNCTIONS = """
    SELECT p.oid, n.nspname || '.' || p.proname, l.lanname, p.prosecdef, p.prosrc,
           p.prorettype = 'trigger'::regtype, p.prokind = 'p',
           pg_get_function_arguments(p.oid), pg_get_function_result(p.oid),
           (SELECT t.tgrelid::regclass::text FROM pg_trigger t WHERE t.tgfoid = p.oid LIMIT 1), r.rolname
      FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
      JOIN pg_language l ON l.oid = p.prolang JOIN pg_roles r ON r.oid = p.proowner
     WHERE n.nspname = ANY (%s) ORDER BY 2
"""
_DEPENDS = """
    SELECT CASE d.refclassid WHEN 'pg_class'::regclass THEN 'RELATION'
                             WHEN 'pg_proc'::regclass THEN 'FUNCTION'
                             WHEN 'pg_operator'::regclass THEN 'OPERATOR' END,
           coalesce(c.relnamespace::regnamespace::text || '.' || c.relname,
                    p.pronamespace::regnamespace::text || '.' || p.proname,
                    o.oprnamespace::regnamespace::text || '.' || o.oprname)
      FROM pg_depend d
      LEFT JOIN pg_class c ON d.refclassid = 'pg_class'::regclass AND c.oid = d.refobjid
      LEFT JOIN pg_proc p ON d.refclassid = 'pg_proc'::regclass AND p.oid = d.refobjid
      LEFT JOIN pg_operator o ON d.refclassid = 'pg_operator'::regclass AND o.oid = d.refobjid
     WHERE d.classid = 'pg_proc'::regclass AND d.objid = %s AND d.deptype = 'n'
"""


_VIEWS = """
    SELECT n.nspname || '.' || v.relname, x.kind, x.name
      FROM pg_class v JOIN pg_namespace n ON n.oid = v.relnamespace JOIN pg_rewrite w ON w.ev_class = v.oid
      CROSS JOIN LATERAL (
        SELECT CASE WHEN d.refclassid = 'pg_class'::regclass THEN 'RELATION'
                    WHEN d.refclassid = 'pg_proc'::regclass THEN 'FUNCTION'
                    WHEN d.refclassid = 'pg_operator'::regclass THEN 'OPERATOR' END AS kind,
               coalesce(c.relnamespace::regnamespace::text || '.' || c.relname,
                        p.pronamespace::regnamespace::text || '.' || p.proname,
                        o.oprnamespace::regnamespace::text || '.' || o.oprname) AS name
          FROM pg_depend d
          LEFT JOIN pg_class c ON d.refclassid = 'pg_class'::regclass AND c.oid = d.refobjid
          LEFT JOIN pg_proc p ON d.refclassid = 'pg_proc'::regclass AND p.oid = d.refobjid
          LEFT JOIN pg_operator o ON d.refclassid = 'pg_operator'::regclass AND o.oid = d.refobjid
         WHERE d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid) x
     WHERE n.nspname = ANY (%s) AND v.relkind = 'v'
"""


class Reach:
    """Of each function: what it names itself, whether it runs text, and whether with its owner's rights."""

    def __init__(self) -> None:
        self.names: dict[str, set[tuple[str, str]]] = defaultdict(set)
        self.runs_text: set[str] = set()
        self.definers: dict[str, str] = {}
        self.unread: set[str] = set()

    def of(self, function: str) -> set[tuple[str, str]]:
        """All that a function comes to, through whatever it calls with the same rights or others."""
        found: set[tuple[str, str]] = set()
        left = [function]
        done = set()
        while left:
            one = left.pop()
            if one in done:
                continue
            done.add(one)
            for kind, name in self.names.get(one, ()):
                found.add((kind, name))
                # with rights of its own another function has its own line
                if name not in self.definers:
                    left.append(name)
            found |= {("RELATION", name) for name in BY_HAND.get(one, ())}
        return found

    def lines(self) -> Iterator[str]:
        """The table: a line for each function that runs with its owner's rights."""
        for name in sorted(self.definers):
            reached = self.of(name)
            yield f"{name} as {self.definers[name]}:"
            for kind in ("RELATION", "FUNCTION", "OPERATOR"):
                names = sorted({one for what, one in reached if what == kind})
                if names:
                    yield f"  {kind.lower()}s: {' '.join(names)}"


def read(connection: psycopg.Connection[Any]) -> Reach:
    """Read it from a database with the vault and the extension plpgsql_check, as a superuser."""
    reach = Reach()
    rows = connection.execute(_FUNCTIONS, [list(OURS)]).fetchall()
    for oid, name, language, definer, body, is_trigger, procedure, arguments, result, table, owner in rows:
        if definer:
            reach.definers[name] = owner
        if language == "plpgsql":
            if "EXECUTE" in body:
                reach.runs_text.add(name)
            found: list[Any] = connection.execute(
                "SELECT type, schema || '.' || name"
                " FROM plpgsql_show_dependency_tb(%s::oid::regprocedure,"
                " coalesce(%s::regclass, 0::regclass))",
                [oid, table if is_trigger else None],
            ).fetchall()
        else:
            named = _of_sql(connection, name, body, arguments, result, procedure=procedure)
            if named is None:
                reach.unread.add(name)
                continue
            found = named
        reach.names[name] |= {
            (kind, what) for kind, what in found if kind and not what.startswith("pg_catalog.")
        }
    # a view reads with its owner's rights, and calls with those of whoever reads it
    for view, kind, what in connection.execute(_VIEWS, [list(OURS)]).fetchall():
        if kind and what != view and not what.startswith("pg_catalog."):
            reach.names[view].add((kind, what))
    return reach


def _of_sql(
    connection: psycopg.Connection[Any], name: str, body: str, arguments: str, result: str, *, procedure: bool
) -> list[tuple[str, str]] | None:
    """What a function in SQL names; None where it cannot be made as one with BEGIN ATOMIC."""
    text = body.strip().rstrip(";")
    try:
        with connection.transaction(force_rollback=True):
            connection.execute("SET LOCAL search_path = pg_catalog, pg_temp")
            kind = "PROCEDURE" if procedure else "FUNCTION"
            returns = "" if procedure else f"RETURNS {result}"
            connection.execute(
                f"CREATE {kind} pg_temp.read_once({arguments}) {returns} LANGUAGE sql"
                f" BEGIN ATOMIC {text}; END"
            )
            row = connection.execute("SELECT oid FROM pg_proc WHERE proname = 'read_once'").fetchone()
            assert row is not None
            return list(connection.execute(_DEPENDS, [row[0]]).fetchall())
    except psycopg.Error as error:
        print(f"{name}: {str(error).splitlines()[0]}", file=sys.stderr)
        return None


def of_this_tree() -> Reach:
    """Install the tree into a server of Debian's PostgreSQL 15 and read it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOCKMON_PG_BIN", str(DEBIAN))
        with throwaway() as server:
            dsn = server.dsn(server.create_database())
            vaults.install(dsn)
            with psycopg.connect(dsn, autocommit=True) as connection:
                connection.execute("CREATE EXTENSION plpgsql_check WITH SCHEMA public")
                connection.execute("SET search_path = pg_catalog, public")
                return read(connection)


if __name__ == "__main__":
    made = of_this_tree()
    print("\n".join(made.lines()))
    print(sorted(made.runs_text - set(BY_HAND)), file=sys.stderr)
