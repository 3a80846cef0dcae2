"""The schema that Django's own tables are in, and moving there what an older release made in ``public``."""

from __future__ import annotations

from django.apps import apps
from django.core.management.base import CommandError
from django.db import DEFAULT_DB_ALIAS, OperationalError, ProgrammingError, connections, transaction

OLD_SCHEMA = "public"


def prepare(name: str, *, alone: bool) -> int:
    """Make the schema if there is none and move the tables of an older release there; returns how many.

    alone: whether the database is Django's alone; psql and an older release then find the tables there, too.
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
    """Add the schema to what the database's other sessions look through, last, where the login may say so."""
    connection = connections[DEFAULT_DB_ALIAS]
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT d.datname::text
            FROM pg_catalog.pg_database AS d
            WHERE d.datname = pg_catalog.current_database()
              AND pg_catalog.pg_get_userbyid(d.datdba) = current_user
              AND NOT EXISTS (
                  SELECT 1 FROM pg_catalog.pg_db_role_setting AS s
                  CROSS JOIN LATERAL pg_catalog.unnest(s.setconfig) AS c
                  WHERE s.setdatabase = d.oid AND s.setrole = 0 AND c LIKE 'search_path=%%')
            """,
            [],
        )
        if found := cursor.fetchone():
            quote = connection.ops.quote_name
            cursor.execute(
                f'ALTER DATABASE {quote(found[0])} SET search_path = "$user", {OLD_SCHEMA}, {quote(name)}'
            )


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
            raise CommandError(
                f"The tables of an older release are in the schema {OLD_SCHEMA} and belong to {owner}: "
                f"let {owner} or a DBA run ALTER TABLE {OLD_SCHEMA}.{table} SET SCHEMA {name}; "
                f"for each of {', '.join(table for table, _owner in others)}; then migrate again."
            )
        for table, _owner, _mine in old:
            quote = connection.ops.quote_name
            cursor.execute(f"ALTER TABLE {OLD_SCHEMA}.{quote(table)} SET SCHEMA {quote(name)}")
    return len(old)
