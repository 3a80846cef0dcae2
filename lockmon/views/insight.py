"""Insight: who and what costs the most waiting, over a period that can be chosen."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib.admin import AdminSite
from django.core.cache import cache
from django.core.exceptions import ValidationError
from django.db import DatabaseError
from django.db.models import Case, Count, F, FloatField, IntegerField, Sum, Value, When
from django.db.models.functions import Coalesce, ExtractHour, ExtractIsoWeekDay
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode

from ..admin.filters import typed_moment
from ..groups import VIEW_PAGES
from ..models import LockActivity, LockWaitAnalysis, Tenant
from ..tables import AnalysisTable, ContentionTable, LossTable
from . import figures, words
from .context import VAULT, needs, page, rights, unreachable
from .figures import Epoch
from .svg import nice

PERIODS = {"hour": 1, "day": 24, "week": 168, "month": 720}
PERIOD_NAMES = {"hour": "last hour", "day": "last 24 hours", "week": "last 7 days", "month": "last 30 days"}
ROOT_VIEWS = {
    "application": ("application_name", "root application"),
    "user": ("user_name", "user of the root"),
    "query": ("query_fingerprint", "statement of the root"),
    "tenant": ("blocking_session__tenant_hk", "tenant of the root"),
    "database": ("database_name", "database"),
}
BUCKETS = (
    (0.1, "under 0.1 s"),
    (1.0, "0.1 to 1 s"),
    (5.0, "1 to 5 s"),
    (30.0, "5 to 30 s"),
    (60.0, "30 to 60 s"),
    (300.0, "1 to 5 min"),
    (math.inf, "over 5 min"),
)
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
CACHED_SECONDS = 120


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


def _remembered(name: str, since: datetime, until: datetime, make: Callable[[], Any]) -> Any:
    """Return what ``make`` makes, kept two minutes for a period that ends in the same minute."""
    key = f"lockmon:insight:{name}:{since.timestamp():.0f}:{until.timestamp():.0f}"
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


def _roots(by: str, since: datetime, until: datetime, see_text: bool) -> list[dict[str, Any]]:
    field = ROOT_VIEWS[by][0]
    rows = _remembered(f"roots:{by}", since, until, lambda: figures.roots_lost(field, since, until))
    total = sum(row["seconds"] or 0.0 for row in rows) or 1.0
    names = _names(by, [row["name"] for row in rows], since, until, see_text)
    found = []
    for row in rows:
        name = names.get(row["name"], row["name"])
        filters = (
            {by: row["name"]} if by in ("application", "user", "database", "tenant") and row["name"] else {}
        )
        found.append(
            {
                "name": name,
                "seconds": row["seconds"] or 0.0,
                "share": (row["seconds"] or 0.0) / total,
                "episodes": row["episodes"],
                "longest": row.get("longest"),
                "url": _history("blockingsession", since, until, root="yes", **filters),
            }
        )
    return found


def _names(by: str, keys: Sequence[Any], since: datetime, until: datetime, see_text: bool) -> dict[Any, str]:
    if by == "tenant":
        return dict(
            Tenant.objects.filter(tenant_hk__in=[key for key in keys if key]).values_list(
                "tenant_hk", "tenant_bk"
            )
        )
    if by == "query":
        samples = figures.sample_queries([key for key in keys if key], since, until)
        return {
            key: (text if see_text else words.hide_literals(text)) or "unknown"
            for key, text in samples.items()
        }
    return {}


def _contended(since: datetime, until: datetime, rows: bool) -> list[dict[str, Any]]:
    fields = ("schema_name", "table_name", "row_page", "row_tuple") if rows else ("schema_name", "table_name")
    kind = "rows" if rows else "relations"
    found = _remembered(
        kind, since, until, lambda: figures.waits_lost(fields, since, until, limit=12, rows=rows)
    )
    total = sum(row["seconds"] or 0.0 for row in found) or 1.0
    table = []
    for row in found:
        name = (
            ".".join(part for part in (row["schema_name"], row["table_name"]) if part)
            or "not a relation, or unknown"
        )
        if rows:
            name = f"row ({row['row_page']},{row['row_tuple']}) of {name}"
        address = _history("lockactivity", since, until, granted="no", relation=row["table_name"])
        seconds = row["seconds"] or 0.0
        table.append(
            {
                "name": name,
                "seconds": seconds,
                "share": seconds / total,
                "episodes": row["episodes"],
                "longest": row["longest"],
                "url": address,
            }
        )
    return table


def _distribution(since: datetime, until: datetime) -> list[tuple[str, int]]:
    length = Epoch(F("load_end_date")) - Epoch(Coalesce(F("wait_start"), F("load_date")))
    bucket = Case(
        *(
            When(length__lt=limit, then=Value(number))
            for number, (limit, _) in enumerate(BUCKETS)
            if limit < math.inf
        ),
        default=Value(len(BUCKETS) - 1),
        output_field=IntegerField(),
    )
    rows = LockActivity.objects.using(VAULT).filter(
        lock_granted=False, load_date__gte=since, load_date__lt=until, resolution_action__isnull=False
    )
    grouped = (
        rows.order_by()
        .annotate(length=length)
        .annotate(bucket=bucket)
        .values("bucket")
        .annotate(number=Count("*"))
    )
    numbers = {row["bucket"]: row["number"] for row in grouped}
    return [(text, numbers.get(number, 0)) for number, (_, text) in enumerate(BUCKETS)]


def _columns(distribution: list[tuple[str, int]]) -> list[Column]:
    top = nice(max((number for _, number in distribution), default=0))
    step, base, height = 640 / len(distribution), 130.0, 112.0
    return [
        Column(
            index * step + 8, base - height * number / top, step - 16, height * number / top, label, number
        )
        for index, (label, number) in enumerate(distribution)
    ]


def _heat(since: datetime, until: datetime) -> list[tuple[str, list[Heat]]]:
    zone = timezone.get_current_timezone()
    grouped = (
        figures.segments(since, until)
        .order_by()
        .annotate(day=ExtractIsoWeekDay("load_date", tzinfo=zone), hour=ExtractHour("load_date", tzinfo=zone))
        .values("day", "hour")
        .annotate(seconds=Sum(figures.seconds_in(since, until), output_field=FloatField()))
    )
    sums = {(row["day"], row["hour"]): float(row["seconds"] or 0.0) for row in grouped}
    most = max(sums.values(), default=0.0)
    table = []
    for number, name in enumerate(DAYS, start=1):
        cells = []
        for hour in range(24):
            seconds = sums.get((number, hour), 0.0)
            level = 0 if seconds <= 0 or most <= 0 else max(1, min(4, math.ceil(4 * seconds / most)))
            cells.append(Heat(seconds, level, f"{name} {hour}:00: {words.duration(seconds)} of waiting"))
        table.append((name, cells))
    return table


def _analyses(since: datetime) -> tuple[AnalysisTable, str]:
    rows = LockWaitAnalysis.objects.filter(load_end_date=None, analysis_period_start__gte=since)
    rows = rows.defer("contention_hotspots").order_by("-analysis_period_start")[:48]
    data, points = [], []
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
                "table": row.most_contended_table or "none",
            }
        )
        points.append(float(row.blocked_seconds or 0))
    return AnalysisTable(data), _line(points[::-1])


def _line(points: Sequence[float]) -> str:
    if len(points) < 2:
        return ""
    top = nice(max(points))
    step = 980 / (len(points) - 1)
    return "M" + "L".join(
        f"{10 + index * step:.1f},{110 - 100 * value / top:.1f}" for index, value in enumerate(points)
    )


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
    by = by if by in ROOT_VIEWS else "application"
    see = rights(request).query_text
    try:
        loss = LossTable(_roots(by, since, until, see))
        relations = ContentionTable(_contended(since, until, rows=False))
        rows = ContentionTable(_contended(since, until, rows=True))
        distribution = _remembered("distribution", since, until, lambda: _distribution(since, until))
        heat = _remembered("heat", since, until, lambda: _heat(since, until))
        analyses, trend = _analyses(since)
    except DatabaseError as error:
        return page(
            request, site, "lockmon/unreachable.html", "Insight", status=503, reason=unreachable(error)
        )
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
        views=[(key, text, f"?{urlencode({**keep, 'by': key})}") for key, (_, text) in ROOT_VIEWS.items()],
        by=by,
        since=since,
        until=until,
        trouble=trouble,
        loss=loss,
        relations=relations,
        rows=rows,
        columns=_columns(distribution),
        measured=sum(number for _, number in distribution),
        heat=heat,
        hours=range(24),
        analyses=analyses,
        trend=trend,
    )
