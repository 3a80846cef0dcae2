"""Typed calls of the vault's seven published functions (auto_resolve_blocking and detect_deadlocks live
with the door and the deadlocks). Unless said otherwise they raise only what the driver raises."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from .base import Cursor, select_all, select_one
from .deadlocks import Detection, detect_deadlocks

__all__ = [
    "Analysis",
    "Batch",
    "BlockingSession",
    "Capture",
    "Cleaned",
    "Cycle",
    "Detection",
    "analyze_lock_waits",
    "capture_lock_activity",
    "cleanup_old_data",
    "cleanup_report",
    "delete_batch",
    "detect_blocking_sessions",
    "detect_deadlocks",
    "retention_begins",
    "run_lock_monitoring",
]


@dataclass(frozen=True)
class Capture:
    """What one capture found: locks now in the vault as held or wanted, those blocking, those critical."""

    locks_captured: int
    blocking_locks: int
    critical_locks: int
    deadlocks_detected: int | None


@dataclass(frozen=True)
class BlockingSession:
    """One blocking session. blocking_duration_seconds: how long others have waited behind it."""

    blocking_session_id: int
    blocked_sessions_count: int
    blocking_duration_seconds: int | None
    blocking_severity: str
    recommended_action: str


@dataclass(frozen=True)
class Cycle:
    """What one full cycle did. skipped: another one was running, so that nothing was read or stored."""

    monitoring_summary: str
    locks_captured: int | None
    blocking_sessions: int | None
    deadlocks_detected: int | None
    critical_issues: int | None
    recommendations: tuple[str, ...] | None

    @property
    def skipped(self) -> bool:
        return self.monitoring_summary.lower().startswith("skipped")


@dataclass(frozen=True)
class Analysis:
    """Lock waits of a period. average_wait_time_ms is None where nobody waited; efficiency_score is 0 to
    100."""

    analysis_summary: str
    total_lock_events: int | None
    blocking_events: int | None
    average_wait_time_ms: Decimal | None
    efficiency_score: Decimal | None
    recommendations: tuple[str, ...] | None


@dataclass(frozen=True)
class Cleaned:
    """One line of a cleanup: what was deleted, and how many rows."""

    cleanup_summary: str
    records_cleaned: int


@dataclass(frozen=True)
class Batch:
    """One batch of a cleanup. state: for the next one, None when all is done. deleted: rows a table.

    in_the_way: why nothing was done, in words; empty otherwise.
    """

    state: str | None
    deleted: dict[str, int]
    in_the_way: str


def capture_lock_activity(cursor: Cursor, tenant_hk: bytes | None = None) -> Capture:
    """lock_monitoring.capture_lock_activity(): store all locks of a tenant, or of all."""
    return select_one(cursor, Capture, "lock_monitoring.capture_lock_activity(%s)", [tenant_hk])


def detect_blocking_sessions(
    cursor: Cursor, tenant_hk: bytes | None = None, min_blocking_duration_seconds: int = 30
) -> list[BlockingSession]:
    """lock_monitoring.detect_blocking_sessions(): who blocks others for at least so many seconds, worst
    first."""
    return select_all(
        cursor,
        BlockingSession,
        "lock_monitoring.detect_blocking_sessions(%s, %s)",
        [tenant_hk, min_blocking_duration_seconds],
    )


def run_lock_monitoring(cursor: Cursor, tenant_hk: bytes | None = None) -> Cycle:
    """lock_monitoring.run_lock_monitoring(): one full cycle; look at ``skipped`` before anything else."""
    return select_one(cursor, Cycle, "lock_monitoring.run_lock_monitoring(%s)", [tenant_hk])


def analyze_lock_waits(
    cursor: Cursor, tenant_hk: bytes | None = None, analysis_period_hours: int = 24
) -> list[Analysis]:
    """lock_monitoring.analyze_lock_waits(): analyse and store the last hours of a tenant, or of all."""
    return select_all(
        cursor,
        Analysis,
        "lock_monitoring.analyze_lock_waits(%s, %s)",
        [tenant_hk, analysis_period_hours],
    )


def cleanup_old_data(cursor: Cursor, retention_days: int = 30) -> list[Cleaned]:
    """lock_monitoring.cleanup_old_data(): delete what ended longer ago. Needs lock_admin_role."""
    return select_all(cursor, Cleaned, "lock_monitoring.cleanup_old_data(%s)", [retention_days])


def retention_begins(cursor: Cursor, days: int) -> datetime:
    """lock_engine.retention_begins(): the moment so many days ago."""
    cursor.execute("SELECT lock_engine.retention_begins(%s)", [days])
    begins: datetime = cursor.fetchone()[0]
    return begins


def delete_batch(cursor: Cursor, before: datetime, state: str | None) -> Batch:
    """lock_engine.delete_batch(): delete a batch of what ended before. Needs lock_admin_role."""
    cursor.execute(
        "SELECT state::text, deleted::text, in_the_way FROM lock_engine.delete_batch(%s, %s::jsonb)",
        [before, state],
    )
    state, deleted, in_the_way = cursor.fetchone()
    return Batch(state, json.loads(deleted), in_the_way or "")


def cleanup_report(
    cursor: Cursor,
    deleted: Mapping[str, int],
    before: datetime,
    days: int,
    state: str | None,
    in_the_way: str,
) -> list[Cleaned]:
    """lock_engine.cleanup_report(): a line a table, and the total with what is left."""
    return select_all(
        cursor,
        Cleaned,
        "lock_engine.cleanup_report(%s::jsonb, %s, %s, %s::jsonb, %s)",
        [json.dumps(deleted), before, days, state, in_the_way or None],
    )


def tenant_keys(cursor: Cursor, tenant_bk: str) -> list[bytes]:
    """Return the keys of the tenants with this business key; sites do not keep it unique."""
    cursor.execute(
        "SELECT tenant_hk FROM lock_engine.tenant_names() WHERE tenant_bk = %s ORDER BY tenant_hk LIMIT 10",
        [tenant_bk],
    )
    return [bytes(row[0]) for row in cursor.fetchall()]
