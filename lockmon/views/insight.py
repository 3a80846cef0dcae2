"""Insight: who and what costs the most waiting, over a period that can be chosen."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib.admin import AdminSite
from django.core.cache import cache
from django.core.exceptions import ValidationError
from django.db import connections
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode

from .. import watched, watched_words
from ..admin.filters import typed_moment
from ..calls import deadlocks, losses, tenants
from ..calls.losses import Loss
from ..groups import VIEW_PAGES
from ..models import LockWaitAnalysis
from ..tables import AnalysisTable, ContentionTable, LossTable, PatternTable
from . import words
from .context import VAULT, needs, page, rights
from .figures import watched_between
from .heart import ledger_sentence
from .svg import nice

PERIODS = {"hour": 1, "day": 24, "week": 168, "month": 720}
PERIOD_NAMES = {"hour": "last hour", "day": "last 24 hours", "week": "last 7 days", "month": "last 30 days"}
ROOT_VIEWS = {
    "application": "root application",
    "user": "user of the root",
    "query": "statement of the root",
    "tenant": "tenant of the root",
    "database": "database",
}
CLAIM = "claim"
"""Of those who wait, not of the root: see lock_engine.wait_rollup."""
VIEWS = {**ROOT_VIEWS, CLAIM: "tenant that the waiting sessions claim"}
BUCKETS = ("under 0.1 s", "0.1 to 1 s", "1 to 5 s", "5 to 30 s", "30 to 60 s", "1 to 5 min", "over 5 min")
"""As lock_engine.losses numbers them, from 0."""
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
CACHED_SECONDS = 120
MOST = 15
"""Lines of a table."""


@dataclass(frozen=True)
class Column:
    """One column of the histogram."""

    x: float
    y: float
    width: float
    height: float
    label: str
    number: int


@dataclass(frozen=True)
class Heat:
    """One cell of the heat map; ``level`` 0 to 4."""

    seconds: float
    level: int
    title: str
    unwatched: bool = False


def _remembered(name: str, since: datetime, until: datetime, make: Callable[[], Any]) -> Any:
    """Return what ``make`` makes, kept two minutes for a period that ends in the same minute."""
    key = f"lockmon:insight:{name}:{since.timestamp():.0f}:{until.timestamp():.0f}"
    # hours of the day are those of the reader
    key = f"{key}:{timezone.get_current_timezone_name()}"
    found = cache.get(key)
    if found is None:
        found = make()
        cache.set(key, found, CACHED_SECONDS)
    return found


def _period(request: HttpRequest) -> tuple[str, datetime, datetime, str]:
    """Return the period's name, its moments on whole minutes, and what was wrong with the request."""
    now = datetime.now(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
    name = request.GET.get("period", "day")
    trouble = ""
    try:
        since, until = typed_moment(request.GET.get("since")), typed_moment(request.GET.get("until"))
        if since is not None:
            until = until or now
            if until <= since:
                return (
                    "day",
                    now - timedelta(days=1),
                    now,
                    "The period ends before it begins: the last day is shown.",
                )
            return "", since, until, ""
    except ValidationError as error:
        trouble = " ".join(error.messages)
    hours = PERIODS.get(name)
    if hours is None:
        name, hours = "day", 24
    return name, now - timedelta(hours=hours), now, trouble


def _history(name: str, since: datetime, until: datetime, **more: Any) -> str:
    filters = {
        "since": since.isoformat(),
        "until": until.isoformat(),
        **{k: v for k, v in more.items() if v is not None},
    }
    return f"{reverse(f'admin:lockmon_{name}_changelist')}?{urlencode(filters)}"


def _lost(by: str, since: datetime, until: datetime) -> dict[str, list[Loss]]:
    """Return the worst of the root's attribute, of relations, rows and lengths, by dimension."""

    def read() -> dict[str, list[Loss]]:
        found: dict[str, list[Loss]] = {}
        with connections[VAULT].cursor() as cursor:
            for one in losses.losses_between(cursor, [by, "relation", "row", "length"], since, until, MOST):
                found.setdefault(one.dimension, []).append(one)
        return found

    found: dict[str, list[Loss]] = _remembered(by, since, until, read)
    return found


def _roots(by: str, rows: list[Loss], since: datetime, until: datetime, see: bool) -> list[dict[str, Any]]:
    total = sum(row.seconds for row in rows) or 1.0
    names = _names(by, [row.name for row in rows if row.name is not None], since, until, see)
    found = []
    for row in rows:
        filters = {by: row.name} if by in ("application", "user", "database", "tenant") and row.name else {}
        url = _history("blockingsession", since, until, root="yes", **filters)
        found.append(_loss(row, total, names.get(row.name or "", row.name), url))
    return found


def _claimed(rows: list[Loss], since: datetime, until: datetime) -> list[dict[str, Any]]:
    total = sum(row.seconds for row in rows) or 1.0
    found = []
    for row in rows:
        # the history has no filter for "none"
        url = row.name and _history("lockactivity", since, until, granted="no", claimed_tenant=row.name)
        found.append(_loss(row, total, row.name or "none claimed", url))
    return found


def _loss(row: Loss, total: float, name: str | None, url: str | None) -> dict[str, Any]:
    """Return a line of a table of losses; total: the seconds of all its lines."""
    return {
        "name": name,
        "seconds": row.seconds,
        "share": row.seconds / total,
        "episodes": row.episodes,
        "longest": row.longest,
        "url": url,
    }


def _names(by: str, keys: list[str], since: datetime, until: datetime, see_text: bool) -> dict[str, str]:
    if by == "tenant":
        with connections[VAULT].cursor() as cursor:
            return tenants.names(cursor, keys)
    if by == "query":
        with connections[VAULT].cursor() as cursor:
            samples = losses.sample_statements(cursor, keys, since, until)
        return {
            key: (text if see_text else words.hide_literals(text)) or "unknown"
            for key, text in samples.items()
        }
    return {}


def _contended(found: list[Loss], since: datetime, until: datetime) -> list[dict[str, Any]]:
    total = sum(row.seconds for row in found) or 1.0
    table = []
    for row in found:
        name = ".".join(part for part in (row.name, row.table_name) if part) or "not a relation, or unknown"
        if row.row_page is not None:
            name = f"row ({row.row_page},{row.row_tuple}) of {name}"
        url = _history("lockactivity", since, until, granted="no", relation=row.table_name)
        table.append(_loss(row, total, name, url))
    return table


def _distribution(found: list[Loss]) -> list[tuple[str, int]]:
    numbers = {int(row.name or 0): row.episodes for row in found}
    return [(text, numbers.get(number, 0)) for number, text in enumerate(BUCKETS)]


def _columns(distribution: list[tuple[str, int]]) -> list[Column]:
    top = nice(max((number for _, number in distribution), default=0))
    step, base, height = 640 / len(distribution), 130.0, 112.0
    return [
        Column(
            index * step + 8, base - height * number / top, step - 16, height * number / top, label, number
        )
        for index, (label, number) in enumerate(distribution)
    ]


def _patterns(cursor: Any) -> tuple[list[dict[str, Any]], str]:
    """Return the patterns of deadlocks, and why two weeks are not compared, if too little was watched."""
    week, before = watched.weeks(cursor, timezone.now())
    why = watched.too_little(cursor, week, before)
    rows = []
    for row in deadlocks.patterns(cursor):
        told = asdict(row)
        if why:
            told["trend"] = "not compared"
        if not before.seconds and not row.previous_7_days:
            told["previous_7_days"] = None
        rows.append(told)
    return rows, why if rows else ""


def _heat(since: datetime, until: datetime) -> list[tuple[str, list[Heat]]]:
    with connections[VAULT].cursor() as cursor:
        hours = losses.waiting_by_hour(cursor, since, until)
        seen = watched.read(cursor, since, until)
    sums: dict[tuple[int, int], float] = {}
    known: dict[tuple[int, int], float] = {}
    for one in hours:
        local = timezone.localtime(one.hour)
        place = (local.isoweekday(), local.hour)
        sums[place] = sums.get(place, 0.0) + one.seconds
        known[place] = known.get(place, 0.0) + seen.within(one.hour, one.hour + timedelta(hours=1))
    most = max(sums.values(), default=0.0)
    table = []
    for number, name in enumerate(DAYS, start=1):
        cells = []
        for hour in range(24):
            seconds = sums.get((number, hour), 0.0)
            level = 0 if seconds <= 0 or most <= 0 else max(1, min(4, math.ceil(4 * seconds / most)))
            blind = known.get((number, hour)) == 0
            told = "not watched" if blind else f"{words.duration(seconds)} of waiting"
            if (number, hour) not in known:
                told = "not in this period"
            cells.append(Heat(seconds, level, f"{name} {hour}:00: {told}", blind))
        table.append((name, cells))
    return table


def _analyses(since: datetime) -> tuple[AnalysisTable, str]:
    rows = LockWaitAnalysis.objects.filter(load_end_date=None, analysis_period_start__gte=since)
    rows = rows.defer("contention_hotspots").order_by("-analysis_period_start")[:48]
    data: list[dict[str, Any]] = []
    points: list[float | None] = []
    ends = [row.analysis_period_end for row in rows]
    seen = watched_between(since, max(ends, default=since))
    for row in rows:
        data.append(
            {
                "period": (
                    f"{timezone.localtime(row.analysis_period_start):%d %b %H:%M} to "
                    f"{timezone.localtime(row.analysis_period_end):%H:%M}"
                ),
                "waits": row.blocking_events,
                "average": _milliseconds(row.average_lock_wait_time_ms),
                "p95": _milliseconds(row.p95_lock_wait_time_ms),
                "blocked": row.blocked_seconds,
                "before": row.previous_blocked_seconds,
                "trend": words.one_line(row.trend_direction, 20).lower() or "unknown",
                "watched": _watched(row, seen),
                "table": row.most_contended_table or "none",
            }
        )
        known = seen.within(row.analysis_period_start, row.analysis_period_end) > 0
        points.append(float(row.blocked_seconds or 0) if known else None)
    return AnalysisTable(data), _line(points[::-1])


def _watched(row: LockWaitAnalysis, seen: watched.Watched) -> str:
    """Return which part of an analysis's period was watched, as is known now."""
    length = (row.analysis_period_end - row.analysis_period_start).total_seconds()
    if length <= 0:
        return "unknown"
    return watched_words.percent(seen.within(row.analysis_period_start, row.analysis_period_end) / length)


def _line(points: Sequence[float | None]) -> str:
    """Return the path through the points; none through a period that nobody watched (None)."""
    known = [value for value in points if value is not None]
    if len(known) < 2:
        return ""
    top = nice(max(known))
    step = 980 / (len(points) - 1)
    path, pen = "", "M"
    for index, value in enumerate(points):
        if value is not None:
            path += f"{pen}{10 + index * step:.1f},{110 - 100 * value / top:.1f}"
        pen = "M" if value is None else "L"
    return path


def _milliseconds(value: Any) -> str:
    if value is None:
        return "unknown"
    return words.duration(float(value) / 1000) if float(value) >= 1000 else f"{float(value):.0f} ms"


@needs(VIEW_PAGES)
def insight(request: HttpRequest, site: AdminSite) -> HttpResponse:
    """The page: losses by the root's attribute, contended relations and rows, distribution, heat map,
    trend."""
    name, since, until, trouble = _period(request)
    by = request.GET.get("by", "application")
    by = by if by in VIEWS else "application"
    see = rights(request).query_text
    lost = _lost(by, since, until)
    loss = (
        ContentionTable(_claimed(lost.get(by, []), since, until))
        if by == CLAIM
        else LossTable(_roots(by, lost.get(by, []), since, until, see))
    )
    relations = ContentionTable(_contended(lost.get("relation", []), since, until))
    rows = ContentionTable(_contended(lost.get("row", []), since, until))
    distribution = _distribution(lost.get("length", []))
    seen = watched_words.sentence(watched_between(since, until))
    heat = _remembered("heat", since, until, lambda: _heat(since, until))
    analyses, trend = _analyses(since)
    with connections[VAULT].cursor() as cursor:
        patterns, not_compared = _patterns(cursor)
        counted = losses.counted_until(cursor)
    keep = {"period": name} if name else {"since": since.isoformat(), "until": until.isoformat()}
    return page(
        request,
        site,
        "lockmon/insight.html",
        "Insight",
        period=name,
        periods=[
            (key, text, f"?{urlencode({'by': by, 'period': key})}") for key, text in PERIOD_NAMES.items()
        ],
        views=[(key, text, f"?{urlencode({**keep, 'by': key})}") for key, text in VIEWS.items()],
        by=by,
        since=since,
        until=until,
        trouble=trouble,
        not_watched=seen,
        loss=loss,
        counted_until=counted if counted is not None and since < counted else None,
        relations=relations,
        rows=rows,
        columns=_columns(distribution),
        measured=sum(number for _, number in distribution),
        heat=heat,
        hours=range(24),
        analyses=analyses,
        patterns=PatternTable(patterns),
        not_compared=not_compared,
        ledger=ledger_sentence(),
        trend=trend,
    )
