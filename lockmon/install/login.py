"""Letting the application's login in: the reading role by default, the admin role only on purpose."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg
from psycopg import sql

from lockmon.install.apply import Connection, InstallError

READING_ROLE = "lock_monitoring_role"
ADMIN_ROLE = "lock_admin_role"


@dataclass(frozen=True)
class LoginGrant:
    """What was done for a login."""

    login: str
    created: bool
    password_set: bool
    database: str


def grant_login(
    connection: Connection, login: str, password: str | None = None, *, admin: bool = True
) -> LoginGrant:
    """Make the login if there is none and let it work for the monitor in this connection's database.

    It gets lock_monitoring_role as its role from the moment it connects to this database, and may take
    lock_admin_role with SET ROLE (not with `admin=False`). It inherits neither. The password goes to the
    server as a SCRAM verifier, never in clear text: the server's log may hold DDL. The login's name is added
    to the setting monitor.own_logins, by which the monitor knows itself. Raises InstallError with one
    sentence; then nothing was changed.
    """
    database = connection.info.dbname
    name = sql.Identifier(login)
    roles = [READING_ROLE, ADMIN_ROLE] if admin else [READING_ROLE]
    try:
        with connection.transaction():
            known = connection.execute(
                "SELECT rolcanlogin, rolsuper FROM pg_catalog.pg_roles WHERE rolname = %s", [login]
            ).fetchone()
            if known is not None and known[1]:
                raise InstallError(
                    f'"{login}" is a superuser: give the application a login of its own. Nothing was changed.'
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
            # whoever it says it acts for counts as that person (two-person rule, denied attempts)
            connection.execute(
                "INSERT INTO lock_admin.application_login (login) VALUES (%s) ON CONFLICT DO NOTHING", [login]
            )
    except psycopg.Error as error:
        message = (error.diag.message_primary or str(error)).rstrip(".")
        raise InstallError(f'"{login}" was not let in: {message}. Nothing was changed.') from error
    return LoginGrant(login, known is None, bool(password), database)


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
