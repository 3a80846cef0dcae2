"""Watched time for pages, reports and the API: what of a period was watched, and how to cut by it.

A ``Watched`` is read once for a period and then answers without asking the vault again; ``share`` and
``at`` are for one figure and one moment.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from lockmon.calls import watched as calls
from lockmon.calls.base import Cursor
from lockmon.calls.watched import UnwatchedSpan, WatchedSpan

BEFORE = "before the first look"
STILL = "nobody has looked since"
"""Why a time is not watched that has no look before it, or none after it (lock_engine.unwatched_spans)."""


@dataclass(frozen=True)
class Watched:
    """What was watched of a period up to the present. gaps: in order and without overlap.

    end: the period's end, or the present where that is earlier; before ``start`` for a period to come.
    """

    start: datetime
    end: datetime
    gaps: tuple[UnwatchedSpan, ...]

    @property
    def spans(self) -> tuple[WatchedSpan, ...]:
        """The watched spans of the period, in order."""
        return self.cut(self.start, self.end)

    @property
    def seconds(self) -> float:
        """Watched seconds of the period."""
        return self.within(self.start, self.end)

    @property
    def share(self) -> float | None:
        """Which part of the period was watched, 0 to 1; None where it is empty or still to come."""
        length = (self.end - self.start).total_seconds()
        return self.seconds / length if length > 0 else None

    def cut(self, start: datetime, end: datetime) -> tuple[WatchedSpan, ...]:
        """Return the watched pieces of an interval, in order; what lies outside the period is none."""
        start, end = max(start, self.start), min(end, self.end)
        pieces: list[WatchedSpan] = []
        for gap in self._touching(start, end):
            if start < gap.span_start:
                pieces.append(WatchedSpan(start, gap.span_start))
            start = gap.span_end
        if start < end:
            pieces.append(WatchedSpan(start, end))
        return tuple(pieces)

    def missing(self, start: datetime, end: datetime) -> tuple[UnwatchedSpan, ...]:
        """Return the unwatched pieces of an interval, each with its reason, cut to the interval."""
        return tuple(
            UnwatchedSpan(max(gap.span_start, start), min(gap.span_end, end), gap.reason)
            for gap in self._touching(start, end)
        )

    def within(self, start: datetime, end: datetime) -> float:
        """Return the watched seconds of an interval."""
        return sum(
            (piece.span_end - piece.span_start for piece in self.cut(start, end)), timedelta()
        ).total_seconds()

    def at(self, moment: datetime) -> bool:
        """Tell whether a moment was watched, the two ends of a watched span included; outside the period the
        answer is False."""
        spans = self.spans
        place = bisect_right(spans, moment, key=lambda span: span.span_start)
        return place > 0 and moment <= spans[place - 1].span_end

    def _touching(self, start: datetime, end: datetime) -> Iterator[UnwatchedSpan]:
        first = bisect_left(self.gaps, start, key=lambda gap: gap.span_end)
        for gap in self.gaps[first:]:
            if gap.span_start >= end:
                return
            if gap.span_end > start:
                yield gap


def read(cursor: Cursor, start: datetime, end: datetime) -> Watched:
    """Return what was watched between two moments, by the vault's clock."""
    until = calls.until_now(cursor, end)
    return Watched(start, until, tuple(calls.unwatched_spans(cursor, start, until)))


def spans(cursor: Cursor, start: datetime, end: datetime) -> list[WatchedSpan]:
    """Return the watched spans of a period up to the present, in order and merged."""
    return calls.watched_spans(cursor, start, end)


def unwatched(cursor: Cursor, start: datetime, end: datetime) -> list[UnwatchedSpan]:
    """Return what of a period up to the present was not watched, each piece with its reason."""
    return calls.unwatched_spans(cursor, start, end)


def gap_at(cursor: Cursor, moment: datetime) -> UnwatchedSpan | None:
    """Return the gap in which a moment lies; None where it was watched, or is still to come."""
    return calls.unwatched_at(cursor, moment)


def share(cursor: Cursor, start: datetime, end: datetime) -> float | None:
    """Return which part of a period up to the present was watched, 0 to 1; None where it is empty or
    still to come."""
    return calls.watched_share(cursor, start, end)


def at(cursor: Cursor, moment: datetime) -> bool:
    """Tell whether a moment was watched: not before the first look, not within a gap, not in the future."""
    return calls.watched_at(cursor, moment)


def weeks(cursor: Cursor, now: datetime) -> tuple[Watched, Watched]:
    """Return the last seven days and the seven before them, as far as they were watched."""
    days = timedelta(days=7)
    return read(cursor, now - days, now), read(cursor, now - 2 * days, now - days)


def too_little(cursor: Cursor, *periods: Watched) -> str:
    """Return why periods are not to be compared, as a sentence; empty where enough of each was watched.

    The limit is the setting compare.min_watched_share.
    """
    least = calls.min_watched_share(cursor)
    for period in periods:
        part = period.share
        if part is None or part < least:
            known = "nothing" if not part else f"only {part * 100:.3g} %"
            return (
                f"Not compared: {known} of {period.start:%Y-%m-%d %H:%M} to {period.end:%Y-%m-%d %H:%M} was"
                f" watched, and {least * 100:.3g} % are asked for (setting compare.min_watched_share)."
            )
    return ""
