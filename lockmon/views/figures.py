"""Sums over the vault for pictures and insight pages.

A satellite row of an ungranted lock says "this session waited from load_date to load_end_date"; the rows of
one wait
follow each other without a gap. So seconds of waiting are sums over rows, whatever their number, and a
picture of
waiting sessions needs no more than where rows begin and end.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.core.cache import cache
from django.db.models import Count, F, FloatField, Func, Max, Q, QuerySet, Sum, Value
from django.db.models.functions import Coalesce, Floor, Greatest, Least

from ..models import BlockingSession, DeadlockEvent, LockActivity
from .context import VAULT

MOST_ALIVE = 20_000
"""So many rows present at one moment are taken; a server has fewer connections."""
LONGEST_ROW = timedelta(days=2)
"""No row that has ended was the present one for longer: durations refresh on a geometric scale, so this
holds for every wait that is less than four days old. Open rows are found whatever their age."""


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

    Two questions instead of one with OR, so that each is answered within the index on begin and end.
    """
    begun = rows.order_by().filter(load_date__lte=at)
    near = begun.filter(load_date__gt=at - LONGEST_ROW, load_end_date__gt=at)
    ended = near.values_list("satellite_id", flat=True)[:MOST_ALIVE]
    still = begun.filter(load_end_date=None).values_list("satellite_id", flat=True)[:MOST_ALIVE]
    return [*ended, *still]


def overlapping(rows: QuerySet[Any], since: datetime, until: datetime) -> QuerySet[Any]:
    """Return the rows that overlap a period: those present at its beginning, and those that begin in it."""
    begun = Q(load_date__gt=since, load_date__lt=until)
    before = alive(rows, since)
    return rows.filter(begun | Q(satellite_id__in=before)) if before else rows.filter(begun)


def seconds_in(since: datetime, until: datetime) -> Any:
    """Return the expression "seconds of this satellite row that lie within the period"."""
    last = min(until, datetime.now(UTC))
    end = Epoch(Least(Coalesce(F("load_end_date"), Value(last)), Value(until)))
    return Greatest(end - Epoch(Greatest(F("load_date"), Value(since))), Value(0.0))


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


def cached_picture(since: datetime, until: datetime, slots: int, alias: str = VAULT) -> list[Slot]:
    """Return ``waiting_picture``, kept for 20 s while it reaches into the present and for ten minutes
    otherwise."""
    key = f"lockmon:picture:{alias}:{slots}:{since.timestamp():.0f}:{until.timestamp():.0f}"
    found: list[Slot] | None = cache.get(key)
    if found is None:
        found = waiting_picture(since, until, slots, alias)
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


def roots_lost(
    field: str, since: datetime, until: datetime, alias: str = VAULT, limit: int = 20
) -> list[dict[str, Any]]:
    """Return the time that others lost behind root blockers, summed by one of their attributes, worst first.

    Seconds are the number behind the root times how long it was so. A session behind two roots counts for
    both.
    """
    behind = F("blocked_sessions_count") * seconds_in(since, until)
    rows = overlapping(BlockingSession.objects.using(alias).filter(is_root=True), since, until)
    length = Epoch(Coalesce(F("load_end_date"), Value(min(until, datetime.now(UTC))))) - Epoch(
        Coalesce(F("blocking_since"), F("load_date"))
    )
    grouped: Any = (
        rows.order_by()
        .values(name=F(field))
        .annotate(
            seconds=Sum(behind, output_field=FloatField()),
            episodes=Count("blocking_session_id", distinct=True),
            longest=Max(length, output_field=FloatField()),
        )
        .order_by("-seconds")[:limit]
    )
    return list(grouped)


def sample_queries(
    fingerprints: Iterable[str], since: datetime, until: datetime, alias: str = VAULT
) -> dict[str, str | None]:
    """Return one statement for each fingerprint of a root blocker seen in the period."""
    rows = BlockingSession.objects.using(alias).filter(
        query_fingerprint__in=list(fingerprints), load_date__gt=since - LONGEST_ROW, load_date__lt=until
    )
    found = rows.order_by("query_fingerprint", "-load_date").distinct("query_fingerprint")
    return {str(key): text for key, text in found.values_list("query_fingerprint", "current_query")}


def waits_lost(
    fields: Iterable[str],
    since: datetime,
    until: datetime,
    alias: str = VAULT,
    limit: int = 20,
    rows: bool = False,
) -> list[dict[str, Any]]:
    """Return the time waited, summed by attributes of what was waited for, worst first; ``rows``: only known
    rows."""
    waits = segments(since, until, alias)
    if rows:
        waits = waits.filter(row_page__isnull=False)
    last = Value(min(until, datetime.now(UTC)))
    length = Epoch(Coalesce(F("load_end_date"), last)) - Epoch(Coalesce(F("wait_start"), F("load_date")))
    grouped = (
        waits.order_by()
        .values(*fields)
        .annotate(
            seconds=Sum(seconds_in(since, until), output_field=FloatField()),
            episodes=Count("lock_activity_id", distinct=True),
            longest=Max(length, output_field=FloatField()),
        )
        .order_by("-seconds")[:limit]
    )
    return list(grouped)
