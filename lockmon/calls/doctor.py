"""Typed questions of the doctor (lockmon_check): catalog and coverage only, nothing that waits."""

from __future__ import annotations

from dataclasses import dataclass

from .base import Cursor, select_all


@dataclass(frozen=True)
class Headroom:
    """Connections. usable: without those reserved for superusers."""

    used: int
    usable: int


@dataclass(frozen=True)
class Rights:
    """What the application's login may, beyond or below what it needs."""

    login: str
    is_superuser: bool
    may_signal: bool
    may_take_admin_role: bool
    may_write_vault: bool
    may_read_vault: bool
    may_run_cycles: bool


@dataclass(frozen=True)
class Growth:
    """The vault's size in bytes as vacuum saw it, and the days of history that it holds."""

    bytes: int
    days: float


@dataclass(frozen=True)
class Overhead:
    """Seconds that the loop spent in statements, and the seconds it covered, of the last 24 hours."""

    busy: float
    covered: float


@dataclass(frozen=True)
class UnusableSetting:
    """A setting of the vault with a value that nothing can use. fault: the end of a sentence about it."""

    name: str
    value: str
    fault: str


def unusable_settings(cursor: Cursor) -> list[UnusableSetting]:
    """Settings whose stored value lock_admin.setting_fault() refuses, by name."""
    return select_all(
        cursor,
        UnusableSetting,
        "(SELECT s.name, pg_catalog.left(s.value::text, 100) AS value,"
        " lock_admin.setting_fault(s.name, s.value) AS fault FROM lock_admin.setting AS s) AS f"
        " WHERE f.fault IS NOT NULL ORDER BY f.name",
    )


def headroom(cursor: Cursor) -> Headroom:
    """Connections in use and usable by ordinary logins."""
    cursor.execute(
        "SELECT (SELECT sum(d.numbackends) FROM pg_catalog.pg_stat_database d)::integer,"
        " pg_catalog.current_setting('max_connections')::integer"
        " - pg_catalog.current_setting('superuser_reserved_connections')::integer"
    )
    used, usable = cursor.fetchone()
    return Headroom(int(used or 0), int(usable))


def rights(cursor: Cursor) -> Rights:
    """The rights of this login with its roles, as a member (what it could take), not only as it is now."""
    cursor.execute(
        "SELECT session_user, r.rolsuper,"
        " pg_catalog.pg_has_role(session_user, 'pg_signal_backend', 'MEMBER'),"
        " pg_catalog.pg_has_role(session_user, 'lock_admin_role', 'MEMBER'),"
        " pg_catalog.has_table_privilege(session_user, 'lock_monitoring.lock_activity_s', 'INSERT'),"
        " pg_catalog.has_table_privilege('lock_monitoring.lock_activity_s', 'SELECT'),"
        " pg_catalog.has_function_privilege('lock_monitoring.run_lock_monitoring(bytea)', 'EXECUTE')"
        " FROM pg_catalog.pg_roles r WHERE r.rolname = session_user"
    )
    return Rights(*cursor.fetchone())


@dataclass(frozen=True)
class Surplus:
    """A right that a login has and does not need. what: ends "NAME ..."; remedy: the line that takes it
    back."""

    login: str
    what: str
    remedy: str


def surplus_rights(cursor: Cursor) -> list[Surplus]:
    """Rights of this session's login beyond what the monitor needs: attributes, roles, things it owns,
    grants.

    A superuser's are not listed, nor what everybody has. Django's own tables may belong to the login.
    """
    cursor.execute(
        """
        WITH me AS (
          SELECT r.*, pg_catalog.quote_ident(r.rolname) AS name
            FROM pg_catalog.pg_roles r WHERE r.rolname = session_user AND NOT r.rolsuper)
        SELECT me.rolname::text, x.what, x.remedy
          FROM me CROSS JOIN LATERAL (
            SELECT 'may ' || a.what AS what,
                   format('ALTER ROLE %%s NO%%s;', me.name, a.word) AS remedy
              FROM (VALUES (me.rolcreaterole, 'make roles', 'CREATEROLE'),
                           (me.rolcreatedb, 'make databases', 'CREATEDB'),
                           (me.rolreplication, 'replicate', 'REPLICATION'),
                           (me.rolbypassrls, 'see rows that policies hide', 'BYPASSRLS')
                   ) AS a (has, what, word)
             WHERE a.has
            UNION ALL
            SELECT format('is a member of %%I', g.rolname),
                   format('REVOKE %%I FROM %%s;', g.rolname, me.name)
              FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles g ON g.oid = m.roleid
             WHERE m.member = me.oid
               AND g.rolname NOT IN ('lock_monitoring_role', 'lock_admin_role', 'pg_signal_backend')
            UNION ALL
            SELECT format('may give %%I away', g.rolname),
                   format('REVOKE ADMIN OPTION FOR %%I FROM %%s;', g.rolname, me.name)
              FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles g ON g.oid = m.roleid
             WHERE m.member = me.oid AND m.admin_option
               AND g.rolname IN ('lock_monitoring_role', 'lock_admin_role')
            UNION ALL
            SELECT 'owns the database ' || pg_catalog.quote_ident(d.datname),
                   format('ALTER DATABASE %%I OWNER TO ...; (a DBA)', d.datname)
              FROM pg_catalog.pg_database d
             WHERE d.datname = pg_catalog.current_database() AND d.datdba = me.oid
            UNION ALL
            SELECT 'may make schemas in this database',
                   format('REVOKE CREATE ON DATABASE %%I FROM %%s;', d.datname, me.name)
              FROM pg_catalog.pg_database d CROSS JOIN LATERAL pg_catalog.aclexplode(d.datacl) a
             WHERE d.datname = pg_catalog.current_database() AND a.grantee = me.oid
               AND a.privilege_type = 'CREATE' AND d.datdba <> me.oid
            UNION ALL
            SELECT format('owns %%s', o.name), format('ALTER %%s OWNER TO ...; (a DBA)', o.name)
              FROM (SELECT 'SCHEMA ' || pg_catalog.quote_ident(n.nspname) AS name, n.nspowner AS owner
                      FROM pg_catalog.pg_namespace n WHERE n.nspname = ANY (%(schemas)s)
                    UNION ALL
                    SELECT format('TABLE %%I.%%I', n.nspname, c.relname), c.relowner
                      FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                     WHERE n.nspname = ANY (%(schemas)s) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
                    UNION ALL
                    SELECT 'FUNCTION ' || p.oid::regprocedure::text, p.proowner
                      FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
                     WHERE n.nspname = ANY (%(schemas)s)) o
             WHERE o.owner = me.oid
            UNION ALL
            SELECT format('has %%s on %%I.%%I', string_agg(DISTINCT a.privilege_type, ', '),
                          n.nspname, c.relname),
                   format('REVOKE ALL ON %%I.%%I FROM %%s;', n.nspname, c.relname, me.name)
              FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
              LEFT JOIN pg_catalog.pg_attribute t ON t.attrelid = c.oid AND t.attacl IS NOT NULL
              CROSS JOIN LATERAL (
                SELECT e.* FROM pg_catalog.aclexplode(c.relacl) e
                UNION ALL SELECT e.* FROM pg_catalog.aclexplode(t.attacl) e) a
             WHERE n.nspname = ANY (%(schemas)s) AND a.grantee = me.oid AND c.relowner <> me.oid
             GROUP BY n.nspname, c.relname) x
         ORDER BY 2 LIMIT 50
        """,
        {
            "schemas": [
                *("lock_monitoring", "lock_catalog", "lock_engine", "lock_admin", "lock_log", "monitoring"),
                *("auth", "util"),
            ]
        },
    )
    return [Surplus(*row) for row in cursor.fetchall()]


def creators(cursor: Cursor) -> list[tuple[str, str]]:
    """Schemas of this session's search path in which others may create, each with who may.

    A superuser, the login itself and the owner of its database, where that is the login, are no others.
    """
    cursor.execute(
        "SELECT DISTINCT n.nspname::text, CASE g.role WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident("
        "  pg_catalog.pg_get_userbyid(g.role)) END"
        " FROM pg_catalog.pg_namespace n"
        " CROSS JOIN LATERAL ("
        "  SELECT CASE WHEN pg_catalog.pg_get_userbyid(a.grantee) = 'pg_database_owner'"
        "   THEN (SELECT d.datdba FROM pg_catalog.pg_database d"
        "    WHERE d.datname = pg_catalog.current_database())"
        "   ELSE a.grantee END AS role"
        "  FROM pg_catalog.aclexplode(coalesce(n.nspacl, pg_catalog.acldefault('n', n.nspowner))) a"
        "  WHERE a.privilege_type = 'CREATE') g"
        " LEFT JOIN pg_catalog.pg_roles r ON r.oid = g.role"
        " WHERE n.nspname = ANY (pg_catalog.current_schemas(false)) AND n.nspname !~ '^pg_'"
        " AND NOT coalesce(r.rolsuper OR r.rolname = session_user, false)"
        " ORDER BY 1, 2"
    )
    return [(str(schema), str(role)) for schema, role in cursor.fetchall()]


def growth(cursor: Cursor) -> Growth:
    """Size of the vault, and how many days of history it holds (at least a hundredth)."""
    cursor.execute(
        "SELECT coalesce(sum(c.relpages), 0)::bigint * pg_catalog.current_setting('block_size')::bigint,"
        " greatest(coalesce((SELECT date_part('epoch', clock_timestamp() - min(v.period_start)) / 86400"
        "  FROM lock_engine.coverage v), 0), 0.01)"
        " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname IN ('lock_monitoring', 'lock_engine', 'lock_log') AND c.relkind IN ('r', 'i')"
    )
    size, days = cursor.fetchone()
    return Growth(int(size), float(days))


def overhead(cursor: Cursor) -> Overhead | None:
    """What watching cost in the last 24 hours; None where nothing was recorded."""
    cursor.execute(
        "SELECT sum(c.busy_ms) / 1000.0, sum(date_part('epoch', c.period_end - c.period_start))"
        " FROM lock_engine.coverage c WHERE c.period_end > clock_timestamp() - interval '24 hours'"
    )
    busy, covered = cursor.fetchone()
    return None if not covered else Overhead(float(busy), float(covered))
