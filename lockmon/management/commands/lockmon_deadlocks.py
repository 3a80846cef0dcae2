"""Deadlocks: those of now, and the latest stored ones."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.utils import timezone

from lockmon import vault
from lockmon.calls import deadlocks as calls
from lockmon.management.vault_command import EXIT_FOUND, VaultCommand, positive, tenant_key


class Command(VaultCommand):
    """lock_monitoring.detect_deadlocks() and the history from a terminal."""

    help = "Look for deadlocks now (detect_deadlocks) and show the latest stored ones."
    takes_tenant = True

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--last", type=int, default=10, help="so many stored ones, latest first (default: 10)"
        )
        parser.add_argument("--fail-on-new", action="store_true", help="exit with 3 if one was detected now")

    def work(self, alias: str, **options: Any) -> int:
        limit = positive(options["last"], "--last", 0)
        with vault.cursor(alias) as cursor:
            now = calls.detect_deadlocks(cursor, tenant_key(cursor, options["tenant"]))
            stored = calls.list_deadlocks(cursor, None, limit) if limit else []
        pids = ", ".join(str(pid) for pid in now.involved_sessions)
        lines = [
            f"{now.severity}: deadlock between {pids}. {now.action}" if now.detected else "No deadlock now."
        ]
        for event in stored:
            victim = f"victim {event.victim_pid}" if event.victim_pid else "victim unknown"
            names = ", ".join(str(pid) for pid in event.pids)
            when = timezone.localtime(event.happened_at)
            lines.append(f"{when:%Y-%m-%d %H:%M:%S}  between {names}, {victim}  {', '.join(event.tables)}")
        self.emit(options, [now, *stored], lines)
        return EXIT_FOUND if options["fail_on_new"] and now.detected else 0
