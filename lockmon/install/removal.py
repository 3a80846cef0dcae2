"""Removing the product from a database, and saying beforehand what is lost."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from lockmon.install import giving_back, manifest, ownership
from lockmon.install.apply import Connection, InstallError
from lockmon.install.verification import ROLES

# Ours alone, whatever the site has; in the order in which they can go.
OWN_SCHEMAS = ("lock_log", "lock_admin", "lock_engine", "lock_catalog")
SHARED_SCHEMAS = ("lock_monitoring", "monitoring", "auth", "util")


@dataclass(frozen=True)
class Loss:
    """A table that would go, and how many rows with it."""

    table: str
    rows: int


@dataclass(frozen=True)
class Removal:
    """What was removed, and what was left and why."""

    removed: tuple[str, ...]
    left: tuple[str, ...] = field(default=())


_STAND_INS = {
    "table": ("auth.user_profile_s", "auth.user_h", "auth.tenant_h"),
    "function": ("util.get_record_source()", "util.hash_binary(text)", "util.current_load_date()"),
}
# Everything in the database that is not the product's: what a CASCADE must not take along.
_NOT_OURS: LiteralString = """
    WITH relations AS (
        SELECT c.oid, n.nspname, c.relkind,
               n.nspname = ANY(%(schemas)s) OR n.nspname ~ '^pg_'
               OR n.nspname || '.' || c.relname = ANY(%(names)s) AS is_excepted
        FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    )
    SELECT pg_describe_object('pg_class'::regclass, r.oid, 0)
    FROM relations AS r
    WHERE NOT r.is_excepted AND r.relkind IN ('r', 'p', 'v', 'm', 'f')
    UNION ALL
    SELECT pg_describe_object('pg_constraint'::regclass, k.oid, 0)
    FROM relations AS r JOIN pg_catalog.pg_constraint AS k ON k.conrelid = r.oid
    WHERE NOT r.is_excepted AND k.contype = 'f'
    UNION ALL
    SELECT pg_describe_object('pg_trigger'::regclass, t.oid, 0)
    FROM relations AS r JOIN pg_catalog.pg_trigger AS t ON t.tgrelid = r.oid
    WHERE NOT r.is_excepted AND NOT t.tgisinternal
    UNION ALL
    SELECT pg_describe_object('pg_proc'::regclass, p.oid, 0)
    FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
    WHERE NOT (n.nspname = ANY(%(schemas)s) OR n.nspname ~ '^pg_'
               OR n.nspname || '.' || p.proname = ANY(%(names)s))
"""


# A role of the site's may have rights elsewhere: only those in the schemas of the product are taken back.
_REVOKES: LiteralString = """
    SELECT format('REVOKE ALL ON SCHEMA %%I FROM %%I', n.nspname, %(role)s::text)
    FROM pg_catalog.pg_namespace AS n
    WHERE n.nspname = ANY(%(schemas)s)
    UNION ALL
    SELECT format('REVOKE ALL ON %%s FROM %%I', c.oid::regclass, %(role)s::text)
    FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v') AND n.nspname = ANY(%(schemas)s)
    UNION ALL
    SELECT format('REVOKE ALL (%%I) ON %%s FROM %%I', a.attname, c.oid::regclass, %(role)s::text)
    FROM pg_catalog.pg_attribute AS a
    JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = ANY(%(schemas)s) AND a.attacl IS NOT NULL
"""


def what_is_lost(connection: Connection) -> list[Loss]:
    """The product's tables in this database with their rows, counted now; empty where it is not installed.

    A table that belongs to somebody else by now is neither counted nor lost.
    """
    with ownership.pinned(connection):
        if not ownership.may_be_read(connection):
            return []
        tables = [
            row
            for row in connection.execute(
                """
                SELECT n.nspname, c.relname
                FROM pg_catalog.pg_class AS c
                JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
                WHERE c.relkind IN ('r', 'p')
                  AND (n.nspname = ANY(%s) OR (n.nspname || '.' || c.relname) = ANY(%s))
                ORDER BY n.nspname <> 'lock_monitoring', n.nspname, c.relname
                """,
                [list(OWN_SCHEMAS), _ours("table", "lock_monitoring", "monitoring")],
            ).fetchall()
            if ownership.owner_of_others(connection, f"{row[0]}.{row[1]}") is None
        ]
        return [
            Loss(f"{schema}.{name}", _count(connection, sql.Identifier(schema, name)))
            for schema, name in tables
        ]


def remove(connection: Connection) -> Removal:
    """Remove everything an install brought, in one transaction; what was the site's before stays.

    Tables of lock_monitoring that the site had before the first install are kept with the contract's
    columns, without rows. What a site built upon the product is never dropped: it is named in the
    InstallError, and then nothing was changed.
    """
    try:
        with ownership.pinned(connection):
            return _Removing(connection).run()
    except psycopg.errors.LockNotAvailable as error:
        raise InstallError(
            "Somebody is using the vault (is the monitor still running?): stop it, then try again. "
            "Nothing was changed."
        ) from error
    except psycopg.Error as error:
        message = (error.diag.message_primary or str(error)).rstrip(".")
        raise InstallError(f"It was not removed: {message}. Nothing was changed.") from error


def _ours(kind: str, *schemas: str) -> list[str]:
    return [
        f"{schema}.{name}"
        for source in manifest.sources()
        for found, schema, name in source.created()
        if found == kind and schema in schemas
    ]


def _count(connection: Connection, place: sql.Composable) -> int:
    row = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(place)).fetchone()
    return int(row[0]) if row else 0


class _Removing:
    """One removal: inside a transaction, step after step."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.removed: list[str] = []
        self.left: list[str] = []
        self.taken: list[str] = []
        self.site: set[tuple[str, str, str]] = set()

    def run(self) -> Removal:
        """Do it all; the caller's transaction ends it."""
        if not ownership.may_be_read(self.connection):
            raise InstallError(
                "One Vault lock monitor is not installed in this database, or somebody else installed it: "
                "let that role remove it. Nothing was changed."
            )
        self.connection.execute("SET LOCAL lock_timeout = '10s'")
        self.connection.execute("SET LOCAL client_min_messages = warning")
        self.connection.execute("SELECT pg_advisory_xact_lock(460, 2)")
        self._take_roles()
        self.site = set(self._rows("SELECT kind, schema_name, object_name FROM lock_engine.site_object"))
        owners = giving_back.former_owners(self.connection)
        before = self._not_ours()
        self._drop_published()
        for schema in OWN_SCHEMAS:
            self._drop("SCHEMA", schema, cascade=True)
        if lost := sorted(before - self._not_ours()):
            raise InstallError(
                f"The site built upon what would be removed: {', '.join(lost[:10])}. "
                "Drop that first. Nothing was changed."
            )
        self._drop_stand_ins()
        self._empty_schemas()
        self.left += giving_back.give_back(self.connection, owners)
        self._revoke()
        for role in ROLES:
            self._drop_role(role)
        self._leave_roles()
        return Removal(tuple(self.removed), tuple(self.left))

    def _take_roles(self) -> None:
        """Let a DBA who is no superuser act as the owners, as the install did, until the end of this.

        _leave_roles takes it back for those roles that stay.
        """
        if self._rows("SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user")[0][0]:
            return
        options = " WITH INHERIT TRUE, SET TRUE" if self.connection.info.server_version >= 160000 else ""
        for (role,) in self._rows(
            "SELECT rolname FROM pg_catalog.pg_roles WHERE rolname = ANY(%s)", [list(ROLES)]
        ):
            name = sql.Identifier(role)
            self.connection.execute(sql.SQL("GRANT {} TO CURRENT_USER{}").format(name, sql.SQL(options)))
            self.taken.append(role)

    def _leave_roles(self) -> None:
        for (role,) in self._rows(
            "SELECT rolname FROM pg_catalog.pg_roles WHERE rolname = ANY(%s)", [self.taken]
        ):
            self.connection.execute(sql.SQL("REVOKE {} FROM CURRENT_USER").format(sql.Identifier(role)))

    def _rows(self, statement: LiteralString, parameters: Any = None) -> list[tuple[Any, ...]]:
        return giving_back.rows(self.connection, statement, parameters)

    def _not_ours(self) -> set[str]:
        names = [
            name
            for kind in ("table", "view", "function")
            for name in _ours(kind, "lock_monitoring", "monitoring")
        ]
        rows = self._rows(_NOT_OURS, {"schemas": [*OWN_SCHEMAS, "information_schema"], "names": names})
        return {words for (words,) in rows}

    def _is_sites(self, kind: str, full_name: str) -> bool:
        schema, name = full_name.split("(")[0].split(".")
        return (kind, schema, name) in self.site

    def _drop(self, kind: LiteralString, name: str, *, cascade: bool = False) -> None:
        target = sql.Identifier(*name.split("."))
        how = sql.SQL(" CASCADE" if cascade else "")
        self.connection.execute(sql.SQL("DROP {} IF EXISTS {}{}").format(sql.SQL(kind), target, how))
        self.removed.append(f"{kind.lower()} {name}")

    def _drop_published(self) -> None:
        """Drop what lies in schemas shared with the site."""
        functions = self._rows(
            """
            SELECT p.oid::regprocedure::text
            FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
            WHERE n.nspname || '.' || p.proname = ANY(%s)
            """,
            [_ours("function", "lock_monitoring", "monitoring")],
        )
        for view in _ours("view", "lock_monitoring", "monitoring"):
            self._drop("VIEW", view, cascade=True)
        for (signature,) in functions:
            self.connection.execute(sql.SQL("DROP ROUTINE IF EXISTS {} CASCADE").format(sql.SQL(signature)))
            self.removed.append(f"function {signature}")
        for table in reversed(_ours("table", "lock_monitoring", "monitoring")):
            if self._is_sites("relation", table):
                indexes = [
                    name for name in _ours("index", "lock_monitoring") if not self._is_sites("relation", name)
                ]
                self.left.append(giving_back.restore(self.connection, table, indexes))
            else:
                self._drop("TABLE", table, cascade=True)

    def _drop_stand_ins(self) -> None:
        for table in _STAND_INS["table"]:
            place = sql.Identifier(*table.split("."))
            if self._is_sites("relation", table):
                continue
            if owner := ownership.owner_of_others(self.connection, table):
                self.left.append(f"table {table}: it belongs to {owner}")
                continue
            others = self._rows(
                "SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_constraint WHERE confrelid = to_regclass(%s) "
                "AND contype = 'f')",
                [table],
            )[0][0]
            rows = self.connection.execute(
                sql.SQL("SELECT count(*) FROM {} WHERE record_source <> 'LOCK_MONITOR'").format(place)
            ).fetchone()
            if others or (rows and rows[0]):
                self.left.append(f"table {table}: it holds rows that somebody put there, or is referred to")
            else:
                self._drop("TABLE", table)
        for function in _STAND_INS["function"]:
            if self._is_sites("function", function):
                continue
            used = self._rows(
                "SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_depend WHERE refclassid = 'pg_proc'::regclass "
                "AND refobjid = to_regprocedure(%s) AND deptype = 'n')",
                [function],
            )[0][0]
            if used:
                self.left.append(f"function {function}: something that stays uses it")
            else:
                self.connection.execute(sql.SQL("DROP FUNCTION IF EXISTS {}").format(sql.SQL(function)))
                self.removed.append(f"function {function}")

    def _empty_schemas(self) -> None:
        for schema in SHARED_SCHEMAS:
            if ("schema", schema, schema) in self.site:
                continue
            holds = self._rows(
                """
                SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_class WHERE relnamespace = n.oid)
                    OR EXISTS (SELECT 1 FROM pg_catalog.pg_proc WHERE pronamespace = n.oid)
                FROM (SELECT to_regnamespace(%(schema)s)::oid AS oid) AS n
                """,
                {"schema": schema},
            )[0][0]
            if holds:
                self.left.append(f"schema {schema}: it holds something that stays")
            else:
                self._drop("SCHEMA", schema)

    def _revoke(self) -> None:
        """Take back what the product's roles were granted in this database."""
        for role in ROLES:
            owns = self._rows(
                """
                SELECT EXISTS (
                    SELECT 1
                    FROM pg_catalog.pg_shdepend AS s JOIN pg_catalog.pg_database AS d ON d.oid = s.dbid
                    WHERE s.refclassid = 'pg_authid'::regclass AND s.refobjid = to_regrole(%s)
                      AND s.deptype = 'o' AND d.datname = current_database())
                """,
                [role],
            )[0][0]
            if ("role", "", role) not in self.site and not owns:
                # It owns nothing here, so this takes back rights and drops nothing.
                self.connection.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(role)))
                continue
            for (statement,) in self._rows(_REVOKES, {"role": role, "schemas": list(SHARED_SCHEMAS)}):
                self.connection.execute(sql.SQL(statement))
        for (login,) in self._rows(
            """
            SELECT r.rolname
            FROM pg_catalog.pg_db_role_setting AS s
            JOIN pg_catalog.pg_roles AS r ON r.oid = s.setrole
            JOIN pg_catalog.pg_database AS d ON d.oid = s.setdatabase
            WHERE d.datname = current_database() AND 'role=lock_monitoring_role' = ANY(s.setconfig)
            """
        ):
            self.connection.execute(
                sql.SQL("ALTER ROLE {} IN DATABASE {} RESET role").format(
                    sql.Identifier(login), sql.Identifier(self.connection.info.dbname)
                )
            )
            self.left.append(f"login {login}: it may belong to more than the monitor")

    def _drop_role(self, role: str) -> None:
        if ("role", "", role) in self.site:
            self.left.append(f"role {role}: it was there before")
            return
        still = self._rows(
            """
            SELECT coalesce(string_agg(DISTINCT coalesce(d.datname, 'the cluster'), ', '), '')
            FROM pg_catalog.pg_shdepend AS s
            LEFT JOIN pg_catalog.pg_database AS d ON d.oid = s.dbid
            WHERE s.refclassid = 'pg_authid'::regclass AND s.refobjid = to_regrole(%s)
              AND s.classid <> 'pg_auth_members'::regclass
            """,
            [role],
        )[0][0]
        if still:
            self.left.append(f"role {role}: something in {still} still refers to it")
            return
        self._drop("ROLE", role)
