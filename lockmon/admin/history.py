"""The history of locks held and wanted."""

from __future__ import annotations

from datetime import datetime

from django.contrib import admin
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from ..models import LockActivity
from ..templatetags.lockmon import iso
from ..views import words
from ..views.export import Column
from ..views.session_links import session_link
from . import filters
from .rows import TextAware, nodes_in_words


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
        filters.text_filter("claimed tenant", "tenant_claim"),
        filters.TenantFilter,
        filters.VersionFilter,
    )
    search_fields = ("user_name", "application_name", "object_name", "lock_pid__exact")
    text_search = ("query_text",)
    search_help_text = "User, application, object, pid; query text where you may see it."
    heavy = ("query_text", "hash_diff")
    lasting = ("load_date", "load_end_date")
    told_of = lasting
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
                "last_seen_at",
                "not_seen_at",
                "log_end_at",
                "waited_ms",
            ]
        ),
        Column("query_text", "query_text", text=True),
    )
    fieldsets = (
        (
            "What",
            {
                "fields": (
                    "object",
                    "mode",
                    "lock_type",
                    "held",
                    "waited",
                    "wait_ended",
                    "outcome",
                    "resolution_timestamp",
                )
            },
        ),
        (
            "Who",
            {"fields": ("pid", "user", "application", "tenant", "client_addr", "database", "backend_start")},
        ),
        ("Blocked by", {"fields": ("blockers", "soft", "roots", "blockers_as_of", "then")}),
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

    @admin.display(description="no.")
    def number(self, row: LockActivity) -> int:
        return int(row.pk)

    @admin.display(description="pid", ordering="lock_pid")
    def pid(self, row: LockActivity) -> SafeString:
        return session_link(row.lock_pid, row.backend_start)

    @admin.display(description="database")
    def database(self, row: LockActivity) -> str:
        return words.printable_name(row.database_name, "none")

    @admin.display(description="tenant as claimed")
    def tenant(self, row: LockActivity) -> str:
        return words.one_line(row.tenant_claim, 60) or (
            "none claimed"
            if not row.lock_granted or row.blocking_count
            else "not kept of a lock that nobody waits for"
        )

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
        least, most = row.waited_seconds(timezone.now())
        if row.waited_ms is not None or (row.not_seen_at is not None and not row.wait_start_is_bound):
            return words.span(least, most)
        return ("at most " if row.wait_start_is_bound else "") + words.clock(most)

    @admin.display(description="the wait ended")
    def wait_ended(self, row: LockActivity) -> SafeString | str:
        if row.log_end_at is not None:
            return format_html("{}, as the server log says", words.moment(row.log_end_at))
        if row.not_seen_at is not None:
            return format_html(
                "between {} (last seen waiting) and {} (first look without it)",
                words.moment(row.last_seen_at),
                words.moment(row.not_seen_at),
            )
        return ""

    @admin.display(description="how it ended")
    def outcome(self, row: LockActivity) -> str:
        if row.resolution_action:
            return words.ENDINGS.get(row.resolution_action, words.one_line(row.resolution_action, 60))
        return "" if row.load_end_date is None else "changed"

    @admin.display(description="held by (hard blocks)")
    def blockers(self, row: LockActivity) -> str:
        return nodes_in_words(row.blocking_nodes)

    @admin.display(description="queued ahead (soft blocks)")
    def soft(self, row: LockActivity) -> str:
        return nodes_in_words(row.soft_blocking_nodes)

    @admin.display(description="root blockers")
    def roots(self, row: LockActivity) -> str:
        return nodes_in_words(row.root_nodes)

    @admin.display(description="blockers as of")
    def blockers_as_of(self, row: LockActivity) -> SafeString | str:
        if row.lock_granted:
            return ""
        if row.queue_position is None or row.queue_position == 1:
            return words.moment(row.load_date)
        return format_html(
            "{}: of equivalent waiters in a queue only the first one's row is written again when its blockers"
            " change. This one stood at place {} and keeps the blockers that it had then; the tree shows"
            " those of any moment.",
            words.moment(row.load_date),
            row.queue_position,
        )

    @admin.display(description="the tree then")
    def then(self, row: LockActivity) -> SafeString:
        return _then(row.load_end_date or row.load_date)

    @admin.display(description="statement")
    def statement(self, row: LockActivity) -> SafeString | str:
        return self._text(row, row.query_text)

    @admin.display(description="key")
    def hub(self, row: LockActivity) -> str:
        return str(row.lock_activity_id)


def _then(moment: datetime) -> SafeString:
    """Return the link to the tree at a moment."""
    return format_html(
        '<a href="{}?at={}">{}</a>', reverse("admin:lockmon_time"), iso(moment), words.moment(moment)
    )
