"""Say that this database is the place of its vault: after pg_upgrade, or where a copy replaces it."""

from __future__ import annotations

import getpass
from argparse import ArgumentParser
from typing import Any

from lockmon import vault
from lockmon.calls import home
from lockmon.management.vault_command import VaultCommand


class Command(VaultCommand):
    """Arm a vault that finds itself in another database than its own, or disarm one; the vault keeps who
    did."""

    help = (
        "Let policies act and alerts be sent in this database, which the vault does not know as its own "
        "(a restored dump, a copy made with TEMPLATE, a server after pg_upgrade). Only where the original "
        "acts no longer."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.epilog = "Exit code: 0 done, or this was its place already; 1 an error (one sentence)."
        parser.add_argument("--reason", required=True, help="why; it is kept in lock_engine.home")
        parser.add_argument(
            "--disarm",
            action="store_true",
            help="the opposite: nothing acts by itself here until it is adopted (a clone of the files)",
        )

    def work(self, alias: str, **options: Any) -> int:
        by = getpass.getuser()
        with vault.admin_transaction(alias) as cursor:
            if options["disarm"]:
                done = home.Adopted(True, home.disarm(cursor, options["reason"], by))
            else:
                done = home.adopt(cursor, options["reason"], by)
        self.emit(options, [done], [done.message])
        return 0
