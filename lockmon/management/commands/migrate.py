"""Django's migrate, kept away from monitored databases."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import CommandError
from django.core.management.commands.migrate import Command as DjangoMigrate
from django.db import DEFAULT_DB_ALIAS, OperationalError, connections, transaction

from lockmon.management import web_schema


class Command(DjangoMigrate):
    """Migrates Django's own tables; makes their schema first where they live beside the vault."""

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Refuse a vault alias, before any check; else migrate."""
        database = options["database"]
        if database in connections.databases and database != DEFAULT_DB_ALIAS:
            raise CommandError(
                f"The alias '{database}' is a monitored database: nothing is migrated there, "
                "its side of the monitor is deployed by 'manage.py lockmon_deploy'."
            )
        return super().execute(*args, **options)

    def handle(self, *args: Any, **options: Any) -> str | None:
        """Make the schema for Django's tables if need be, move those of an older release there, migrate."""
        if schema := settings.WEB_TABLES_SCHEMA:
            moved = web_schema.prepare(schema, alone=settings.WEB_SCHEMA is None)
            if moved and options["verbosity"] > 0:
                self.stdout.write(
                    f"{moved} tables were moved from the schema public to {schema}, in which nobody else may "
                    "create: restart what runs."
                )
        else:
            self._let_owner_create()
        return super().handle(*args, **options)

    @staticmethod
    def _let_owner_create() -> None:
        """Give a database's owner what it owns.

        Before PostgreSQL 16 the application's login inherits nothing, not even the rights of
        pg_database_owner, to which the schema public belongs from 15 on.
        """
        connection = connections[DEFAULT_DB_ALIAS]
        if connection.vendor != "postgresql":
            return
        try:
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT 1 FROM pg_catalog.pg_namespace AS n"
                    " JOIN pg_catalog.pg_database AS d ON d.datname = pg_catalog.current_database()"
                    " JOIN pg_catalog.pg_roles AS o ON o.oid = n.nspowner AND o.rolname = 'pg_database_owner'"
                    " JOIN pg_catalog.pg_roles AS r ON r.oid = d.datdba AND r.rolname = current_user"
                    " WHERE n.nspname = 'public' AND NOT pg_catalog.has_schema_privilege(n.oid, 'CREATE')"
                )
                if cursor.fetchone() is None:
                    return
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SELECT pg_catalog.quote_ident(current_user)")
                (login,) = cursor.fetchone()
                cursor.execute("SET LOCAL ROLE pg_database_owner")
                cursor.execute(f"GRANT USAGE, CREATE ON SCHEMA public TO {login}")
        except OperationalError:
            return  # migrate itself says that the database cannot be reached
