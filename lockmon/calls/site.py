"""What keeps the platform's tables from being read: catalog only, nothing that waits."""

from __future__ import annotations

from dataclasses import dataclass

from .base import Cursor, select_all


@dataclass(frozen=True)
class Trouble:
    """A reason why tenants cannot be read from a table of the platform's, and the line that mends it."""

    table_name: str
    fault: str
    remedy: str


def trouble(cursor: Cursor) -> list[Trouble]:
    """lock_engine.site_trouble(): empty where nothing is in the way for good; any role."""
    return select_all(cursor, Trouble, "lock_engine.site_trouble()")
