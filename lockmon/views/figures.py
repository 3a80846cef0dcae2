"""Sums over the vault for pictures and insight pages.

A satellite row of an ungranted lock says "this session waited from load_date to load_end_date"; the rows of
one wait
follow each other without a gap. So seconds of waiting are sums over rows, whatever their number, and a
picture of
waiting sessions needs no more than where rows begin and end.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.core.cache import cache
from django.db import connections
from django.db.models import (
    Count,
    DurationField,
    ExpressionWrapper,
    F,
    FloatField,
    Func,
    Q,
    QuerySet,
    Sum,
    Value,
)
from django.db.models.functions import Coalesce, Floor, Greatest, Least

from .. import watched
from ..calls import losses
from ..models import DeadlockEvent, LockActivity
from ..models.activity import WAITS_ITSELF
from ..watched import STILL, Watched
from .context import VAULT

MOST_ALIVE = 20_000
"""So many rows present at one moment are taken; a server has fewer connections."""
LONG_ROW = timedelta(days=1)
"""A row that was the present one for longer is one of few (a wait of many days, or the monitor was away) and
has an index of its own; open rows have one, too. All others are found near the moment asked for."""


class Epoch(Func):
    """Seconds since 1970 of a moment, with fractions."""

    function = "date_part"
    output_field = FloatField()

    def __init__(self, moment: Any, **extra: Any) -> None:
        super().__init__(Value("epoch"), moment, **extra)


@dataclass(frozen=True)
class Slot:
    """One slot of a picture. blocked: watched seconds of waiting in it; waiting: the average number who
    waited while somebody watched; watched: the watched part of it, 0 to 1; proven: the average number whose
    waiting PostgreSQL proved, afterwards, in the time that nobody watched."""

    start: datetime
    blocked: float
    waiting: float
    watched: float = 1.0
    proven: float = 0.0


@dataclass(frozen=True)
class Picture:
    """Waiting over a period up to the present, and what of it was watched."""

    slots: list[Slot]
    watched: Watched


@dataclass(frozen=True)
class Mark:
    """Something that happened at a moment: a deadlock, an action, an alert, the begin of a gap."""

    kind: str
    at: datetime
    text: str
    url: str | None = None


def segments(since: datetime, until: datetime, alias: str = VAULT) -> QuerySet[LockActivity]:
    """Return the rows of waits that overlap the period: of a session and its workers one at a time."""
    rows = LockActivity.objects.using(alias).filter(WAITS_ITSELF, lock_granted=False)
    return overlapping(rows, since, until)


def alive(rows: QuerySet[Any], at: datetime) -> list[int]:
    """Return the ids of the rows that were the present ones at a moment.

    Three questions instead of one with OR, so that each is answered within an index.
    """
    begun = rows.order_by().filter(load_date__lte=at)
    near = begun.filter(load_date__gt=at - LONG_ROW, load_end_date__gt=at)
    still = begun.filter(load_end_date=None)
    lasted = ExpressionWrapper(F("load_end_date") - F("load_date"), DurationField())
    long = begun.annotate(lasted=lasted).filter(
        lasted__gt=LONG_ROW, load_end_date__gt=at, load_date__lte=at - LONG_ROW
    )
    return [
        number
        for found in (near, still, long)
        for number in found.values_list("satellite_id", flat=True)[:MOST_ALIVE]
    ]


def overlapping(rows: QuerySet[Any], since: datetime, until: datetime) -> QuerySet[Any]:
    """Return the rows that overlap a period: those present at its beginning, and those that begin in it."""
    begun = Q(load_date__gt=since, load_date__lt=until)
    before = alive(rows, since)
    return rows.filter(begun | Q(satellite_id__in=before)) if before else rows.filter(begun)


def watched_between(since: datetime, until: datetime, alias: str = VAULT) -> Watched:
    """Return what of a period was watched."""
    with connections[alias].cursor() as cursor:
        return watched.read(cursor, since, until)


def waiting_picture(since: datetime, until: datetime, slots: int, alias: str = VAULT) -> Picture:
    """Return waiting over time, in so many slots of equal length; none begins after the present."""
    seen = watched_between(since, until, alias)
    width = (until - since).total_seconds() / slots
    first = since.timestamp()
    rows = segments(since, until, alias)
    last = min(until.timestamp(), seen.end.timestamp())
    begin = Least(Greatest(Epoch(F("load_date")), Value(first)), Value(last))
    # as lock_engine.wait_until() says
    ended = Coalesce(F("log_end_at"), F("last_seen_at"), F("load_end_date"))
    end = Greatest(Least(Coalesce(Epoch(ended), Value(last)), Value(last)), begin)
    opened = _sums(rows, begin, first, width)
    closed = _sums(rows, end, first, width)
    blind, proven = _unwatched(seen, since, width, alias)
    found, running = [], 0
    for index in range(slots):
        slot_end = first + (index + 1) * width
        if slot_end - width >= seen.end.timestamp():
            break
        opens, open_sum = opened.get(index, (0, 0.0))
        closes, close_sum = closed.get(index, (0, 0.0))
        blocked = running * width + (opens * slot_end - open_sum) - (closes * slot_end - close_sum)
        running += opens - closes
        blocked = max(0.0, blocked - blind.get(index, 0.0))
        found.append(_slot(seen, first + index * width, width, blocked, proven.get(index, 0.0)))
    return Picture(found, seen)


def _slot(seen: Watched, first: float, width: float, blocked: float, proven: float) -> Slot:
    start = datetime.fromtimestamp(first, UTC)
    end = min(start + timedelta(seconds=width), seen.end)
    known, length = seen.within(start, end), (end - start).total_seconds()
    return Slot(
        start,
        blocked,
        blocked / known if known > 0 else 0.0,
        known / length if length > 0 else 0.0,
        proven / (length - known) if length > known else 0.0,
    )


def _unwatched(
    seen: Watched, since: datetime, width: float, alias: str
) -> tuple[dict[int, float], dict[int, float]]:
    """Return the seconds of waiting that rows tell of time that was not watched, by slot, and how much of it
    is proven: of waits that were seen again after it."""
    blind: dict[int, float] = {}
    proven: dict[int, float] = {}
    if not seen.gaps:
        return blind, proven
    with connections[alias].cursor() as cursor:
        unseen = losses.waits_unseen(cursor, [(gap.span_start, gap.span_end) for gap in seen.gaps])
    for piece in unseen:
        gap = seen.gaps[piece.gap]
        whole = (piece.span_start, piece.span_end) == (gap.span_start, gap.span_end)
        lasted = whole and gap.reason != STILL
        at, last = ((end - since).total_seconds() for end in (piece.span_start, piece.span_end))
        while at < last:
            index = int(at / width)
            step = max(min(last, (index + 1) * width) - at, 1e-6)
            blind[index] = blind.get(index, 0.0) + step * piece.waits
            proven[index] = proven.get(index, 0.0) + (step * piece.waits if lasted else 0.0)
            at += step
    return blind, proven


def _sums(
    rows: QuerySet[LockActivity], moment: Any, first: float, width: float
) -> dict[int, tuple[int, float]]:
    slot = Floor((moment - Value(first)) / Value(width), output_field=FloatField())
    grouped = (
        rows.order_by().annotate(slot=slot).values("slot").annotate(number=Count("*"), total=Sum(moment))
    )
    return {int(row["slot"]): (row["number"], float(row["total"])) for row in grouped}


def hourly_picture(since: datetime, until: datetime, slots: int, alias: str = VAULT) -> Picture:
    """Return waiting over days, in at most so many slots of whole hours, from the sums of past hours.

    The first slot begins with the hour of ``since``.
    """
    start = since.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    hours = math.ceil((until - start).total_seconds() / 3600)
    width = max(1, math.ceil(hours / slots))
    end = start + timedelta(hours=math.ceil(hours / width) * width)
    with connections[alias].cursor() as cursor:
        found = losses.waiting_by_hour(cursor, start, end)
    seen = watched_between(start, end, alias)
    _, proven = _unwatched(seen, start, width * 3600.0, alias)
    slots_found = []
    for first in range(0, len(found), width):
        begin = start + timedelta(hours=first)
        if begin >= seen.end:
            break
        blocked = sum(one.seconds for one in found[first : first + width])
        sure = proven.get(first // width, 0.0)
        slots_found.append(_slot(seen, begin.timestamp(), width * 3600.0, blocked, sure))
    return Picture(slots_found, seen)


def cached_picture(since: datetime, until: datetime, slots: int, alias: str = VAULT) -> Picture:
    """Return ``waiting_picture``, kept for 20 s while it reaches into the present and for ten minutes
    otherwise."""
    key = f"lockmon:picture:{alias}:{slots}:{since.timestamp():.0f}:{until.timestamp():.0f}"
    found: Picture | None = cache.get(key)
    if found is None:
        draw = hourly_picture if until - since > timedelta(hours=slots) else waiting_picture
        found = draw(since, until, slots, alias)
        cache.set(key, found, 600 if until < datetime.now(UTC) - timedelta(minutes=5) else 20)
    return found


def recent_picture(hours: int, alias: str = VAULT) -> tuple[datetime, datetime, Picture]:
    """Return the last hours in slots of five minutes."""
    width = 300
    end = int(datetime.now(UTC).timestamp()) // width * width + width
    since, until = datetime.fromtimestamp(end - hours * 3600, UTC), datetime.fromtimestamp(end, UTC)
    return since, until, cached_picture(since, until, hours * 3600 // width, alias)


def deadlock_marks(
    since: datetime, until: datetime, alias: str = VAULT, limit: int = 200
) -> list[DeadlockEvent]:
    """Return the deadlocks of a period, latest first, without their long texts."""
    rows = DeadlockEvent.objects.using(alias).filter(
        load_end_date=None, deadlock_timestamp__gte=since, deadlock_timestamp__lt=until
    )
    rows = rows.only(
        "satellite_id", "deadlock_event_id", "deadlock_timestamp", "involved_pids", "affected_tables"
    )
    return list(rows.order_by("-deadlock_timestamp")[:limit])
