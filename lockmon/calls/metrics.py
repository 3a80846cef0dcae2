"""Figures for /metrics, from what cycles, loop and alerts have stored: catalog scans and locks are never
touched.

Each function asks one narrow question, so that one that cannot be answered (a right that is lacking, a
table that is locked) costs its own figures and no others.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .base import Cursor
from .claims import MOST

Sample = tuple[tuple[str, ...], float]
"""Label values and a value."""

MOST_RELATIONS = 20
"""So many relations have a label of their own; the others are added up as "other"."""


def _samples(cursor: Cursor, question: str, labels: int, params: Any = None) -> list[Sample]:
    cursor.execute(question, params)
    return [
        (tuple(str(value) for value in row[:labels]), float(row[labels]))
        for row in cursor.fetchall()
        if row[labels] is not None
    ]


def present(cursor: Cursor) -> list[Sample]:
    """What the last cycle saw, by figure: waiting, locks, blocking, and the age of that cycle in seconds."""
    return _samples(
        cursor,
        "SELECT f.name, f.value FROM lock_engine.cycle_state s CROSS JOIN LATERAL (VALUES"
        " ('waiting_sessions', s.waiting_sessions::double precision), ('locks', s.locks_captured),"
        " ('blocking_sessions', s.blocking_sessions),"
        " ('cycle_age', date_part('epoch', clock_timestamp() - s.checked_at)))"
        " AS f(name, value)",
        1,
    )


def watching(cursor: Cursor) -> list[Sample]:
    """Whether this moment is watched (0 or 1), and the watched share of the last 24 hours."""
    return _samples(
        cursor,
        "SELECT f.name, f.value FROM (SELECT clock_timestamp() AS now OFFSET 0) m CROSS JOIN LATERAL (VALUES"
        " ('now', lock_engine.watched_at(m.now)::integer::double precision),"
        " ('share', lock_engine.watched_share(m.now - interval '24 hours', m.now)::double precision))"
        " AS f(name, value)",
        1,
    )


def roots(cursor: Cursor) -> list[Sample]:
    """Root blockers now, by severity."""
    return _samples(
        cursor,
        "SELECT s.blocking_severity, count(*) FROM lock_monitoring.blocking_session_s s"
        " WHERE s.load_end_date IS NULL AND s.is_root GROUP BY 1",
        1,
    )


def waits(cursor: Cursor) -> list[Sample]:
    """Waiting locks now, by mode and relation; the relations with the most waits by name."""
    return _samples(
        cursor,
        "WITH w AS (SELECT s.lock_mode, coalesce(s.relation_name, s.lock_type) AS relation"
        "  FROM lock_monitoring.lock_activity_s s WHERE s.load_end_date IS NULL AND NOT s.lock_granted"
        "  AND lock_engine.waits_for_object(s.beside)),"
        " top AS (SELECT w.relation FROM w GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT %s)"
        " SELECT w.lock_mode, coalesce(top.relation, 'other'), count(*)"
        " FROM w LEFT JOIN top ON top.relation = w.relation GROUP BY 1, 2",
        2,
        [MOST_RELATIONS],
    )


def blocked_seconds(cursor: Cursor) -> list[Sample]:
    """Seconds that those who wait now have waited, added up, and the longest of them."""
    return _samples(
        cursor,
        "SELECT f.name, f.value FROM (SELECT"
        "  coalesce(sum(date_part('epoch', clock_timestamp() - s.wait_start)), 0) AS total,"
        "  coalesce(max(date_part('epoch', clock_timestamp() - s.wait_start)), 0) AS longest"
        "  FROM lock_monitoring.lock_activity_s s WHERE s.load_end_date IS NULL AND NOT s.lock_granted"
        "   AND lock_engine.waits_itself(s.beside)) w"
        " CROSS JOIN LATERAL (VALUES ('sum', w.total), ('longest', w.longest)) AS f(name, value)",
        1,
    )


def deadlocks(cursor: Cursor) -> list[Sample]:
    """Deadlocks of the last 24 hours: counted by PostgreSQL, captured, missed."""
    return _samples(
        cursor,
        "SELECT f.name, sum(f.value) FROM lock_engine.deadlock_ledger_summary("
        "clock_timestamp() - interval '24 hours') d"
        " CROSS JOIN LATERAL (VALUES ('counted', d.counted), ('captured', d.captured), ('missed', d.missed))"
        " AS f(name, value) GROUP BY 1",
        1,
    )


def claims(cursor: Cursor) -> list[Sample]:
    """Deadlocks of the last 24 hours that the log only claims; no more than MOST + 1 are counted."""
    return _samples(
        cursor,
        "SELECT 'claimed', count(*) FROM lock_engine.claimed_deadlocks("
        "clock_timestamp() - interval '24 hours', 'infinity', %s)",
        1,
        [MOST + 1],
    )


def actions(cursor: Cursor) -> list[Sample]:
    """Actions of the door since its log began, by outcome; the log is append-only, so this only
    rises."""
    return _samples(
        cursor,
        "SELECT a.outcome, count(*) FROM lock_admin.action_history a GROUP BY 1",
        1,
    )


def alerts(cursor: Cursor) -> list[Sample]:
    """Active alerts by their state now."""
    return _samples(
        cursor,
        "SELECT a.state_now, count(*) FROM monitoring.alert_overview a WHERE a.is_active GROUP BY 1",
        1,
    )


def heartbeat(cursor: Cursor) -> list[Sample]:
    """The loop's own figures: age of its heartbeat, cost of a look and of a cycle, whether it skips."""
    return _samples(
        cursor,
        "SELECT f.name, f.value FROM lock_engine.heartbeat h"
        " CROSS JOIN lock_engine.monitor_status s CROSS JOIN LATERAL (VALUES"
        " ('heartbeat_age', date_part('epoch', clock_timestamp() - h.beat_at)),"
        " ('look', h.look_ms / 1000.0), ('cycle', h.cycle_ms / 1000.0),"
        " ('skipping', (s.skipping_since IS NOT NULL)::integer)) AS f(name, value)",
        1,
    )


def coverage(cursor: Cursor) -> list[Sample]:
    """Coverage of the last 24 hours, by figure."""
    return _samples(
        cursor,
        "SELECT f.name, f.value FROM (SELECT sum(c.looks) AS looks, sum(c.cycles_run) AS run,"
        "  sum(c.cycles_skipped) AS skipped, sum(c.cycles_failed) AS failed,"
        "  max(c.largest_gap_ms) / 1000.0 AS gap, sum(c.busy_ms) / 1000.0 AS busy,"
        "  sum(c.unsampled_transactions) AS unsampled"
        "  FROM lock_engine.coverage c WHERE c.period_end > clock_timestamp() - interval '24 hours') s"
        " CROSS JOIN LATERAL (VALUES ('looks', s.looks), ('run', s.run), ('skipped', s.skipped),"
        " ('failed', s.failed), ('largest_gap', s.gap), ('busy', s.busy), ('unsampled', s.unsampled))"
        " AS f(name, value)"
        " UNION ALL SELECT 'missing', coalesce(sum(date_part('epoch', u.span_end - u.span_start)), 0)"
        "  FROM lock_engine.unwatched_spans(clock_timestamp() - interval '24 hours', clock_timestamp()) u",
        1,
    )


def storage(cursor: Cursor) -> list[Sample]:
    """Bytes of the monitor's own tables and their indexes as vacuum last saw them; asking for the exact
    size would wait for a locked table."""
    return _samples(
        cursor,
        "SELECT c.relname, (c.relpages + coalesce((SELECT sum(i.relpages) FROM pg_catalog.pg_index x"
        "  JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid WHERE x.indrelid = c.oid), 0))"
        "  * pg_catalog.current_setting('block_size')::bigint"
        " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = 'lock_monitoring' AND c.relkind = 'r' ORDER BY 1",
        1,
    )


PARTS: dict[str, Callable[[Cursor], list[Sample]]] = {
    "watching": watching,
    "present": present,
    "roots": roots,
    "waits": waits,
    "blocked_seconds": blocked_seconds,
    "deadlocks": deadlocks,
    "claims": claims,
    "actions": actions,
    "alerts": alerts,
    "heartbeat": heartbeat,
    "coverage": coverage,
    "storage": storage,
}
"""Every part by name, as lockmon/metrics.py reads them."""
OF_NOW = ("present", "roots", "waits", "blocked_seconds")
"""Parts that tell what was seen last as what is now: nothing of them is known while nobody watches."""
