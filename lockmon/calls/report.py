"""Typed questions of the periodic report, over what the vault has stored. Seconds are seconds of the
period."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone

from .base import Cursor, build
from .losses import DAY, losses_between

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


def claimants(cursor: Cursor, start: datetime, end: datetime) -> list[Share]:
    """Whose work waited, by the tenant that it claimed (lock_engine.session_claim); empty where nobody claims
    one. The name of those without a claim is empty."""
    found = losses_between(cursor, ["claim"], start, end, TOP)
    if all(one.name is None for one in found):
        return []
    return [Share(one.name or "", one.episodes, one.seconds) for one in found]


_BEHIND = """
WITH b AS MATERIALIZED (
  SELECT coalesce(nullif(x.application_name, ''), x.user_name, 'unknown') AS name, x.*,
         encode(x.lock_activity_hk, 'hex') || '@' || extract(epoch FROM x.wait_start) AS wait
    FROM lock_engine.behind_roots(%(since)s, %(until)s) AS x),
cut AS (
  SELECT b.name, b.wait, b.beside, b.until, greatest(b.since,
           max(b.until) OVER (PARTITION BY b.name, b.session ORDER BY b.since, b.until
                              ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)) AS counts_from
    FROM b),
before AS (SELECT * FROM unnest(%(names)s::text[], %(waits)s::text[]) AS u (name, wait))
SELECT c.name,
       (count(DISTINCT c.wait) FILTER (WHERE c.beside IS NULL AND p.wait IS NULL))::integer,
       coalesce(sum(lock_engine.watched_seconds(c.counts_from, c.until, g.starts, g.ends, g.seconds)), 0),
       coalesce(array_agg(DISTINCT c.wait) FILTER (WHERE c.until >= %(until)s), '{}')
  FROM cut AS c LEFT JOIN before AS p ON p.name = c.name AND p.wait = c.wait
 CROSS JOIN lock_engine.gap_steps(%(since)s, %(until)s) AS g
 GROUP BY 1"""


def blockers(cursor: Cursor, start: datetime, end: datetime, step: timedelta = DAY) -> list[Share]:
    """Who was at the root of the waits, by application: the time in which waits stood behind roots of it. A
    wait behind several applications counts for each.

    Asked for a ``step`` at a time, so that no statement grows with the period; a wait that goes on from one
    into the next is one.
    """
    waits: Counter[str] = Counter()
    seconds: defaultdict[str, float] = defaultdict(float)
    going_on: list[tuple[str, str]] = []
    since = start
    while since < end:
        until = min(since + step, end)
        cursor.execute(
            _BEHIND,
            {
                "since": since,
                "until": until,
                "names": [name for name, _ in going_on],
                "waits": [wait for _, wait in going_on],
            },
        )
        going_on = []
        for name, number, lost, further in cursor.fetchall():
            waits[name] += number
            seconds[name] += lost
            going_on += [(name, wait) for wait in further]
        since = until
    worst = sorted(seconds, key=lambda name: (-seconds[name], name))[:TOP]
    return [Share(name, waits[name], seconds[name]) for name in worst]


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
