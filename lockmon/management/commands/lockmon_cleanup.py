"""Delete history that ended long ago."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from lockmon.management.vault_command import VaultCommand, positive
from lockmon.retention import clean
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
        rows = clean(alias, days)
        self.emit(options, rows, [f"{row.cleanup_summary}: {row.records_cleaned:,}" for row in rows])
        return 0
