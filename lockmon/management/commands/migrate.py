"""Django's migrate, kept away from monitored databases."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError
from django.core.management.commands.migrate import Command as DjangoMigrate
from django.db import DEFAULT_DB_ALIAS, connections

from lockmon.management import web_schema
from onevault import web_place


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
        schema = settings.WEB_TABLES_SCHEMA
        if schema and connections[DEFAULT_DB_ALIAS].vendor == "postgresql":
            moved = web_schema.prepare(schema, alone=settings.WEB_SCHEMA is None)
            if moved and options["verbosity"] > 0:
                self.stdout.write(
                    f"{moved} tables were moved from the schema public to {schema}, in which nobody else may "
                    "create: restart what runs."
                )
        with _alone():
            return super().handle(*args, **options)


def _alone() -> contextlib.AbstractContextManager[None]:
    """Two that begin at once on a file wait for each other: each would make the tables that are missing."""
    local = Path(settings.LOCAL_DIR)
    if connections[DEFAULT_DB_ALIAS].settings_dict["NAME"] != str(web_place.sqlite_file(local)):
        return contextlib.nullcontext()
    return web_place.alone(local)
