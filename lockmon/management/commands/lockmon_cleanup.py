"""Delete history that ended long ago."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from lockmon import vault
from lockmon.calls import coverage
from lockmon.calls import vault as calls
from lockmon.management.vault_command import VaultCommand, positive
from lockmon.tasks import DEFAULT_RETENTION_DAYS


class Command(VaultCommand):
    """lock_monitoring.cleanup_old_data() from a terminal, as lock_admin_role."""

    help = "Delete history that ended more than so many days ago (cleanup_old_data)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--days",
            type=int,
            default=DEFAULT_RETENTION_DAYS,
            help=f"keep so many days (default: {DEFAULT_RETENTION_DAYS})",
        )

    def work(self, alias: str, **options: Any) -> int:
        days = positive(options["days"], "--days")
        with vault.admin_transaction(alias) as cursor:
            rows = calls.cleanup_old_data(cursor, days)
        with vault.admin_transaction(alias) as cursor:
            rows.append(
                calls.Cleaned("coverage of the monitor itself", coverage.forget_coverage(cursor, days))
            )
        self.emit(options, rows, [f"{row.cleanup_summary}: {row.records_cleaned:,}" for row in rows])
        return 0
