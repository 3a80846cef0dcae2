"""Watched time in words: the same in pages, reports, commands and files."""

from __future__ import annotations

from datetime import datetime

from django.utils import timezone

from lockmon.calls.coverage import MonitorStatus
from lockmon.calls.watched import UnwatchedSpan
from lockmon.views.words import duration, one_line, some
from lockmon.watched import Watched

NAMED = 3
"""So many gaps are named in a sentence; the others are counted."""
LEAST = 0.001
"""Seconds: what is shorter is no gap but a rounded number."""


def gaps_today(status: MonitorStatus) -> str:
    """Return what of today was not watched; what lies before the first look is never "no gap"."""
    missing = ""
    if status.gaps_today:
        missing = f"{some(status.gaps_today, 'gap')} today, {duration(status.gap_seconds_today)} missing"
    if status.first_look_at is None:
        return "nothing has been watched yet"
    first = timezone.localtime(status.first_look_at)
    if first.date() < timezone.localdate():
        return missing or "no gap today"
    return f"watched since {first:%H:%M}, {missing or 'no gap since'}"


def sentence(period: Watched) -> str:
    """Return what of a period was watched and what was not, with the reasons; "" if all of it was."""
    share = period.share
    if share is None:
        return "Not watched: the period has not begun."
    if not period.gaps:
        return ""
    named = "; ".join(gap(one) for one in period.gaps[-NAMED:])
    more = f"; and {len(period.gaps) - NAMED} more" if len(period.gaps) > NAMED else ""
    if not share:
        return f"Nothing of this period was watched: {named}{more}."
    length = (period.end - period.start).total_seconds()
    return (
        f"Watched: {duration(period.seconds)} of {duration(length)} ({percent(share)})."
        f" Not watched: {named}{more}."
    )


def part(period: Watched, start: datetime, end: datetime) -> str:
    """Return how much of a time was not watched, to stand behind its length: ", 3 s of it not watched".

    "" if all of it was. The period holds the time.
    """
    missing = (min(end, period.end) - start).total_seconds() - period.within(start, end)
    return f", {duration(missing)} of it not watched" if missing > LEAST else ""


def gap(one: UnwatchedSpan) -> str:
    """Return one gap: from when to when, and why."""
    return f"{_moments(one.span_start, one.span_end)} ({one_line(one.reason, 120)})"


def percent(share: float | None) -> str:
    """Return a share; never 100 % where a part is missing, never 0 % where a part is there."""
    if share is None:
        return "unknown"
    if 0 < share < 1:
        return f"{min(max(share * 100, 0.1), 99.9):.1f} %"
    return f"{share * 100:.0f} %"


def _moments(start: datetime, end: datetime) -> str:
    begin, until = timezone.localtime(start), timezone.localtime(end)
    same = begin.date() == until.date()
    return f"{begin:%Y-%m-%d %H:%M:%S} to {until:{'%H:%M:%S' if same else '%Y-%m-%d %H:%M:%S'}}"
