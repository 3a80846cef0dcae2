"""What `make run` makes once inside the databases: logins, databases, the vault, tables, people."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from psycopg import sql

from onevault import web_place
from onevault.databases import EMBEDDED_LOGIN, EMBEDDED_VAULT, EMBEDDED_WEB
from onevault.embedded.account import EmbeddedError
from onevault.embedded.cluster import SUPERUSER, Cluster
from onevault.embedded.local import Local, State

DEMO_LOGIN = "onevault_demo"
DEMO_SCHEMA = "demo"


@dataclass(frozen=True)
class Person:
    """Somebody who can log in; `password` is None where it has been changed since it was made."""

    name: str
    rights: str
    password: str | None


# name, group (None: everything), what it may do
PEOPLE = (
    ("admin", None, "everything, also people and the task queue"),
    ("dba", "lock_admin_role", "sees everything, edits alerts and settings, stops sessions"),
    ("viewer", "lock_monitoring_role", "sees the pages, with literals in statements hidden"),
)


def databases(cluster: Cluster, state: State, *, with_vault: bool) -> None:
    """Make the logins and databases on the embedded cluster, where they are missing.

    with_vault: also the vault's database and what the demo needs, not Django's alone.
    """
    from lockmon.install import connect

    with connect(cluster.conninfo()) as connection:
        logins = [(EMBEDDED_LOGIN, state.app_password), (DEMO_LOGIN, state.demo_password)]
        for name, password in logins if with_vault else logins[:1]:
            if connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [name]).fetchone():
                continue
            # The server's log holds DDL: of the password it gets only the verifier.
            verifier = connection.pgconn.encrypt_password(password.encode(), name.encode(), b"scram-sha-256")
            connection.execute(
                sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(
                    sql.Identifier(name), sql.Literal(verifier.decode())
                )
            )
        wanted = [(EMBEDDED_WEB, EMBEDDED_LOGIN), (EMBEDDED_VAULT, SUPERUSER)]
        for name, owner in wanted if with_vault else wanted[:1]:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
                connection.execute(
                    sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(name), sql.Identifier(owner))
                )
    if not with_vault:
        return
    with connect(cluster.conninfo(EMBEDDED_VAULT)) as connection:
        connection.execute(
            sql.SQL("CREATE SCHEMA IF NOT EXISTS {} AUTHORIZATION {}").format(
                sql.Identifier(DEMO_SCHEMA), sql.Identifier(DEMO_LOGIN)
            )
        )


def vault(cluster: Cluster) -> None:
    """Install the database side into the embedded vault and let the application's login in."""
    from lockmon.install import InstallError, connect, grant_login, install_on

    try:
        with connect(cluster.conninfo(EMBEDDED_VAULT)) as connection:
            install_on(connection)
            grant_login(connection, EMBEDDED_LOGIN)
    except InstallError as error:
        raise EmbeddedError(str(error)) from error


def require_vault() -> str | None:
    """Why the database of VAULT_DATABASE_URL cannot be asked whether it holds the vault; None if it does.

    EmbeddedError with what to do where it answers and does not, or where nobody could log in without it.
    """
    from django.conf import settings
    from django.db import OperationalError

    from lockmon import vault as connections_to_vault

    try:
        with connections_to_vault.cursor() as cursor:
            cursor.execute("SELECT to_regprocedure('lock_monitoring.run_lock_monitoring(bytea)') IS NOT NULL")
            installed = bool(cursor.fetchone()[0])
    except OperationalError as error:
        told = f"The database of VAULT_DATABASE_URL cannot be reached: {_reason(error)}."
        if settings.WEB_PLACE == web_place.VAULT:
            raise EmbeddedError(told) from error
        return told
    if not installed:
        raise EmbeddedError(
            "The database of VAULT_DATABASE_URL has no vault, or the login may not use it: run, as a DBA, "
            "'.venv/bin/python manage.py lockmon_deploy --dsn postgresql://dba@host/name "
            "--login NAME'."
        )
    return None


def _reason(error: Exception) -> str:
    return str(error).strip().splitlines()[-1].strip().rstrip(".")


def web_tables(static: Path) -> None:
    """Bring Django's tables and the collected static files up to date. Django is set up."""
    from django.core.management import CommandError, call_command
    from django.db import OperationalError

    try:
        call_command("migrate", interactive=False, verbosity=0)
    except CommandError as error:
        raise EmbeddedError(str(error)) from error
    except OperationalError as error:
        raise EmbeddedError(f"Django's own database cannot be reached: {_reason(error)}.") from error
    static.mkdir(parents=True, exist_ok=True)
    call_command("collectstatic", interactive=False, verbosity=0, clear=True)


def people(local: Local) -> list[Person]:
    """Make the three people where they are missing, with a password each that is kept in `local`."""
    from django.contrib.auth.models import Group, User

    found = []
    for name, group, rights in PEOPLE:
        password = local.password(name)
        user, made = User.objects.get_or_create(
            username=name, defaults={"is_staff": True, "is_superuser": group is None}
        )
        if made:
            user.set_password(password)
            user.save()
            if group is not None:
                user.groups.add(Group.objects.get_or_create(name=group)[0])
        found.append(Person(name, rights, password if user.check_password(password) else None))
    return found
