"""The history of blocking episodes."""

from __future__ import annotations

from django.contrib import admin
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from ..models import BlockingSession
from ..views import words
from ..views.export import Column
from ..views.session_links import session_link
from . import filters
from .rows import TextAware


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
        filters.text_filter("claimed tenant", "tenant_claim"),
        filters.TenantFilter,
        filters.EpisodeVersionFilter,
    )
    search_fields = ("user_name", "application_name", "session_pid__exact")
    text_search = ("current_query",)
    search_help_text = "User, application, pid; query text where you may see it."
    heavy = ("current_query", "hash_diff")
    lasting = ("load_date", "load_end_date")
    told_of = lasting
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
                "tenant_claim",
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
            {
                "fields": (
                    "pid",
                    "user",
                    "application",
                    "tenant",
                    "client_addr",
                    "database_name",
                    "session_start_time",
                )
            },
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

    @admin.display(description="blocking since", ordering="blocking_since")
    def since(self, row: BlockingSession) -> SafeString:
        return words.moment(row.blocking_since or row.load_date, "short")

    @admin.display(description="severity", ordering="blocking_severity")
    def severity(self, row: BlockingSession) -> SafeString:
        return words.severity_badge(row.blocking_severity)

    @admin.display(description="pid", ordering="session_pid")
    def pid(self, row: BlockingSession) -> SafeString | str:
        if row.prepared_gid:
            return f"prepared '{words.one_line(row.prepared_gid, 40)}'"
        return session_link(row.session_pid, row.session_start_time)

    @admin.display(description="tenant as claimed")
    def tenant(self, row: BlockingSession) -> str:
        return words.one_line(row.tenant_claim, 60) or "none claimed"

    @admin.display(description="what it was")
    def what(self, row: BlockingSession) -> str:
        return words.article(row.kind)

    @admin.display(description="behind it", ordering="blocked_sessions_count")
    def behind(self, row: BlockingSession) -> str:
        return words.count(row.blocked_sessions_count)

    @admin.display(description="lasted")
    def lasted(self, row: BlockingSession) -> str:
        end = row.ended_at or row.load_end_date or timezone.now()
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
