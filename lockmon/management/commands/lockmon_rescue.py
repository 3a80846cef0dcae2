"""Which sessions to stop, and in which order, so that most go on soonest."""

from __future__ import annotations

from typing import Any

from lockmon import vault
from lockmon.calls import catalog
from lockmon.management.vault_command import VaultCommand


class Command(VaultCommand):
    """lock_admin.rescue_plan() from a terminal; it stops nobody."""

    help = "Say which sessions to stop, one after the other, so that most go on soonest. It stops nobody."

    def work(self, alias: str, **options: Any) -> int:
        with vault.cursor(alias) as cursor:
            plan = catalog.rescue_plan(cursor)
        lines = []
        for row in plan:
            lines.append(row.text)
            if row.step is not None:
                cancel = " --cancel" if row.action == "cancel" else ""
                lines.append(f"    manage.py lockmon_terminate {row.pid}{cancel} --reason '...'")
        self.emit(options, plan, lines or ["Nobody is waiting."])
        return 0
