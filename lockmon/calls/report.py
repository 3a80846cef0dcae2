"""Typed questions of the periodic report, over what the vault has stored. Seconds are seconds of the
period."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone

from .base import Cursor, build

TOP = 5


@dataclass(frozen=True)
class Totals:
    """Waits of a period. waited: all of them added up; longest: the longest one."""

    waits: int
    waited: float
    longest: float
    cancelled: int


@dataclass(frozen=True)
class Share:
    """What one relation, user, application or day has of the waits."""

    name: str
    waits: int
    waited: float


@dataclass(frozen=True)
class Pattern:
    """A kind of deadlock. times: in the period; first_seen: ever."""

    tables: str
    suggestion: str
    times: int
    first_seen: datetime


@dataclass(frozen=True)
class Counted:
    """How many of one kind."""

    name: str
    times: int


@dataclass(frozen=True)
class Watched:
    """The monitor's own coverage. missing: seconds in which nobody watched; unsampled None: not knowable."""

    cycles: int
    skipped: int
    failed: int
    missing: float
    unsampled: int | None


_WAITS = "FROM lock_engine.waits_between(NULL, %s, %s) w"
_NUMBERS = "count(*) FILTER (WHERE w.is_own)::integer, coalesce(sum(w.own_seconds), 0)::double precision"
_FOR_OBJECTS = (
    "count(*) FILTER (WHERE w.for_object)::integer, coalesce(sum(w.object_seconds), 0)::double precision"
)


def totals(cursor: Cursor, start: datetime, end: datetime) -> Totals:
    """All waits that overlap the period."""
    cursor.execute(
        f"SELECT {_NUMBERS}, coalesce(max(w.wait_seconds), 0)::double precision,"
        " count(*) FILTER (WHERE w.is_own"
        f"  AND w.how_ended IN ('cancelled', 'lock timeout', 'deadlock'))::integer {_WAITS}",
        [start, end],
    )
    return build(Totals, cursor.fetchone())


def shares(cursor: Cursor, what: str, start: datetime, end: datetime, limit: int = TOP) -> list[Share]:
    """The largest shares by ``what``: relation, sufferer (who waited) or day.

    Days are all given, in order, in the site's time zone.
    """
    by, order = {
        "relation": ("coalesce(w.relation_name, w.lock_type)", "3 DESC, 1"),
        "sufferer": ("coalesce(nullif(w.application_name, ''), w.user_name, 'unknown')", "3 DESC, 1"),
        "day": ("to_char(greatest(w.wait_start, %s) AT TIME ZONE %s, 'YYYY-MM-DD')", "1"),
    }[what]
    numbers = _FOR_OBJECTS if what == "relation" else _NUMBERS
    zone = timezone.get_current_timezone_name()
    given = [start, zone, start, end] if what == "day" else [start, end]
    cursor.execute(
        f"SELECT {by}, {numbers} {_WAITS} GROUP BY 1 ORDER BY {order} LIMIT %s",
        [*given, limit],
    )
    return [build(Share, row) for row in cursor.fetchall()]


def blockers(cursor: Cursor, start: datetime, end: datetime) -> list[Share]:
    """Who was at the root of the waits, by application; several roots share a wait equally, also where the
    parallel workers of one session wait behind different ones."""
    cursor.execute(
        f"WITH w AS MATERIALIZED (SELECT w.* {_WAITS}),"  # noqa: S608
        " beside AS MATERIALIZED (SELECT w.* FROM w WHERE w.own_seconds < w.seconds_in_period),"
        " own AS (SELECT w.is_own, w.wait_start, w.wait_end, w.own_seconds,"
        "   CASE WHEN EXISTS (SELECT 1 FROM beside) THEN ARRAY(SELECT unnest(w.root_nodes)"
        "     UNION SELECT unnest(b.root_nodes) FROM beside b WHERE b.session = w.session"
        "       AND b.wait_start < w.wait_end AND b.wait_end > w.wait_start)"
        "   ELSE w.root_nodes END AS root_nodes FROM w WHERE w.is_own OR w.own_seconds > 0)"
        " SELECT coalesce(nullif(b.application_name, ''), b.user_name, 'unknown'),"
        " count(*) FILTER (WHERE w.is_own)::integer,"
        " coalesce(sum(w.own_seconds / cardinality(w.root_nodes)), 0)::double precision"
        " FROM own w CROSS JOIN LATERAL unnest(w.root_nodes) AS r(node)"
        " LEFT JOIN LATERAL (SELECT s.application_name, s.user_name FROM lock_monitoring.blocking_session_s s"
        "  WHERE s.node = r.node AND s.load_date <= w.wait_end"
        "  AND coalesce(s.load_end_date, 'infinity') >= w.wait_start"
        "  ORDER BY s.load_date DESC LIMIT 1) b ON true"
        " WHERE cardinality(w.root_nodes) > 0 GROUP BY 1 ORDER BY 3 DESC, 1 LIMIT %s",
        [start, end, TOP],
    )
    return [build(Share, row) for row in cursor.fetchall()]


def patterns(cursor: Cursor, start: datetime, end: datetime) -> list[Pattern]:
    """Deadlocks of the period by pattern, most frequent first."""
    cursor.execute(
        "SELECT coalesce((array_agg(array_to_string(d.affected_tables, ', ')"
        "  ORDER BY d.deadlock_timestamp DESC))[1], ''),"
        " coalesce((array_agg(d.prevention_suggestion ORDER BY d.deadlock_timestamp DESC))[1], ''),"
        " count(*)::integer, min(d.first_seen)"
        " FROM lock_monitoring.deadlock_history d"
        " WHERE d.deadlock_timestamp >= %s AND d.deadlock_timestamp < %s"
        " GROUP BY coalesce(d.pattern_hash, d.deadlock_id) ORDER BY 3 DESC, 4 LIMIT %s",
        [start, end, TOP],
    )
    return [build(Pattern, row) for row in cursor.fetchall()]


def actions(cursor: Cursor, start: datetime, end: datetime) -> list[Counted]:
    """Actions of the door by outcome."""
    cursor.execute(
        "SELECT a.outcome, count(*)::integer FROM lock_admin.action_history a"
        " WHERE a.requested_at >= %s AND a.requested_at < %s GROUP BY 1 ORDER BY 2 DESC, 1",
        [start, end],
    )
    return [build(Counted, row) for row in cursor.fetchall()]


def alerts(cursor: Cursor, start: datetime, end: datetime) -> list[Counted]:
    """Alerts raised, by name."""
    cursor.execute(
        "SELECT e.alert_name, count(*)::integer FROM monitoring.alert_event_list e"
        " WHERE e.raised_at >= %s AND e.raised_at < %s GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT %s",
        [start, end, TOP],
    )
    return [build(Counted, row) for row in cursor.fetchall()]


def watched(cursor: Cursor, start: datetime, end: datetime) -> Watched:
    """The monitor's coverage of the period."""
    cursor.execute(
        "SELECT coalesce(sum(c.cycles_run), 0)::integer, coalesce(sum(c.cycles_skipped), 0)::integer,"
        " coalesce(sum(c.cycles_failed), 0)::integer, (SELECT coalesce(sum(date_part('epoch',"
        "  u.span_end - u.span_start)), 0) FROM lock_engine.unwatched_spans(%s, %s) u),"
        " sum(c.unsampled_transactions)::bigint"
        " FROM lock_engine.coverage c WHERE c.period_end > %s AND c.period_start < %s",
        [start, end, start, end],
    )
    return build(Watched, cursor.fetchone())
