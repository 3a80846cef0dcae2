"""One full monitoring cycle."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from lockmon import vault
from lockmon.calls import vault as calls
from lockmon.management.vault_command import EXIT_FOUND, EXIT_SKIPPED, VaultCommand, tenant_key


class Command(VaultCommand):
    """lock_monitoring.run_lock_monitoring() from a terminal."""

    help = "Run one full monitoring cycle (run_lock_monitoring). The resident loop does this by itself."
    takes_tenant = True

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--fail-on-critical", action="store_true", help="exit with 3 on critical issues")

    def work(self, alias: str, **options: Any) -> int:
        with vault.cursor(alias) as cursor:
            cycle = calls.run_lock_monitoring(cursor, tenant_key(cursor, options["tenant"]))
        lines = [cycle.monitoring_summary, *(f"- {text}" for text in cycle.recommendations or ())]
        self.emit(options, [cycle], lines)
        if cycle.skipped:
            return EXIT_SKIPPED
        return EXIT_FOUND if options["fail_on_critical"] and cycle.critical_issues else 0
