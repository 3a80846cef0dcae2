"""Typed calls over Django's own database, about the task queue's tables."""

from __future__ import annotations

from .base import Cursor


def lock_for_creation(cursor: Cursor, quoted_table: str) -> None:
    """Let one process at a time create rows in a table, until its transaction ends; readers go on."""
    cursor.execute(f"LOCK TABLE {quoted_table} IN SHARE ROW EXCLUSIVE MODE")
