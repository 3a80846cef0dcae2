"""Admin of the monitor's own states and of past reports: both are read."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from ..models.api_token import ApiToken
from ..models.monitor_state import MonitorState
from ..models.report import PastReport


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """A list that nobody adds to, changes or deletes from here."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: object | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object | None = None) -> bool:
        return False


@admin.register(MonitorState)
class MonitorStateAdmin(ReadOnlyAdmin):
    """Loops and task queues, as they last reported."""

    list_display = (
        "vault_alias",
        "kind",
        "instance",
        "state",
        "since",
        "reported_at",
        "last_look_at",
        "reason",
    )
    list_filter = ("kind", "state")
    search_fields = ("instance", "reason")


@admin.register(ApiToken)
class ApiTokenAdmin(ReadOnlyAdmin):
    """Tokens of the JSON API; made by lockmon_token, withdrawn here or there."""

    list_display = ("name", "user", "made_at", "expires_at")
    search_fields = ("name", "user__username")

    def has_delete_permission(self, request: HttpRequest, obj: object | None = None) -> bool:
        return request.user.has_perm("lockmon.delete_apitoken")


@admin.register(PastReport)
class PastReportAdmin(ReadOnlyAdmin):
    """Reports that were made."""

    list_display = ("title", "period", "summary", "made_at", "sent_to")
    list_filter = ("period",)
    search_fields = ("title", "summary")
    fields = ("title", "summary", "made_at", "sent_to", "page")
    readonly_fields = ("page",)

    @admin.display(description="report")
    def page(self, report: PastReport) -> SafeString:
        # the report is a page of its own; in a frame without rights neither its styles nor its texts reach
        # ours
        return format_html(
            '<iframe title="{}" sandbox srcdoc="{}" width="900" height="700"></iframe>',
            report.title,
            report.html,
        )
