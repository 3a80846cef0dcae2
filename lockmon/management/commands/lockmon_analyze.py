"""Analyse the lock waits of the last hours."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from lockmon import vault
from lockmon.calls import vault as calls
from lockmon.management.vault_command import VaultCommand, positive, tenant_key


class Command(VaultCommand):
    """lock_monitoring.analyze_lock_waits() from a terminal."""

    help = "Analyse and store the lock waits of the last hours (analyze_lock_waits)."
    takes_tenant = True

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--hours", type=int, default=24, help="length of the period (default: 24)")

    def work(self, alias: str, **options: Any) -> int:
        hours = positive(options["hours"], "--hours")
        with vault.cursor(alias) as cursor:
            found = calls.analyze_lock_waits(cursor, tenant_key(cursor, options["tenant"]), hours)
        lines = []
        for row in found:
            lines.append(row.analysis_summary)
            lines += [f"- {text}" for text in row.recommendations or ()]
        self.emit(options, found, lines or ["There was nothing to analyse."])
        return 0
