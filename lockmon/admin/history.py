"""History lists: lock activity, blocking episodes, deadlocks, analyses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from ..groups import VIEW_QUERY_TEXT
from ..models import BlockingSession, DeadlockEvent, LockActivity, LockWaitAnalysis
from ..views import words
from ..views.export import Column
from . import filters
from .base import HistoryAdmin


class TextAware(HistoryAdmin):
    """A history list whose rows carry query text."""

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        found = super().get_queryset(request)
        if request.resolver_match and str(request.resolver_match.url_name).endswith("_changelist"):
            found = found.defer(*self.heavy)
        return found

    heavy: tuple[str, ...] = ()

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        found = super().get_object(request, object_id, from_field)
        if found is not None:
            found.see_text = request.user.has_perm(VIEW_QUERY_TEXT)
        return found

    def _text(self, row: Any, text: str | None) -> SafeString | str:
        shown = text if getattr(row, "see_text", False) else words.hide_literals(text)
        if not shown:
            return "unknown"
        return format_html('<pre class="sql" tabindex="0">{}</pre>', words.highlight_sql(shown))

    @admin.display(description="from")
    def began(self, row: Any) -> SafeString:
        return words.moment(row.load_date, "short")

    @admin.display(description="to")
    def ended(self, row: Any) -> SafeString | str:
        return words.moment(row.load_end_date, "short") if row.load_end_date else "present"

    @admin.display(description="user", ordering="user_name")
    def user(self, row: Any) -> str:
        return words.printable_name(row.user_name, "unknown")

    @admin.display(description="application", ordering="application_name")
    def application(self, row: Any) -> str:
        return words.printable_name(row.application_name)


@admin.register(LockActivity)
class LockActivityAdmin(TextAware):
    """Locks held and wanted."""

    list_display = (
        "number",
        "began",
        "ended",
        "pid",
        "user",
        "application",
        "mode",
        "object",
        "held",
        "waited",
        "outcome",
    )
    list_display_links = ("number",)
    list_filter = (
        filters.WhenFilter,
        filters.GrantedFilter,
        filters.EndedFilter,
        filters.ModeFilter,
        filters.LockTypeFilter,
        filters.text_filter("relation", "table_name", "relation_name"),
        filters.text_filter("user", "user_name"),
        filters.text_filter("application", "application_name"),
        filters.text_filter("database", "database_name"),
        filters.TenantFilter,
        filters.VersionFilter,
    )
    search_fields = ("user_name", "application_name", "object_name", "lock_pid__exact")
    text_search = ("query_text",)
    search_help_text = "User, application, object, pid; query text where you may see it."
    heavy = ("query_text", "hash_diff")
    text_fields = ("query_text",)
    export_columns = (
        *(
            Column(name, name)
            for name in [
                "load_date",
                "load_end_date",
                "lock_pid",
                "backend_start",
                "user_name",
                "application_name",
                "client_addr",
                "database_name",
                "lock_type",
                "lock_mode",
                "schema_name",
                "table_name",
                "object_name",
                "row_page",
                "row_tuple",
                "lock_granted",
                "wait_start",
                "wait_start_is_bound",
                "lock_duration_seconds",
                "blocking_nodes",
                "soft_blocking_nodes",
                "root_nodes",
                "session_state",
                "transaction_start",
                "query_start",
                "resolution_action",
                "resolution_timestamp",
            ]
        ),
        Column("query_text", "query_text", text=True),
    )
    fieldsets = (
        (
            "What",
            {"fields": ("object", "mode", "lock_type", "held", "waited", "outcome", "resolution_timestamp")},
        ),
        (
            "Who",
            {"fields": ("pid", "user", "application", "tenant", "client_addr", "database", "backend_start")},
        ),
        ("Blocked by", {"fields": ("blockers", "soft", "roots", "then")}),
        (
            "Statement",
            {"fields": ("statement", "query_truncated", "query_start", "transaction_start", "session_state")},
        ),
        (
            "Version",
            {
                "fields": ("began", "ended", "held_since_at_least", "lock_fastpath", "hub"),
                "classes": ("collapse",),
            },
        ),
    )

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Sequence[str]:
        return [name for _, options in self.fieldsets for name in options["fields"]]

    @admin.display(description="no.")
    def number(self, row: LockActivity) -> int:
        return int(row.pk)

    @admin.display(description="pid", ordering="lock_pid")
    def pid(self, row: LockActivity) -> int:
        return int(row.lock_pid)

    @admin.display(description="database")
    def database(self, row: LockActivity) -> str:
        return words.printable_name(row.database_name, "none")

    @admin.display(description="tenant as claimed")
    def tenant(self, row: LockActivity) -> str:
        return words.one_line(words.tenant_claim(row.application_name), 60) or "none claimed"

    @admin.display(description="mode", ordering="lock_mode")
    def mode(self, row: LockActivity) -> str:
        return str(row.lock_mode).removesuffix("Lock")

    @admin.display(description="object")
    def object(self, row: LockActivity) -> str:
        return words.one_line(row.object_name or row.relation_name or row.lock_type, 90)

    @admin.display(description="state")
    def held(self, row: LockActivity) -> str:
        if row.lock_granted is None:
            return "unknown"
        return "held" if row.lock_granted else "waiting"

    @admin.display(description="waited")
    def waited(self, row: LockActivity) -> str:
        if row.lock_granted:
            return ""
        end = row.load_end_date or _now()
        bound = "at most " if row.wait_start_is_bound else ""
        return bound + words.clock(words.seconds_between(row.wait_start or row.load_date, end))

    @admin.display(description="how it ended")
    def outcome(self, row: LockActivity) -> str:
        if row.resolution_action:
            return words.ENDINGS.get(row.resolution_action, words.one_line(row.resolution_action, 60))
        return "" if row.load_end_date is None else "changed"

    @admin.display(description="held by (hard blocks)")
    def blockers(self, row: LockActivity) -> str:
        return _nodes(row.blocking_nodes)

    @admin.display(description="queued ahead (soft blocks)")
    def soft(self, row: LockActivity) -> str:
        return _nodes(row.soft_blocking_nodes)

    @admin.display(description="root blockers")
    def roots(self, row: LockActivity) -> str:
        return _nodes(row.root_nodes)

    @admin.display(description="the tree then")
    def then(self, row: LockActivity) -> SafeString:
        return _then(row.load_end_date or row.load_date)

    @admin.display(description="statement")
    def statement(self, row: LockActivity) -> SafeString | str:
        return self._text(row, row.query_text)

    @admin.display(description="key")
    def hub(self, row: LockActivity) -> str:
        return str(row.lock_activity_id)


@admin.register(BlockingSession)
class BlockingSessionAdmin(TextAware):
    """Blocking episodes: who held up whom, how bad it was, how it ended."""

    list_display = (
        "since",
        "severity",
        "pid",
        "user",
        "application",
        "what",
        "behind",
        "lasted",
        "root",
        "outcome",
        "story",
    )
    list_display_links = ("since",)
    list_filter = (
        filters.WhenFilter,
        filters.SeverityFilter,
        filters.RootFilter,
        filters.EpisodeEndedFilter,
        filters.KindFilter,
        filters.text_filter("user", "user_name"),
        filters.text_filter("application", "application_name"),
        filters.text_filter("database", "database_name"),
        filters.TenantFilter,
        filters.EpisodeVersionFilter,
    )
    search_fields = ("user_name", "application_name", "session_pid__exact")
    text_search = ("current_query",)
    search_help_text = "User, application, pid; query text where you may see it."
    heavy = ("current_query", "hash_diff")
    export_columns = (
        *(
            Column(name, name)
            for name in [
                "load_date",
                "load_end_date",
                "blocking_since",
                "session_pid",
                "session_start_time",
                "user_name",
                "application_name",
                "client_addr",
                "database_name",
                "session_state",
                "kind",
                "is_root",
                "blocking_severity",
                "blocked_sessions_count",
                "directly_blocked_count",
                "blocked_seconds",
                "blocking_duration_seconds",
                "total_locks_held",
                "exclusive_locks_held",
                "waits_for",
                "hard_blockers",
                "soft_blockers",
                "root_nodes",
                "backend_xid",
                "prepared_gid",
                "recommended_action",
                "ended_how",
                "ended_at",
            ]
        ),
        Column("current_query", "current_query", text=True),
    )
    fieldsets = (
        ("What", {"fields": ("severity", "what", "behind", "lasted", "outcome", "story", "advice")}),
        (
            "Who",
            {"fields": ("pid", "user", "application", "client_addr", "database_name", "session_start_time")},
        ),
        ("Locks", {"fields": ("total_locks_held", "exclusive_locks_held", "backend_xid", "waits_for")}),
        (
            "Statement",
            {
                "fields": (
                    "statement",
                    "query_truncated",
                    "session_state",
                    "state_change",
                    "transaction_start",
                )
            },
        ),
        ("Version", {"fields": ("began", "ended"), "classes": ("collapse",)}),
    )

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Sequence[str]:
        return [name for _, options in self.fieldsets for name in options["fields"]]

    @admin.display(description="blocking since", ordering="satellite_id")
    def since(self, row: BlockingSession) -> SafeString:
        return words.moment(row.blocking_since or row.load_date, "short")

    @admin.display(description="severity", ordering="blocking_severity")
    def severity(self, row: BlockingSession) -> SafeString:
        return words.severity_badge(row.blocking_severity)

    @admin.display(description="pid", ordering="session_pid")
    def pid(self, row: BlockingSession) -> str:
        return (
            f"prepared '{words.one_line(row.prepared_gid, 40)}'" if row.prepared_gid else str(row.session_pid)
        )

    @admin.display(description="what it was")
    def what(self, row: BlockingSession) -> str:
        return words.article(row.kind)

    @admin.display(description="behind it", ordering="blocked_sessions_count")
    def behind(self, row: BlockingSession) -> str:
        return words.count(row.blocked_sessions_count)

    @admin.display(description="lasted")
    def lasted(self, row: BlockingSession) -> str:
        end = row.ended_at or row.load_end_date or _now()
        return words.clock(words.seconds_between(row.blocking_since or row.load_date, end))

    @admin.display(description="root", boolean=False)
    def root(self, row: BlockingSession) -> str:
        return "root" if row.is_root else "in the queue"

    @admin.display(description="how it ended")
    def outcome(self, row: BlockingSession) -> str:
        if row.ended_how:
            return words.ENDINGS.get(row.ended_how, words.one_line(row.ended_how, 60))
        return "still blocking" if row.load_end_date is None else "changed"

    @admin.display(description="story")
    def story(self, row: BlockingSession) -> SafeString:
        return format_html(
            '<a href="{}">story</a>', reverse("admin:lockmon_episode", args=[row.blocking_session_id])
        )

    @admin.display(description="recommended action")
    def advice(self, row: BlockingSession) -> str:
        return words.visible(row.recommended_action, 800) or "none"

    @admin.display(description="statement")
    def statement(self, row: BlockingSession) -> SafeString | str:
        return self._text(row, row.current_query)


@admin.register(DeadlockEvent)
class DeadlockEventAdmin(TextAware):
    """Deadlocks, one row each; the number links to the drawing."""

    list_display = ("moment", "pids", "victim", "users", "tables", "source", "similar", "how", "page_link")
    list_display_links = None
    when_field = "deadlock_timestamp"
    list_filter = (
        filters.WhenFilter,
        filters.text_filter("victim", "deadlock_victim_pid"),
        filters.text_filter("pattern", "pattern_hash"),
        filters.TenantFilter,
    )
    ordering = ("-deadlock_timestamp",)
    search_fields = ("deadlock_id", "pattern_hash")
    text_search = ("deadlock_victim_query",)
    search_help_text = "Deadlock id, pattern; the victim's statement where you may see it."
    heavy = (
        "log_excerpt",
        "involved_queries",
        "deadlock_victim_query",
        "deadlock_graph",
        "participants",
        "hash_diff",
    )
    export_columns = (
        *(
            Column(name, name)
            for name in [
                "deadlock_timestamp",
                "deadlock_id",
                "involved_pids",
                "involved_users",
                "deadlock_victim_pid",
                "deadlock_resolution",
                "deadlock_duration_ms",
                "affected_tables",
                "lock_types_involved",
                "similar_deadlocks_count",
                "pattern_hash",
                "sources",
                "prevention_suggestion",
                "unknown",
            ]
        ),
        Column("involved_queries", "involved_queries", text=True),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).filter(load_end_date=None)

    @admin.display(description="when", ordering="deadlock_timestamp")
    def moment(self, row: DeadlockEvent) -> SafeString:
        address = reverse("admin:lockmon_deadlock", args=[row.deadlock_event_id])
        return format_html('<a href="{}">{}</a>', address, words.moment(row.deadlock_timestamp, "short"))

    @admin.display(description="sessions")
    def pids(self, row: DeadlockEvent) -> str:
        return _nodes(row.involved_pids)

    @admin.display(description="victim", ordering="deadlock_victim_pid")
    def victim(self, row: DeadlockEvent) -> str:
        return "unknown" if row.deadlock_victim_pid is None else str(row.deadlock_victim_pid)

    @admin.display(description="users")
    def users(self, row: DeadlockEvent) -> str:
        return (
            words.one_line(", ".join(sorted({name for name in row.involved_users or () if name})), 60)
            or "unknown"
        )

    @admin.display(description="tables")
    def tables(self, row: DeadlockEvent) -> str:
        return words.one_line(", ".join(row.affected_tables or ()), 80) or "unknown"

    @admin.display(description="captured by")
    def source(self, row: DeadlockEvent) -> str:
        return ", ".join(row.sources or ()) or "unknown"

    @admin.display(description="of this pattern", ordering="similar_deadlocks_count")
    def similar(self, row: DeadlockEvent) -> str:
        return words.count(row.similar_deadlocks_count)

    @admin.display(description="how it ended")
    def how(self, row: DeadlockEvent) -> str:
        return words.one_line(row.deadlock_resolution, 50) or "unknown"

    @admin.display(description="drawing")
    def page_link(self, row: DeadlockEvent) -> SafeString:
        return format_html(
            '<a href="{}">drawing</a>', reverse("admin:lockmon_deadlock", args=[row.deadlock_event_id])
        )


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

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Sequence[str]:
        return [name for _, options in self.fieldsets for name in options["fields"]]

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


def _nodes(values: Sequence[int] | None) -> str:
    if not values:
        return "nobody"
    shown = [str(item) if item >= 0 else f"prepared transaction {-item}" for item in values[:20]]
    return ", ".join(shown) + (f" and {len(values) - 20} more" if len(values) > 20 else "")


def _then(moment: Any) -> SafeString:
    from ..templatetags.lockmon import iso

    return format_html(
        '<a href="{}?at={}">{}</a>', reverse("admin:lockmon_time"), iso(moment), words.moment(moment)
    )


def _now() -> Any:
    from django.utils import timezone

    return timezone.now()
