"""Letting the application's login in: the reading role by default, the admin role only on purpose."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg
from psycopg import sql

from lockmon.install import ownership
from lockmon.install.apply import Connection, InstallError

READING_ROLE = "lock_monitoring_role"
ASK_SITE = "lock_engine.ask_site(boolean)"
ADMIN_ROLE = "lock_admin_role"


@dataclass(frozen=True)
class LoginGrant:
    """What was done for a login."""

    login: str
    created: bool
    password_set: bool
    database: str


def grant_login(
    connection: Connection,
    login: str,
    password: str | None = None,
    *,
    admin: bool = True,
    tenants_only: bool = False,
) -> LoginGrant:
    """Make the login if there is none and let it work for the monitor in this connection's database.

    It gets lock_monitoring_role as its role from the moment it connects to this database, and may take
    lock_admin_role with SET ROLE (not with `admin=False`). It inherits neither. With `tenants_only` it gets
    no role, and the right to call lock_engine.ask_site(), in which code of the platform's owner might run:
    so it must have nothing to give. The password goes to the server as a SCRAM verifier, never in clear text:
    the server's log may hold DDL. The login's name is added to the setting monitor.own_logins, by which the
    monitor knows itself. Raises InstallError with one
    sentence; then nothing was changed.
    """
    database = connection.info.dbname
    name = sql.Identifier(login)
    roles = [READING_ROLE, ADMIN_ROLE] if admin else [READING_ROLE]
    if tenants_only:
        roles = []
    try:
        with ownership.pinned(connection):
            known = connection.execute(
                "SELECT rolcanlogin, rolsuper FROM pg_catalog.pg_roles WHERE rolname = %s", [login]
            ).fetchone()
            if known is not None and known[1]:
                raise InstallError(
                    f'"{login}" is a superuser: give the application a login of its own. Nothing was changed.'
                )
            if login in (*ownership.OWNERS, READING_ROLE, ADMIN_ROLE):
                raise InstallError(
                    f'"{login}" is a role of the monitor\'s own, which nobody logs in as: '
                    "give the application a login of its own. Nothing was changed."
                )
            if known is None and not password:
                raise InstallError(
                    f'There is no login "{login}" yet and no password was given for it. Nothing was changed.'
                )
            if known is None:
                connection.execute(sql.SQL("CREATE ROLE {} LOGIN NOINHERIT").format(name))
            elif not known[0]:
                connection.execute(sql.SQL("ALTER ROLE {} LOGIN").format(name))
            if password:
                verifier = connection.pgconn.encrypt_password(
                    password.encode(), login.encode(), b"scram-sha-256"
                )
                connection.execute(
                    sql.SQL("ALTER ROLE {} PASSWORD {}").format(name, sql.Literal(verifier.decode()))
                )
            for role in roles:
                _grant(connection, role, login)
            connection.execute(
                sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(sql.Identifier(database), name)
            )
            if tenants_only:
                _refuse_rights(connection, login)
                connection.execute(sql.SQL("GRANT USAGE ON SCHEMA lock_engine TO {}").format(name))
                connection.execute(
                    sql.SQL("GRANT EXECUTE ON FUNCTION {} TO {}").format(sql.SQL(ASK_SITE), name)
                )
            else:
                connection.execute(
                    sql.SQL("ALTER ROLE {} IN DATABASE {} SET role = {}").format(
                        name, sql.Identifier(database), sql.Literal(READING_ROLE)
                    )
                )
            connection.execute(
                """
                UPDATE lock_admin.setting AS s
                SET value = s.value || to_jsonb(%(login)s::text)
                WHERE s.name = 'monitor.own_logins' AND NOT s.value ? %(login)s
                """,
                {"login": login},
            )
            if not tenants_only:
                # whoever it says it acts for counts as that person (two-person rule, denied attempts)
                connection.execute(
                    "INSERT INTO lock_admin.application_login (login) VALUES (%s) ON CONFLICT DO NOTHING",
                    [login],
                )
    except psycopg.Error as error:
        message = (error.diag.message_primary or str(error)).rstrip(".")
        raise InstallError(f'"{login}" was not let in: {message}. Nothing was changed.') from error
    return LoginGrant(login, known is None, bool(password), database)


def _refuse_rights(connection: Connection, login: str) -> None:
    """A login that reads tables of others must be nobody: no membership, no attribute, nothing it owns or
    was given."""
    found = connection.execute(
        """
        SELECT string_agg(x.what, ', ' ORDER BY x.what)
        FROM pg_catalog.pg_roles AS r
        CROSS JOIN LATERAL (
            SELECT 'is a member of ' || g.rolname AS what
            FROM pg_catalog.pg_auth_members AS m JOIN pg_catalog.pg_roles AS g ON g.oid = m.roleid
            WHERE m.member = r.oid
            UNION ALL SELECT 'may make roles' WHERE r.rolcreaterole
            UNION ALL SELECT 'may make databases' WHERE r.rolcreatedb
            UNION ALL SELECT 'may replicate' WHERE r.rolreplication
            UNION ALL SELECT 'bypasses row security' WHERE r.rolbypassrls
            UNION ALL SELECT 'owns things' WHERE EXISTS (
                SELECT 1 FROM pg_catalog.pg_shdepend AS d
                WHERE d.refclassid = 'pg_catalog.pg_authid'::regclass AND d.refobjid = r.oid
                AND d.deptype = 'o')
            UNION ALL SELECT 'was given rights on other things' WHERE EXISTS (
                SELECT 1 FROM pg_catalog.pg_shdepend AS d
                WHERE d.refclassid = 'pg_catalog.pg_authid'::regclass AND d.refobjid = r.oid
                AND d.deptype = 'a'
                AND NOT (d.classid = 'pg_catalog.pg_database'::regclass
                         AND d.objid = (SELECT b.oid FROM pg_catalog.pg_database AS b
                                        WHERE b.datname = pg_catalog.current_database()))
                -- what this command gave it before
                AND NOT (d.dbid = (SELECT b.oid FROM pg_catalog.pg_database AS b
                                   WHERE b.datname = pg_catalog.current_database())
                         AND d.objid IN ((SELECT n.oid FROM pg_catalog.pg_namespace AS n
                                          WHERE n.nspname = 'lock_engine'),
                                         (SELECT p.oid FROM pg_catalog.pg_proc AS p
                                          JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
                                          WHERE n.nspname = 'lock_engine' AND p.proname = 'ask_site'))))
        ) AS x
        WHERE r.rolname = %s
        """,
        [login],
    ).fetchone()
    if found is not None and found[0] is not None:
        raise InstallError(
            f'"{login}" {found[0]}: for the tenants take a login that has nothing. Nothing was changed.'
        )


def _grant(connection: Connection, role: str, login: str) -> None:
    """Membership without inheritance: 16 and later say so per grant, earlier ones per role."""
    words = {"role": sql.Identifier(role), "login": sql.Identifier(login)}
    if connection.info.server_version >= 160000:
        connection.execute(sql.SQL("GRANT {role} TO {login} WITH INHERIT FALSE, SET TRUE").format(**words))
        return
    # Before 16 inheritance belongs to the role: only one that the monitor alone uses may lose it.
    others = connection.execute(
        """
        SELECT string_agg(r.rolname, ', ' ORDER BY r.rolname)
        FROM pg_catalog.pg_auth_members AS a
        JOIN pg_catalog.pg_roles AS r ON r.oid = a.roleid
        JOIN pg_catalog.pg_roles AS m ON m.oid = a.member
        WHERE m.rolname = %s AND m.rolinherit AND r.rolname <> ALL(%s)
        """,
        [login, [READING_ROLE, ADMIN_ROLE]],
    ).fetchone()
    if others is not None and others[0] is not None:
        raise InstallError(
            f'"{login}" inherits the rights of {others[0]}; before PostgreSQL 16 it would lose them: '
            "give the application a login of its own. Nothing was changed."
        )
    connection.execute(sql.SQL("ALTER ROLE {login} NOINHERIT").format(**words))
    connection.execute(sql.SQL("GRANT {role} TO {login}").format(**words))
