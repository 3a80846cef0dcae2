"""Typed calls about watched time: what of a period was watched, and what was not, and why."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from .base import Cursor, select_all


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
