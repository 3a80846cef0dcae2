"""Deleting what ended long ago: the vault, the monitor's own coverage, alerts. One place for task and
command."""

from __future__ import annotations

from lockmon import vault
from lockmon.calls import alerts, coverage
from lockmon.calls import vault as calls

MOST_BATCHES = 1000


def clean(alias: str, days: int) -> list[calls.Cleaned]:
    """Delete what ended more than ``days`` (at least 1) days ago; each step commits by itself.

    Raises DatabaseError where the login lacks lock_admin_role or a table is locked; earlier steps stay done.
    """
    with vault.admin_transaction(alias) as cursor:
        cleaned = calls.cleanup_old_data(cursor, days)
    with vault.admin_transaction(alias) as cursor:
        cleaned.append(
            calls.Cleaned("coverage of the monitor itself", coverage.forget_coverage(cursor, days))
        )
    forgotten = 0
    for _ in range(MOST_BATCHES):
        with vault.admin_transaction(alias) as cursor:
            batch = alerts.forget_alerts(cursor, days)
        forgotten += batch
        if not batch:
            break
    cleaned.append(calls.Cleaned("alert events and messages", forgotten))
    return cleaned
