"""A reviewable text of everything that defines a database: what an install may and may not change."""

from __future__ import annotations

from typing import Any

import psycopg

OURS = ("lock_monitoring", "lock_catalog", "lock_engine", "lock_admin", "lock_log", "monitoring")

_DEFINITIONS = """
WITH spaces AS (
    SELECT n.oid, n.nspname FROM pg_catalog.pg_namespace AS n WHERE n.nspname = ANY(%(schemas)s)
), relations AS (
    SELECT c.*, s.nspname || '.' || c.relname AS full_name
    FROM pg_catalog.pg_class AS c JOIN spaces AS s ON s.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S')
)
SELECT 'schema ' || n.nspname || ' ' || coalesce(x.acl, '')
FROM pg_catalog.pg_namespace AS n
CROSS JOIN LATERAL (SELECT string_agg(i::text, ' ' ORDER BY i::text COLLATE "C") AS acl
                    FROM unnest(n.nspacl) AS i) AS x
WHERE n.nspname = ANY(%(schemas)s)
UNION ALL
SELECT 'relation ' || r.relkind::text || ' ' || r.full_name || ' of ' || pg_get_userbyid(r.relowner) || ' '
       || coalesce(array_to_string(r.reloptions, ','), '') || ' ' || coalesce(x.acl, '')
FROM relations AS r
CROSS JOIN LATERAL (SELECT string_agg(i::text, ' ' ORDER BY i::text COLLATE "C") AS acl
                    FROM unnest(r.relacl) AS i) AS x
UNION ALL
SELECT concat_ws(' ', 'column', r.full_name,
                 to_char(row_number() OVER (PARTITION BY r.oid ORDER BY a.attnum), '000'), a.attname,
                 format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity::text,
                 pg_get_expr(d.adbin, d.adrelid), x.acl)
FROM relations AS r
JOIN pg_catalog.pg_attribute AS a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_catalog.pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
CROSS JOIN LATERAL (SELECT string_agg(i::text, ' ' ORDER BY i::text COLLATE "C") AS acl
                    FROM unnest(a.attacl) AS i) AS x
WHERE r.relkind <> 'S'
UNION ALL
SELECT 'view ' || r.full_name || ': ' || pg_get_viewdef(r.oid)
FROM relations AS r WHERE r.relkind IN ('v', 'm')
UNION ALL
SELECT 'constraint ' || r.full_name || ' ' || k.conname || ' ' || pg_get_constraintdef(k.oid)
FROM relations AS r JOIN pg_catalog.pg_constraint AS k ON k.conrelid = r.oid
WHERE k.contype <> 'n'
UNION ALL
SELECT 'index ' || pg_get_indexdef(i.indexrelid)
FROM relations AS r JOIN pg_catalog.pg_index AS i ON i.indrelid = r.oid
UNION ALL
SELECT 'trigger ' || r.full_name || ' ' || pg_get_triggerdef(t.oid)
FROM relations AS r JOIN pg_catalog.pg_trigger AS t ON t.tgrelid = r.oid
WHERE NOT t.tgisinternal
UNION ALL
SELECT 'function ' || p.oid::regprocedure::text || ' of ' || pg_get_userbyid(p.proowner) || ' '
       || coalesce(x.acl, 'default') || ': ' || pg_get_functiondef(p.oid)
FROM pg_catalog.pg_proc AS p JOIN spaces AS s ON s.oid = p.pronamespace
CROSS JOIN LATERAL (SELECT string_agg(i::text, ' ' ORDER BY i::text COLLATE "C") AS acl
                    FROM unnest(p.proacl) AS i) AS x
WHERE p.prokind IN ('f', 'p')
UNION ALL
SELECT 'comment ' || pg_describe_object(d.classoid, d.objoid, d.objsubid) || ': ' || d.description
FROM pg_catalog.pg_description AS d
WHERE (d.classoid = 'pg_class'::regclass AND d.objoid IN (SELECT r.oid FROM relations AS r))
   OR (d.classoid = 'pg_proc'::regclass
       AND d.objoid IN (SELECT p.oid FROM pg_catalog.pg_proc AS p JOIN spaces AS s ON s.oid = p.pronamespace))
   OR (d.classoid = 'pg_namespace'::regclass AND d.objoid IN (SELECT s.oid FROM spaces AS s))
UNION ALL
SELECT 'member ' || m.rolname || ' of ' || r.rolname
FROM pg_catalog.pg_auth_members AS a
JOIN pg_catalog.pg_roles AS m ON m.oid = a.member JOIN pg_catalog.pg_roles AS r ON r.oid = a.roleid
WHERE m.rolname LIKE 'lock\\_%%'
"""


def definitions(connection: psycopg.Connection[Any], schemas: tuple[str, ...] = OURS) -> list[str]:
    """Owner, rights and definition of every object of these schemas, a line each, sorted."""
    rows = connection.execute(_DEFINITIONS, {"schemas": list(schemas)}).fetchall()
    return sorted(row[0] for row in rows)


def contents(connection: psycopg.Connection[Any], schemas: tuple[str, ...] = OURS) -> dict[str, list[str]]:
    """Every row of every table of these schemas, as text."""
    tables = connection.execute(
        "SELECT c.oid::regclass::text FROM pg_catalog.pg_class AS c "
        "JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace "
        "WHERE c.relkind IN ('r', 'p') AND n.nspname = ANY(%s) ORDER BY 1",
        [list(schemas)],
    ).fetchall()
    return {
        name: sorted(row[0] for row in connection.execute(f"SELECT t::text FROM {name} AS t"))
        for (name,) in tables
    }
