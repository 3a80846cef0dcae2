"""Typed calls about attempts to stop a session without the right, where there were too many to keep each."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from .base import Cursor, select_all


@dataclass(frozen=True)
class Counted:
    """One person's attempts that were counted and not kept one by one. acting_for: the web login, empty for a
    database role by itself. first_at, last_at: of all their attempts in those hours."""

    logged_by: str
    acting_for: str
    not_stored: int
    first_at: datetime
    last_at: datetime


def counted(cursor: Cursor, days: int = 7) -> list[Counted]:
    """Those of whom some attempts of the last days were only counted, most of them first."""
    return select_all(
        cursor,
        Counted,
        "(SELECT d.logged_by, d.acting_for, sum(d.attempts - d.stored)::bigint AS not_stored,"
        " min(d.first_at) AS first_at, max(d.last_at) AS last_at FROM lock_admin.denied_count AS d"
        " WHERE d.attempts > d.stored AND d.last_at > pg_catalog.now() - pg_catalog.make_interval(days => %s)"
        " GROUP BY d.logged_by, d.acting_for) AS c ORDER BY c.not_stored DESC, c.logged_by, c.acting_for",
        [days],
    )
