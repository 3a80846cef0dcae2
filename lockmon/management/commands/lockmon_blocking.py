"""Who blocks others now, worst first."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from lockmon import vault
from lockmon.calls import vault as calls
from lockmon.management.vault_command import EXIT_FOUND, VaultCommand, positive, tenant_key
from lockmon.views.words import RANK, duration, some


class Command(VaultCommand):
    """lock_monitoring.detect_blocking_sessions() from a terminal."""

    help = "Show who blocks others now, worst first (detect_blocking_sessions)."
    takes_tenant = True

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--min-seconds", type=int, default=0, help="only blocks of at least so long (default: 0)"
        )
        parser.add_argument(
            "--fail-on", choices=list(RANK), help="exit with 3 if one is at least this severe"
        )

    def work(self, alias: str, **options: Any) -> int:
        least = positive(options["min_seconds"], "--min-seconds", 0)
        with vault.cursor(alias) as cursor:
            found = calls.detect_blocking_sessions(cursor, tenant_key(cursor, options["tenant"]), least)
        lines = [
            f"{row.blocking_severity:<8}  {who(row.blocking_session_id)}: "
            f"{some(row.blocked_sessions_count, 'session')} behind it for "
            f"{duration(row.blocking_duration_seconds)}. {row.recommended_action}"
            for row in found
        ]
        self.emit(options, found, lines or ["Nobody is blocking anybody."])
        limit = options["fail_on"]
        if limit and any(RANK.get(row.blocking_severity, 0) >= RANK[limit] for row in found):
            return EXIT_FOUND
        return 0


def who(pid: int) -> str:
    """Return "pid 4711", or what pid 0 stands for."""
    return f"pid {pid}" if pid else "a prepared transaction"
