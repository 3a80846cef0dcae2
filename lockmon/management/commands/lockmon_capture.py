"""Store all locks that are held or wanted now."""

from __future__ import annotations

from typing import Any

from lockmon import vault
from lockmon.calls import vault as calls
from lockmon.management.vault_command import VaultCommand, tenant_key
from lockmon.views.words import some


class Command(VaultCommand):
    """lock_monitoring.capture_lock_activity() from a terminal."""

    help = "Store all locks that are held or wanted now (capture_lock_activity)."
    takes_tenant = True

    def work(self, alias: str, **options: Any) -> int:
        with vault.cursor(alias) as cursor:
            found = calls.capture_lock_activity(cursor, tenant_key(cursor, options["tenant"]))
        line = (
            f"{some(found.locks_captured or 0, 'lock')} captured, {found.blocking_locks or 0:,} blocking, "
            f"{found.critical_locks or 0:,} critical; {some(found.deadlocks_detected or 0, 'deadlock')}."
        )
        self.emit(options, [found], [line])
        return 0
