"""Typed calls about watched time: what of a period was watched, and what was not, and why."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from .base import Cursor, build, select_all


@dataclass(frozen=True)
class WatchedSpan:
    """A time that was watched without a gap."""

    span_start: datetime
    span_end: datetime


@dataclass(frozen=True)
class UnwatchedSpan:
    """A time that was not watched, and why, in words."""

    span_start: datetime
    span_end: datetime
    reason: str


def watched_spans(cursor: Cursor, start: datetime, end: datetime) -> list[WatchedSpan]:
    """lock_engine.watched_spans(): what of the period up to now was watched, in order."""
    return select_all(
        cursor, WatchedSpan, "lock_engine.watched_spans(%s::timestamptz, %s::timestamptz)", [start, end]
    )


def unwatched_spans(cursor: Cursor, start: datetime, end: datetime) -> list[UnwatchedSpan]:
    """lock_engine.unwatched_spans(): what of the period up to now was not watched, in order."""
    return select_all(
        cursor, UnwatchedSpan, "lock_engine.unwatched_spans(%s::timestamptz, %s::timestamptz)", [start, end]
    )


def unwatched_at(cursor: Cursor, moment: datetime) -> UnwatchedSpan | None:
    """The gap in which a moment lies; None where it was watched, or is still to come.

    What has no end of its own (before the first look, since the last one) reaches from the moment to the
    first look, or to the present. The gaps away from the moment are not read.
    """
    cursor.execute(
        "WITH asked AS MATERIALIZED (SELECT %s::timestamptz AS at, pg_catalog.clock_timestamp() AS now),"
        " near AS (SELECT min(g.gap_start) AS s, max(g.gap_end) AS e FROM asked a"
        "  JOIN lock_engine.coverage_gap g ON g.gap_end > a.at AND g.gap_start < a.at)"
        " SELECT u.span_start, u.span_end, u.reason FROM asked a, near n, lock_engine.watch_bounds(a.now) b,"
        "  LATERAL lock_engine.unwatched_spans("
        "   least(a.at, n.s, CASE WHEN isfinite(b.known_until) THEN b.known_until END),"
        "   greatest(a.at, n.e, CASE WHEN a.at < b.known_from THEN least(b.known_from, a.now) END,"
        "            CASE WHEN a.at >= b.known_until THEN a.now END)) u"
        " WHERE a.at <= a.now AND a.at BETWEEN u.span_start AND u.span_end"
        "  AND NOT lock_engine.watched_at(a.at)"
        " ORDER BY u.span_end > a.at DESC, u.span_start LIMIT 1",
        [moment],
    )
    row = cursor.fetchone()
    return None if row is None else build(UnwatchedSpan, row)


def until_now(cursor: Cursor, end: datetime) -> datetime:
    """The end of a period, or the vault's present where that is earlier."""
    cursor.execute("SELECT least(%s::timestamptz, pg_catalog.clock_timestamp())", [end])
    until: datetime = cursor.fetchone()[0]
    return until


def watched_share(cursor: Cursor, start: datetime, end: datetime) -> float | None:
    """lock_engine.watched_share(): 0 to 1; None for a period that is empty or still to come."""
    cursor.execute("SELECT lock_engine.watched_share(%s::timestamptz, %s::timestamptz)", [start, end])
    value = cursor.fetchone()[0]
    return None if value is None else float(value)


def watched_at(cursor: Cursor, moment: datetime) -> bool:
    """lock_engine.watched_at(): was this moment watched?"""
    cursor.execute("SELECT lock_engine.watched_at(%s::timestamptz)", [moment])
    return bool(cursor.fetchone()[0])


def min_watched_share(cursor: Cursor) -> float:
    """Setting compare.min_watched_share: periods watched less than this are not compared."""
    cursor.execute("SELECT (lock_admin.setting('compare.min_watched_share') #>> '{}')::double precision")
    return float(cursor.fetchone()[0])
