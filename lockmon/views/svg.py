"""Server-side pictures: numbers become coordinates here, the templates draw them. Colours come from the
style sheet."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone

from ..watched import Watched
from ..watched_words import gap as gap_in_words
from ..watched_words import percent
from .figures import Mark, Slot


@dataclass(frozen=True)
class Tick:
    """A label on an axis."""

    at: float
    text: str
    moment: datetime | None = None
    style: str = ""


@dataclass(frozen=True)
class Bar:
    """A clickable slot."""

    x: float
    width: float
    title: str
    moment: datetime


@dataclass(frozen=True)
class Pin:
    """A mark on a picture."""

    x: float
    mark: Mark
    shape: str
    y: float


@dataclass(frozen=True)
class Area:
    """An area over time with marks."""

    width: int
    height: int
    base: float
    path: str
    bars: Sequence[Bar]
    pins: Sequence[Pin]
    x_ticks: Sequence[Tick]
    y_ticks: Sequence[Tick]
    summary: str
    cursor: float | None = None
    gaps: Sequence[Bar] = ()
    proven: str = ""


APART = 16.0
"""Marks of one kind closer than this become one mark with a number."""
SHAPES = {"deadlock": "✖", "action": "▼", "alert": "!", "gap": "∅"}
ROWS = {"deadlock": 20.0, "action": 36.0, "alert": 52.0, "gap": 68.0}
_STEPS = (300, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400, 172800, 604800)


def nice(top: float) -> float:
    """Return the least of 1, 2, 5, 10, 20 ... that is not below ``top``."""
    if top <= 1:
        return 1.0
    power = 10.0 ** math.floor(math.log10(top))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= top)


def area(
    slots: Sequence[Slot],
    marks: Sequence[Mark],
    since: datetime,
    until: datetime,
    cursor: datetime | None = None,
    *,
    watched: Watched,
) -> Area:
    """Return the picture of waiting over time: 1000 x 170 units, the axis at the left taking 44.

    What was not watched is drawn as such, and nothing after the present.
    """
    left, right, top, base, width, height = 44.0, 992.0, 8.0, 140.0, 1000, 170
    span = (until - since).total_seconds()

    def x_of(moment: datetime) -> float:
        return left + (right - left) * (moment - since).total_seconds() / span

    now = min(until, max(watched.end, since))
    peak = max((max(slot.waiting, slot.proven) for slot in slots), default=0.0)
    scale = nice(peak)
    points, bars, drawing = [], [], False
    zone = timezone.get_current_timezone()
    for index, slot in enumerate(slots):
        end = slots[index + 1].start if index + 1 < len(slots) else now
        x = x_of(max(slot.start, since))
        step = x_of(max(min(end, now), since)) - x
        # of a slot that nobody watched there is no line, not one at zero
        if (slot.watched > 0) != drawing:
            drawing = slot.watched > 0
            points.append(f"M{x:.1f},{base:.1f}" if drawing else f"V{base:.1f}Z")
        if drawing:
            y = base - (base - top) * slot.waiting / scale
            points.append(f"L{x:.1f},{y:.1f}L{x + step:.1f},{y:.1f}")
        if slot.blocked < 0.5:
            continue
        local = slot.start.astimezone(zone)
        title = f"{local:%d %b %H:%M}: on average {slot.waiting:.1f} waiting, {slot.blocked:.0f} s of waiting"
        bars.append(
            Bar(
                round(x, 1),
                round(step, 2),
                title,
                slot.start + (end - slot.start) / 2,
            )
        )
    if drawing:
        points.append(f"L{x_of(now):.1f},{base:.1f}Z")
    blocked = sum(slot.blocked for slot in slots)
    pins = _pins([mark for mark in marks if since <= mark.at <= until], x_of)
    seen = max((slot.waiting for slot in slots), default=0.0)
    total = f"{blocked:,.0f} s of waiting in total"
    summary = f"At most {seen:.1f} sessions waiting on average of a slot; {total}."
    share = watched.share
    if share is None:
        summary = "This period is yet to come."
    elif not share:
        summary = "Nothing of this period was watched."
    elif share < 1:
        summary += f" Watched: {percent(share)} of the time; the figures are of that."
    return Area(
        width,
        height,
        base,
        "".join(points),
        bars,
        pins,
        _time_ticks(since, until, x_of),
        [Tick(base, "0"), Tick(top + 8, f"{scale:g}")],
        summary,
        None if cursor is None or not since <= cursor <= until else round(x_of(cursor), 1),
        _gaps(watched, since, until, x_of),
        _proven(slots, watched, base, lambda value: base - (base - top) * value / scale, x_of),
    )


def _gaps(watched: Watched, since: datetime, until: datetime, x_of: Callable[[datetime], float]) -> list[Bar]:
    """Return what was not watched as bars over the whole height."""
    found = []
    for one in watched.missing(since, until):
        x = x_of(one.span_start)
        middle = one.span_start + (one.span_end - one.span_start) / 2
        title = f"Not watched: {gap_in_words(one)}"
        found.append(Bar(round(x, 1), round(max(x_of(one.span_end) - x, 1.0), 2), title, middle))
    return found


def _proven(
    slots: Sequence[Slot],
    watched: Watched,
    base: float,
    y_of: Callable[[float], float],
    x_of: Callable[[datetime], float],
) -> str:
    """Return the path of waits that lasted through what was not watched, within it."""
    parts = []
    for index, slot in enumerate(slots):
        if not slot.proven:
            continue
        end = slots[index + 1].start if index + 1 < len(slots) else watched.end
        for one in watched.missing(slot.start, end):
            x, stop = x_of(one.span_start), x_of(one.span_end)
            parts.append(f"M{x:.1f},{base:.1f}V{y_of(slot.proven):.1f}H{stop:.1f}V{base:.1f}Z")
    return "".join(parts)


def _pins(marks: Sequence[Mark], x_of: Callable[[datetime], float]) -> list[Pin]:
    """Return the marks as pins; those of one kind that would touch become one with a number."""
    pins: list[Pin] = []
    for kind in SHAPES:
        near: list[Mark] = []
        for mark in [*sorted((item for item in marks if item.kind == kind), key=lambda item: item.at), None]:
            if near and (mark is None or x_of(mark.at) - x_of(near[0].at) >= APART):
                text = "; ".join(item.text for item in near[:5]) + (
                    f"; and {len(near) - 5} more" if len(near) > 5 else ""
                )
                one = Mark(kind, near[0].at, text, near[0].url if len(near) == 1 else None)
                shape = SHAPES[kind] + (str(len(near)) if len(near) > 1 else "")
                pins.append(Pin(round(x_of(near[0].at), 1), one, shape, ROWS[kind]))
                near = []
            if mark is not None:
                near.append(mark)
    return pins


def _time_ticks(since: datetime, until: datetime, x_of: Callable[[datetime], float]) -> list[Tick]:
    span = (until - since).total_seconds()
    step = next((item for item in _STEPS if span / item <= 10), _STEPS[-1])
    local = timezone.localtime(since)
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    ticks = []
    moment = midnight
    while moment <= until:
        if moment >= since + timedelta(seconds=span * 0.02):
            day = step >= 86400 or (moment.hour == 0 and moment.minute == 0)
            text = f"{timezone.localtime(moment):{'%d %b' if day else '%H:%M'}}"
            ticks.append(Tick(round(x_of(moment), 1), text, moment, "day" if step >= 86400 else "hour"))
        moment += timedelta(seconds=step)
    return ticks
