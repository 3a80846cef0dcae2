"""Remove the database side, after saying what is lost."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser
from typing import Any

import psycopg
from django.core.management.base import BaseCommand, CommandError

from lockmon import install
from lockmon.management.commands.lockmon_deploy import DSN_VARIABLE


class Command(BaseCommand):
    """``manage.py lockmon_uninstall --dsn postgresql://dba@host/one_vault [--yes]``"""

    help = (
        "Remove the monitor's schemas, tables, functions and roles, with all history in them. What the site "
        "had before stays."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the options."""
        parser.add_argument(
            "--dsn",
            default=os.environ.get(DSN_VARIABLE),
            help=f"the DBA's connection (URL or libpq words); default: ${DSN_VARIABLE}",
        )
        parser.add_argument("--yes", action="store_true", help="do not ask: for scripts")

    def handle(self, *args: Any, **options: Any) -> None:
        """Say what is lost, ask, remove, say what was left."""
        if not options["dsn"]:
            raise CommandError(f"Say which database: --dsn postgresql://dba@host/name, or ${DSN_VARIABLE}.")
        try:
            with install.connect(options["dsn"]) as connection:
                self._remove(connection, sure=options["yes"])
        except install.InstallError as error:
            raise CommandError(str(error)) from error
        except psycopg.Error as error:
            raise CommandError(f"The database refused: {str(error).splitlines()[0]}.") from error

    def _remove(self, connection: install.Connection, *, sure: bool) -> None:
        database = connection.info.dbname
        losses = install.what_is_lost(connection)
        if not losses:
            raise CommandError(f"The monitor is not installed in {database}. Nothing was changed.")
        filled = [loss for loss in losses if loss.rows]
        self.stdout.write(f"This removes One Vault lock monitor from {database}. It cannot be undone.")
        self.stdout.write(f"{len(losses)} tables go, with {sum(loss.rows for loss in losses):,} rows:")
        width = max((len(loss.table) for loss in filled), default=0)
        for loss in filled:
            self.stdout.write(f"  {loss.table:<{width}}  {loss.rows:>12,}")
        if not sure:
            self._ask(database)
        removal = install.remove(connection)
        self.stdout.write(f"Removed from {database}: {len(removal.removed)} objects.")
        for words in removal.left:
            self.stdout.write(f"Left: {words}.")

    def _ask(self, database: str) -> None:
        if not sys.stdin.isatty():
            raise CommandError("Nobody is here to confirm: say --yes. Nothing was changed.")
        self.stdout.write(
            f"Type the database's name ({database}) to remove it, anything else to keep it: ", ending=""
        )
        self.stdout.flush()
        if sys.stdin.readline().strip() != database:
            raise CommandError("Not confirmed. Nothing was changed.")
