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

from ..calls import losses
from ..models import DeadlockEvent, LockActivity
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
    """One slot of a picture. ``blocked`` is seconds of waiting in it; ``waiting`` the average number who
    waited."""

    start: datetime
    blocked: float
    waiting: float


@dataclass(frozen=True)
class Mark:
    """Something that happened at a moment: a deadlock, an action, an alert, the begin of a gap."""

    kind: str
    at: datetime
    text: str
    url: str | None = None


def segments(since: datetime, until: datetime, alias: str = VAULT) -> QuerySet[LockActivity]:
    """Return the rows of waits that overlap the period."""
    return overlapping(LockActivity.objects.using(alias).filter(lock_granted=False), since, until)


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


def waiting_picture(since: datetime, until: datetime, slots: int, alias: str = VAULT) -> list[Slot]:
    """Return waiting over time, in so many slots of equal length."""
    width = (until - since).total_seconds() / slots
    first = since.timestamp()
    rows = segments(since, until, alias)
    begin = Greatest(Epoch(F("load_date")), Value(first))
    last = min(until.timestamp(), datetime.now(UTC).timestamp())
    end = Least(Coalesce(Epoch(F("load_end_date")), Value(last)), Value(until.timestamp()))
    opened = _sums(rows, begin, first, width)
    closed = _sums(rows, end, first, width)
    found, running = [], 0
    for index in range(slots):
        slot_end = first + (index + 1) * width
        opens, open_sum = opened.get(index, (0, 0.0))
        closes, close_sum = closed.get(index, (0, 0.0))
        blocked = running * width + (opens * slot_end - open_sum) - (closes * slot_end - close_sum)
        running += opens - closes
        start = datetime.fromtimestamp(first + index * width, UTC)
        found.append(Slot(start, max(0.0, blocked), max(0.0, blocked) / width))
    return found


def _sums(
    rows: QuerySet[LockActivity], moment: Any, first: float, width: float
) -> dict[int, tuple[int, float]]:
    slot = Floor((moment - Value(first)) / Value(width), output_field=FloatField())
    grouped = (
        rows.order_by().annotate(slot=slot).values("slot").annotate(number=Count("*"), total=Sum(moment))
    )
    return {int(row["slot"]): (row["number"], float(row["total"])) for row in grouped}


def hourly_picture(since: datetime, until: datetime, slots: int, alias: str = VAULT) -> list[Slot]:
    """Return waiting over days, in at most so many slots of whole hours, from the sums of past hours.

    The first slot begins with the hour of ``since``.
    """
    start = since.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    hours = math.ceil((until - start).total_seconds() / 3600)
    width = max(1, math.ceil(hours / slots))
    end = start + timedelta(hours=math.ceil(hours / width) * width)
    with connections[alias].cursor() as cursor:
        found = losses.waiting_by_hour(cursor, start, end)
    now, slots_found = datetime.now(UTC), []
    for first in range(0, len(found), width):
        begin = start + timedelta(hours=first)
        lasted = (min(begin + timedelta(hours=width), now) - begin).total_seconds()
        blocked = sum(one.seconds for one in found[first : first + width])
        slots_found.append(Slot(begin, blocked, blocked / max(lasted, 1.0)))
    return slots_found


def cached_picture(since: datetime, until: datetime, slots: int, alias: str = VAULT) -> list[Slot]:
    """Return ``waiting_picture``, kept for 20 s while it reaches into the present and for ten minutes
    otherwise."""
    key = f"lockmon:picture:{alias}:{slots}:{since.timestamp():.0f}:{until.timestamp():.0f}"
    found: list[Slot] | None = cache.get(key)
    if found is None:
        draw = hourly_picture if until - since > timedelta(hours=slots) else waiting_picture
        found = draw(since, until, slots, alias)
        cache.set(key, found, 600 if until < datetime.now(UTC) - timedelta(minutes=5) else 20)
    return found


def recent_picture(hours: int, alias: str = VAULT) -> tuple[datetime, datetime, list[Slot]]:
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
