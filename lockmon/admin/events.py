"""The history of deadlocks."""

from __future__ import annotations

from functools import partial, update_wrapper
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from ..groups import CHANGE_SETTINGS
from ..models import DeadlockEvent
from ..views import words
from ..views.export import Column
from ..views.heart import ledger_sentence
from ..views.log_import import log_import
from . import filters
from .rows import TextAware, nodes_in_words


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

    def get_urls(self) -> list[URLPattern]:
        view = update_wrapper(partial(log_import, site=self.admin_site), log_import)
        ours = path("import-log/", self.admin_site.admin_view(view), name="lockmon_log_import")
        return [ours, *super().get_urls()]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The list, with the way to import a log for whoever may."""
        may = request.user.has_perm(CHANGE_SETTINGS)
        extra = {
            "import_url": reverse("admin:lockmon_log_import") if may else None,
            "claimed_url": reverse("admin:lockmon_claimed"),
            "ledger": ledger_sentence() if self.has_view_permission(request) else None,
        }
        return super().changelist_view(request, {**extra, **(extra_context or {})})

    @admin.display(description="when", ordering="deadlock_timestamp")
    def moment(self, row: DeadlockEvent) -> SafeString:
        address = reverse("admin:lockmon_deadlock", args=[row.deadlock_event_id])
        return format_html('<a href="{}">{}</a>', address, words.moment(row.deadlock_timestamp, "short"))

    @admin.display(description="sessions")
    def pids(self, row: DeadlockEvent) -> str:
        return nodes_in_words(row.involved_pids)

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
