"""Whose are the schemas, tables, functions and views of the product, and what of others would run in them?

Whoever owns a schema can put another function in the place of ours; whoever owns a table can give it a
trigger. The install takes both over (sql/prerequisites/take_owners.sql, check_names.sql); this looks whether
it is still so, and asks PostgreSQL's own catalogs alone, so that looking runs nobody's code either.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, LiteralString

import psycopg

from lockmon.install import manifest
from lockmon.text import read_any_name

OWNERS = (
    "lock_vault_owner",
    "lock_door_owner",
    "lock_action_log_owner",
    "lock_log_reader",
    "lock_alert_sandbox",
    "lock_site_reader",
)
"""The roles that own functions of the product and that nobody works as."""
_OWN_SCHEMAS = ["lock_catalog", "lock_engine", "lock_log", "lock_admin"]
_RECORDS = ["lock_engine.installation", "lock_engine.site_object", "lock_admin.setting"]

# A DBA trusts superusers, himself and the product's roles.
_TRUSTED: LiteralString = """
    WITH trusted AS (
        SELECT r.oid FROM pg_roles AS r
        WHERE r.rolsuper OR r.rolname IN (session_user, current_user) OR r.rolname = ANY (%(owners)s))
"""
# A table that another role owns can be anything by now; reading it can run that role's code as the reader.
_MAY_BE_READ: LiteralString = """
    SELECT count(*)
    FROM pg_class AS c
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    JOIN pg_roles AS s ON s.rolname = session_user
    WHERE n.nspname || '.' || c.relname = ANY (%(records)s) AND c.relkind = 'r'
      AND (NOT (s.rolsuper OR s.rolcreaterole)
           OR (EXISTS (SELECT 1 FROM trusted AS t WHERE t.oid = n.nspowner)
               AND EXISTS (SELECT 1 FROM trusted AS t WHERE t.oid = c.relowner)))
"""
_OWNER_OF_OTHERS: LiteralString = """
    SELECT pg_get_userbyid(c.relowner)
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname || '.' || c.relname = %(relation)s
      AND (c.relkind NOT IN ('r', 'p') OR NOT EXISTS (SELECT 1 FROM trusted AS t WHERE t.oid = c.relowner))
"""
# Here whoever owns lock_engine is who installed: a managed service has no superuser.
_FINDINGS: LiteralString = """
    WITH RECURSIVE trusted AS (
        SELECT r.oid FROM pg_roles AS r WHERE r.rolsuper OR r.rolname = ANY (%(owners)s)
        UNION
        SELECT n.nspowner FROM pg_namespace AS n WHERE n.nspname = 'lock_engine'
    ), others AS (
        SELECT r.oid, r.rolname::text AS name, quote_ident(r.rolname) AS quoted FROM pg_roles AS r
        WHERE r.oid NOT IN (SELECT t.oid FROM trusted AS t)
        UNION ALL
        SELECT 0, 'PUBLIC', 'PUBLIC'
    ), spaces AS (
        SELECT n.* FROM pg_namespace AS n
        WHERE n.nspname = ANY (%(own)s) OR n.nspname IN ('lock_monitoring', 'monitoring')
    ), tables AS (
        SELECT c.oid FROM pg_class AS c JOIN spaces AS n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p')
          AND (n.nspname = ANY (%(own)s) OR n.nspname || '.' || c.relname = ANY (%(tables)s))
        UNION
        SELECT i.inhrelid FROM tables AS t JOIN pg_inherits AS i ON i.inhparent = t.oid
    ), relations AS (
        SELECT c.oid, n.nspname || '.' || c.relname AS name, c.relowner, c.relacl,
               t.oid IS NOT NULL AS is_table
        FROM pg_class AS c
        JOIN pg_namespace AS n ON n.oid = c.relnamespace
        LEFT JOIN tables AS t ON t.oid = c.oid
        WHERE t.oid IS NOT NULL
           OR (c.relkind IN ('v', 'm', 'S') AND n.nspname = ANY (%(own)s))
           OR (c.relkind IN ('v', 'm', 'f') AND n.nspname || '.' || c.relname = ANY (%(views)s))
    ), parts (relation, catalog, oid, kind, name) AS (
        SELECT t.tgrelid, 'pg_trigger'::regclass::oid, t.oid, 'trigger', t.tgname
        FROM pg_trigger AS t WHERE NOT t.tgisinternal
        UNION ALL
        SELECT p.polrelid, 'pg_policy'::regclass, p.oid, 'policy', p.polname FROM pg_policy AS p
        UNION ALL
        SELECT w.ev_class, 'pg_rewrite'::regclass, w.oid, 'rule', w.rulename FROM pg_rewrite AS w
        UNION ALL
        SELECT k.conrelid, 'pg_constraint'::regclass, k.oid, 'constraint', k.conname
        FROM pg_constraint AS k WHERE k.contype = 'c'
        UNION ALL
        SELECT i.indrelid, 'pg_class'::regclass, i.indexrelid, 'index', c.relname
        FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
        UNION ALL
        SELECT s.stxrelid, 'pg_statistic_ext'::regclass, s.oid, 'statistics', s.stxname
        FROM pg_statistic_ext AS s
        UNION ALL
        -- the contract's own default is the site's function, and is never asked
        SELECT f.adrelid, 'pg_attrdef'::regclass, f.oid, 'value of', a.attname
        FROM pg_attrdef AS f JOIN pg_attribute AS a ON a.attrelid = f.adrelid AND a.attnum = f.adnum
        WHERE a.attname <> 'load_date' OR a.attgenerated <> ''
    ), used AS (
        SELECT d.classid, d.objid, o.name AS owner
        FROM pg_depend AS d
        LEFT JOIN pg_proc AS f ON d.refclassid = 'pg_proc'::regclass AND f.oid = d.refobjid
        LEFT JOIN pg_operator AS p ON d.refclassid = 'pg_operator'::regclass AND p.oid = d.refobjid
        LEFT JOIN pg_type AS t ON d.refclassid = 'pg_type'::regclass AND t.oid = d.refobjid
        JOIN others AS o ON o.oid = coalesce(f.proowner, p.oprowner, t.typowner)
    )
    SELECT 'schema ' || n.nspname,
           format('ALTER SCHEMA %%I OWNER TO %%I: "%%s" can put another function in the place of ours',
                  n.nspname, session_user, o.name)
    FROM spaces AS n JOIN others AS o ON o.oid = n.nspowner
    UNION ALL
    SELECT 'schema ' || n.nspname,
           format('REVOKE CREATE ON SCHEMA %%I FROM %%s: what is made there could run as the monitor',
                  n.nspname, o.quoted)
    FROM spaces AS n CROSS JOIN LATERAL aclexplode(n.nspacl) AS a JOIN others AS o ON o.oid = a.grantee
    WHERE a.privilege_type = 'CREATE' AND a.grantee <> n.nspowner
    UNION ALL
    SELECT r.name,
           format('%%s: it belongs to "%%s", whose code can run in it',
                  CASE WHEN r.is_table THEN format('ALTER TABLE %%s OWNER TO %%I', r.name, session_user)
                       ELSE 'drop or rename it and install again' END, o.name)
    FROM relations AS r JOIN others AS o ON o.oid = r.relowner
    UNION ALL
    SELECT r.name,
           format('REVOKE %%s ON %%s FROM %%s: its code would run as the monitor', a.privilege_type, r.name,
                  o.quoted)
    FROM relations AS r CROSS JOIN LATERAL aclexplode(r.relacl) AS a JOIN others AS o ON o.oid = a.grantee
    WHERE r.is_table AND a.privilege_type IN ('TRIGGER', 'REFERENCES') AND a.grantee <> r.relowner
    UNION ALL
    SELECT n.nspname || '.' || p.proname,
           format('drop %%s, which belongs to "%%s", and install again', p.oid::regprocedure, o.name)
    FROM pg_proc AS p
    JOIN spaces AS n ON n.oid = p.pronamespace
    JOIN others AS o ON o.oid = p.proowner
    WHERE n.nspname = ANY (%(own)s) OR n.nspname || '.' || p.proname = ANY (%(functions)s)
    UNION ALL
    SELECT r.name,
           format('ALTER TABLE %%s DROP CONSTRAINT %%I: each row that is deleted asks that table of "%%s"',
                  k.conrelid::regclass, k.conname, o.name)
    FROM relations AS r
    JOIN pg_constraint AS k ON k.confrelid = r.oid AND k.contype = 'f'
    JOIN pg_class AS c ON c.oid = k.conrelid
    JOIN others AS o ON o.oid = c.relowner
    WHERE k.conrelid NOT IN (SELECT t.oid FROM tables AS t)
    UNION ALL
    SELECT r.name,
           format('ALTER TABLE %%s: whoever owns the table above, "%%s", writes and deletes through it',
                  CASE c.relkind WHEN 'p' THEN format('%%s DETACH PARTITION %%s', c.oid::regclass, r.name)
                                 ELSE format('%%s NO INHERIT %%s', r.name, c.oid::regclass) END, o.name)
    FROM relations AS r
    JOIN pg_inherits AS i ON i.inhrelid = r.oid
    JOIN pg_class AS c ON c.oid = i.inhparent
    JOIN others AS o ON o.oid = c.relowner
    WHERE r.is_table AND c.oid NOT IN (SELECT t.oid FROM tables AS t)
    UNION ALL
    SELECT r.name, format('drop its %%s %%I, which runs code of "%%s"', p.kind, p.name, u.owner)
    FROM relations AS r
    JOIN parts AS p ON p.relation = r.oid
    JOIN used AS u ON u.classid = p.catalog AND u.objid = p.oid
    ORDER BY 1, 2
"""


@contextmanager
def pinned(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """A transaction in which names and operators are PostgreSQL's own, whatever the connection looks
    through."""
    with connection.transaction():
        connection.execute("SET LOCAL search_path = pg_catalog, pg_temp")
        yield


def may_be_read(connection: psycopg.Connection[Any]) -> bool:
    """Whether the install's own records are there and reading them runs nobody's code.

    To a login that has nothing to give away they are as they are; a DBA reads only what a superuser, he
    himself or the product owns.
    """
    return _ask(connection, _TRUSTED + _MAY_BE_READ) == [(len(_RECORDS),)]


def owner_of_others(connection: psycopg.Connection[Any], relation: str) -> str | None:
    """The owner of a relation ("schema.name") whose code could run as a DBA who reads it; None where a
    superuser, the DBA or the product owns it and it is a table, or where it is not there."""
    rows = _ask(connection, _TRUSTED + _OWNER_OF_OTHERS, relation=relation)
    return str(rows[0][0]) if rows else None


def findings(connection: psycopg.Connection[Any]) -> list[tuple[str, str]]:
    """What of the product somebody else has a hold on: the object, and what to do about it."""
    names: dict[str, list[str]] = {"table": [], "view": [], "function": [], "index": []}
    for kind, schema, name in manifest.contents().objects:
        names[kind].append(f"{schema}.{name}")
    found = _ask(
        connection, _FINDINGS, tables=names["table"], views=names["view"], functions=names["function"]
    )
    return sorted({(str(name), str(how)) for name, how in found})


def _ask(connection: psycopg.Connection[Any], question: LiteralString, **words: Any) -> list[tuple[Any, ...]]:
    cursor = connection.cursor()
    read_any_name(cursor)
    known = {"owners": list(OWNERS), "own": _OWN_SCHEMAS, "records": _RECORDS}
    with pinned(connection):
        return cursor.execute(question, known | words).fetchall()
