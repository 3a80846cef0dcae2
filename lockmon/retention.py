"""Deleting what ended long ago: the vault, the monitor's own records, alerts. One place for task and
command."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

import psycopg

from lockmon import vault
from lockmon.calls import vault as calls

BATCH_TIMEOUT_MS = 300_000
LOCK_TIMEOUT_MS = 500
LONGEST_REST = 1.0
"""Seconds. After a batch a quarter of its time is left to the others, at most so long."""
PATIENCE = 30
"""So many times in a row, a second apart, a batch may be kept from its work until it is left to the next
cleanup."""


def clean(alias: str, days: int) -> list[calls.Cleaned]:
    """Delete what ended more than ``days`` (at least 1) days ago; each batch commits by itself.

    Ended at any moment, the next cleanup goes on where this one was. Raises psycopg.Error where the login
    lacks lock_admin_role or the connection is lost; what was deleted stays deleted.
    """
    with (
        vault.direct_connection(
            alias, "cleanup", statement_timeout_ms=BATCH_TIMEOUT_MS, lock_timeout_ms=LOCK_TIMEOUT_MS
        ) as connection,
        connection.cursor() as cursor,
    ):
        vault.assume_admin(cursor)
        before = calls.retention_begins(cursor, days)
        return _until_done(cursor, before, days)


def _until_done(cursor: psycopg.Cursor[Any], before: datetime, days: int) -> list[calls.Cleaned]:
    deleted: dict[str, int] = {}
    state: str | None = None
    refused = 0
    while True:
        began = time.monotonic()
        batch = calls.delete_batch(cursor, before, state)
        for name, rows in batch.deleted.items():
            deleted[name] = deleted.get(name, 0) + rows
        state = batch.state
        refused = refused + 1 if batch.in_the_way else 0
        if (state is None and not refused) or refused == PATIENCE:
            return calls.cleanup_report(cursor, deleted, before, days, state, batch.in_the_way)
        time.sleep(1.0 if refused else min(LONGEST_REST, (time.monotonic() - began) / 4))
