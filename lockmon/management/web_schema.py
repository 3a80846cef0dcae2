"""The schema that Django's own tables are in, and moving there what an older release made in ``public``."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.core.management.base import CommandError
from django.db import DEFAULT_DB_ALIAS, OperationalError, ProgrammingError, connections, transaction

OLD_SCHEMA = "public"


def prepare(name: str, *, alone: bool) -> int:
    """Make the schema if there is none and move the tables of an older release there; returns how many.

    alone: whether the tables have a database or at least a login of their own, so that psql and an older
    release, which set no search path, are told where they are.
    Raises CommandError with one sentence; then nothing was changed.
    """
    connection = connections[DEFAULT_DB_ALIAS]
    login = connection.settings_dict["USER"]
    try:
        with transaction.atomic(using=DEFAULT_DB_ALIAS):
            _make(name)
            if alone:
                _let_be_found(name)
            return _move(name)
    except ProgrammingError as error:
        raise CommandError(
            f"{login} may not make the schema {name} for Django's tables, or not use it: "
            f"let a DBA run CREATE SCHEMA {name} AUTHORIZATION {login}; (or lockmon_deploy --web-schema), "
            "or name another database in DATABASE_URL."
        ) from error
    except OperationalError as error:
        raise CommandError(
            f"The database cannot be reached: {str(error).strip().splitlines()[-1]}"
        ) from error


def _make(name: str) -> None:
    connection = connections[DEFAULT_DB_ALIAS]
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT r.rolname, r.rolsuper OR r.rolname = current_user
            FROM pg_catalog.pg_namespace AS n JOIN pg_catalog.pg_roles AS r ON r.oid = n.nspowner
            WHERE n.nspname = %s
            """,
            [name],
        )
        found = cursor.fetchone()
        if found is None:
            cursor.execute(f"CREATE SCHEMA {connection.ops.quote_name(name)}")
        elif not found[1]:
            raise CommandError(
                f"The schema {name} belongs to {found[0]}, whose code would run in the pages' statements: "
                f"let a DBA run ALTER SCHEMA {name} OWNER TO {connection.settings_dict['USER']};"
            )


def _let_be_found(name: str) -> None:
    """Add the schema to what other sessions of this login look through in this database, last.

    Not for the whole database: it may be others', too. Where the login works as another role that is left
    alone.
    """
    connection = connections[DEFAULT_DB_ALIAS]
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT pg_catalog.current_database()::text, session_user::text, coalesce(
                (SELECT pg_catalog.substr(c, pg_catalog.length('search_path=') + 1)
                   FROM pg_catalog.pg_db_role_setting AS s
                   JOIN pg_catalog.pg_database AS d
                     ON d.datname = pg_catalog.current_database() AND s.setdatabase IN (0, d.oid)
                   JOIN pg_catalog.pg_roles AS r ON r.rolname = session_user AND s.setrole IN (0, r.oid)
                  CROSS JOIN LATERAL pg_catalog.unnest(s.setconfig) AS c
                  WHERE c LIKE 'search_path=%%'
                  ORDER BY s.setrole <> 0 DESC, s.setdatabase <> 0 DESC LIMIT 1), %s)
            WHERE session_user = current_user
            """,
            [f'"$user", {OLD_SCHEMA}'],
        )
        found = cursor.fetchone()
        if found is None or name in (word.strip(' "') for word in found[2].split(",")):
            return
        database, login, path = found
        quote = connection.ops.quote_name
        # whatever others have put into that path, PostgreSQL itself reads it; it never gets into a statement
        cursor.execute("SELECT pg_catalog.current_setting('search_path')")
        (ours,) = cursor.fetchone()
        change = "SELECT pg_catalog.set_config('search_path', %s, true)"
        cursor.execute(change, [f"{path}, {quote(name)}" if path else quote(name)])
        cursor.execute(
            f"ALTER ROLE {quote(login)} IN DATABASE {quote(database)} SET search_path FROM CURRENT"
        )
        cursor.execute(change, [ours])


def _move(name: str) -> int:
    connection = connections[DEFAULT_DB_ALIAS]
    wanted = {"django_migrations", *connection.introspection.django_table_names()}
    # other applications have tables named django_migrations or auth_user in public, too
    ours = {
        model._meta.db_table for model in apps.get_app_config("lockmon").get_models() if model._meta.managed
    }
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT c.relname, pg_catalog.pg_get_userbyid(c.relowner), n.nspname = %(old)s,
                   pg_catalog.pg_get_userbyid(c.relowner) = current_user
            FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
            WHERE c.relkind = 'r' AND n.nspname IN (%(old)s, %(new)s) AND c.relname = ANY (%(names)s)
            ORDER BY c.relname
            """,
            {"old": OLD_SCHEMA, "new": name, "names": sorted(wanted)},
        )
        found = cursor.fetchall()
        there = {table for table, _owner, is_old, _mine in found if not is_old}
        old = [(table, owner, mine) for table, owner, is_old, mine in found if is_old]
        if "django_migrations" in there or not ours & {table for table, _owner, _mine in old}:
            return 0
        if others := [(table, owner) for table, owner, mine in old if not mine]:
            table, owner = others[0]
            login = connection.settings_dict["USER"]
            raise CommandError(
                f"The tables of an older release are in the schema {OLD_SCHEMA} and belong to {owner}: "
                f"let a DBA run ALTER TABLE {OLD_SCHEMA}.{table} OWNER TO {login}; for each of "
                f"{', '.join(table for table, _owner in others)}; then migrate again."
            )
        if theirs := _other_applications(cursor):
            raise CommandError(
                f"The tables in the schema {OLD_SCHEMA} are another Django application's, too "
                f"({', '.join(theirs)}): leave them there with ?options=-c%20search_path%3D{OLD_SCHEMA} at "
                "the end of DATABASE_URL, or name a database of its own there. Nothing was changed."
            )
        for table, _owner, _mine in old:
            quote = connection.ops.quote_name
            cursor.execute(f"ALTER TABLE {OLD_SCHEMA}.{quote(table)} SET SCHEMA {quote(name)}")
    return len(old)


def _other_applications(cursor: Any) -> list[str]:
    """Applications that are none of ours and keep their migrations in the older release's table."""
    cursor.execute(
        "SELECT DISTINCT m.app FROM public.django_migrations AS m WHERE m.app <> ALL (%s) ORDER BY 1",
        [[config.label for config in apps.get_app_configs()]],
    )
    return [str(label) for (label,) in cursor.fetchall()]
