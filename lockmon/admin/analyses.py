"""The analyses of past periods."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from ..models import LockWaitAnalysis
from ..views import words
from ..views.export import Column
from . import filters
from .rows import TextAware

CLAIMED_TIMEOUTS = "lock_timeout_events: "
"""How analyze_lock_waits() begins what it says of timeouts in `unknown`."""


@admin.register(LockWaitAnalysis)
class LockWaitAnalysisAdmin(TextAware):
    """Analyses of a period."""

    list_display = (
        "begin",
        "end",
        "events",
        "waits",
        "deadlocks",
        "average",
        "p95",
        "longest",
        "table",
        "blocker",
        "trend",
    )
    list_display_links = ("begin",)
    when_field = "analysis_period_start"
    when_default = "month"
    told_of = ("analysis_period_start", "analysis_period_end")
    list_filter = (
        filters.WhenFilter,
        filters.text_filter("relation", "most_contended_table"),
        filters.TenantFilter,
    )
    ordering = ("-analysis_period_start",)
    search_fields = ("most_contended_table", "most_blocking_user", "most_blocked_user")
    heavy = ("contention_hotspots", "hash_diff")
    export_columns = tuple(
        Column(name, name)
        for name in [
            "analysis_period_start",
            "analysis_period_end",
            "total_lock_events",
            "blocking_events",
            "deadlock_events",
            "average_lock_wait_time_ms",
            "p50_lock_wait_time_ms",
            "p95_lock_wait_time_ms",
            "max_lock_wait_time_ms",
            "lock_timeout_events",
            "most_contended_table",
            "most_blocking_user",
            "most_blocked_user",
            "peak_concurrent_locks",
            "lock_efficiency_score",
            "blocked_seconds",
            "previous_blocked_seconds",
            "trend_direction",
            "watched_share",
            "previous_watched_share",
            "recommended_optimizations",
            "unknown",
        ]
    )
    fieldsets = (
        ("Period", {"fields": ("begin", "end", "trend", "blocked", "before")}),
        ("Waits", {"fields": ("waits", "average", "median", "p95", "longest", "timeouts", "deadlocks")}),
        ("Who and what", {"fields": ("table", "blocker", "blocked_user", "peak", "efficiency")}),
        ("What to do", {"fields": ("advice", "not_known")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).filter(load_end_date=None)

    @admin.display(description="from", ordering="analysis_period_start")
    def begin(self, row: LockWaitAnalysis) -> SafeString:
        return words.moment(row.analysis_period_start, "minute")

    @admin.display(description="to", ordering="analysis_period_end")
    def end(self, row: LockWaitAnalysis) -> SafeString:
        return words.moment(row.analysis_period_end, "minute")

    @admin.display(description="lock events")
    def events(self, row: LockWaitAnalysis) -> str:
        return words.count(row.total_lock_events)

    @admin.display(description="blocking events")
    def waits(self, row: LockWaitAnalysis) -> str:
        return words.count(row.blocking_events)

    @admin.display(description="deadlocks")
    def deadlocks(self, row: LockWaitAnalysis) -> str:
        return words.count(row.deadlock_events)

    @admin.display(description="average wait")
    def average(self, row: LockWaitAnalysis) -> str:
        return _ms(row.average_lock_wait_time_ms)

    @admin.display(description="median wait")
    def median(self, row: LockWaitAnalysis) -> str:
        return _ms(row.p50_lock_wait_time_ms)

    @admin.display(description="p95 wait")
    def p95(self, row: LockWaitAnalysis) -> str:
        return _ms(row.p95_lock_wait_time_ms)

    @admin.display(description="longest wait")
    def longest(self, row: LockWaitAnalysis) -> str:
        return _ms(row.max_lock_wait_time_ms)

    @admin.display(description="lock timeouts")
    def timeouts(self, row: LockWaitAnalysis) -> str:
        told = next(
            (text for text in row.unknown or () if text.startswith(CLAIMED_TIMEOUTS) and " claimed " in text),
            "",
        )
        if row.lock_timeout_events is None and told:
            return words.one_line(told.removeprefix(CLAIMED_TIMEOUTS), 60)
        return words.count(row.lock_timeout_events)

    @admin.display(description="most contended")
    def table(self, row: LockWaitAnalysis) -> str:
        return words.one_line(row.most_contended_table, 60) or "none"

    @admin.display(description="most blocking user")
    def blocker(self, row: LockWaitAnalysis) -> str:
        return words.one_line(row.most_blocking_user, 40) or "none"

    @admin.display(description="most blocked user")
    def blocked_user(self, row: LockWaitAnalysis) -> str:
        return words.one_line(row.most_blocked_user, 40) or "none"

    @admin.display(description="most locks at once")
    def peak(self, row: LockWaitAnalysis) -> str:
        return words.count(row.peak_concurrent_locks)

    @admin.display(description="efficiency, 0 to 100")
    def efficiency(self, row: LockWaitAnalysis) -> str:
        return "unknown" if row.lock_efficiency_score is None else f"{row.lock_efficiency_score:.1f}"

    @admin.display(description="time blocked")
    def blocked(self, row: LockWaitAnalysis) -> str:
        return words.duration(row.blocked_seconds)

    @admin.display(description="the period before")
    def before(self, row: LockWaitAnalysis) -> str:
        return words.duration(row.previous_blocked_seconds)

    @admin.display(description="trend")
    def trend(self, row: LockWaitAnalysis) -> str:
        return words.one_line(row.trend_direction, 20).lower() or "unknown"

    @admin.display(description="recommended")
    def advice(self, row: LockWaitAnalysis) -> SafeString:
        items = row.recommended_optimizations or ()
        return format_html(
            "<ul>{}</ul>",
            format_html_join("", "<li>{}</li>", ((words.visible(item, 500),) for item in items)),
        )

    @admin.display(description="not known")
    def not_known(self, row: LockWaitAnalysis) -> str:
        return words.visible("; ".join(row.unknown or ()), 800) or "nothing"


def _ms(value: Any) -> str:
    return (
        "unknown"
        if value is None
        else words.duration(float(value) / 1000)
        if float(value) >= 1000
        else f"{float(value):.0f} ms"
    )
