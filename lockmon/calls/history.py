"""Typed calls for the pages of the past: what the door did and which alerts spoke. Reading only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from .base import Cursor


@dataclass(frozen=True)
class PastAction:
    """One action of lock_admin.action_history; ``at`` is when it was signalled, else when it was asked
    for."""

    action_id: int
    at: datetime
    action: str
    target_pid: int
    logged_by: str | None
    acting_for: str | None
    outcome: str | None


@dataclass(frozen=True)
class PastAlert:
    """One alert event."""

    name: str
    level: str | None
    raised_at: datetime


_ACTION = (
    "SELECT action_id, coalesce(signalled_at, requested_at), action, target_pid, logged_by, acting_for,"
    " outcome FROM lock_admin.action_history"
)


def actions_between(cursor: Cursor, since: datetime, until: datetime, limit: int = 100) -> list[PastAction]:
    """Actions asked for in a period, latest first."""
    cursor.execute(
        f"{_ACTION} WHERE requested_at >= %s AND requested_at < %s ORDER BY requested_at DESC LIMIT %s",
        [since, until, limit],
    )
    return [PastAction(*row) for row in cursor.fetchall()]


def actions_on(cursor: Cursor, pid: int, backend_start: datetime) -> list[PastAction]:
    """Actions on one session, known by pid and the time it connected."""
    cursor.execute(
        f"{_ACTION} WHERE target_pid = %s AND target_backend_start = %s LIMIT 50", [pid, backend_start]
    )
    return [PastAction(*row) for row in cursor.fetchall()]


def alerts_between(cursor: Cursor, since: datetime, until: datetime, limit: int = 100) -> list[PastAlert]:
    """Alerts raised in a period, latest first."""
    cursor.execute(
        "SELECT alert_name, worst_level, raised_at FROM monitoring.alert_event_list"
        " WHERE raised_at >= %s AND raised_at < %s ORDER BY raised_at DESC LIMIT %s",
        [since, until, limit],
    )
    return [PastAlert(*row) for row in cursor.fetchall()]


def alerts_open(cursor: Cursor) -> int:
    """Alerts that are not resolved."""
    cursor.execute("SELECT count(*) FROM monitoring.alert_event_list WHERE is_open AND raised_at IS NOT NULL")
    return int(cursor.fetchone()[0])
