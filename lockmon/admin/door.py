"""Admin of the door: the history of actions, and policies with the ways to their pages."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, update_wrapper
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from .. import vault
from ..calls import denied
from ..groups import CHANGE_SETTINGS, STOP_SESSION
from ..models.blocking import BlockingSession
from ..models.door import ActionLog, Policy
from ..views import policies, stopping, words
from ..views.context import VAULT
from ..views.export import Column
from ..views.heart import disarmed
from ..views.session_links import session_link
from . import filters
from .base import HistoryAdmin
from .episodes import BlockingSessionAdmin

COUNTED_DAYS = 7
MOST_COUNTED = 5
Pages = list[tuple[str, Callable[..., HttpResponse], str]]


def _paths(pages: Pages, site: admin.AdminSite) -> list[URLPattern]:
    return [
        path(route, site.admin_view(update_wrapper(partial(view, site=site), view)), name=name)
        for route, view, name in pages
    ]


def _counted(found: list[denied.Counted]) -> SafeString | str:
    """What is said of attempts without the right that are no rows of the list; empty where all are."""
    if not found:
        return ""
    said = format_html_join(
        "; ",
        "{}: {} more, first {}, last {}",
        (
            (
                words.one_line(one.acting_for or f"database role {one.logged_by}", 80),
                words.count(one.not_stored),
                words.moment(one.first_at),
                words.moment(one.last_at),
            )
            for one in found[:MOST_COUNTED]
        ),
    )
    more = len(found) - MOST_COUNTED
    rest = f"; {words.some(more, 'more person', 'more people')}" if more > 0 else ""
    return format_html(
        "Of the last {} days, denied attempts that were counted and are no rows here (the first 100 of a"
        " person in an hour are): {}{}.",
        COUNTED_DAYS,
        said,
        rest,
    )


@admin.register(ActionLog)
class ActionLogAdmin(HistoryAdmin):
    """Every action asked of the door: who or which policy, why, prediction, outcome, time to recovery."""

    list_display = (
        "number",
        "asked",
        "who",
        "action",
        "target",
        "why",
        "outcome",
        "predicted",
        "freed",
        "recovery",
    )
    list_display_links = None
    list_filter = (
        filters.WhenFilter,
        "outcome",
        "origin",
        "action",
        filters.text_filter("user", "target_user"),
        filters.text_filter("application", "target_application"),
    )
    search_fields = ("acting_for", "policy", "logged_by", "reason", "target_pid__exact", "target_application")
    ordering = ("-action_id",)
    shown_whole = ("acting_for",)
    when_field = "requested_at"
    when_default = "any"
    export_columns = (
        Column("number", "action_id"),
        Column("asked_at", "requested_at"),
        Column("login", "logged_by"),
        Column("acting_for", "acting_for"),
        Column("origin", "origin"),
        Column("policy", "policy"),
        Column("policy_version", "policy_version"),
        Column("action", "action"),
        Column("pid", "target_pid"),
        Column("connected", "target_backend_start"),
        Column("user", "target_user"),
        Column("application", "target_application"),
        Column("reason", "reason"),
        Column("behind_it", "blocked_at_request"),
        Column("predicted_freed", "predicted_freed"),
        Column("outcome", "outcome"),
        Column("code", "code"),
        Column("message", "message"),
        Column("gone_after_ms", "waited_ms"),
        Column("recovery_ms", "recovery_ms"),
        Column("comparison", "comparison"),
        Column("statement", "facts__query", text=True),
    )

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        with vault.cursor(VAULT) as cursor:
            told = _counted(denied.counted(cursor, COUNTED_DAYS))
        return super().changelist_view(request, {"ledger": told} | (extra_context or {}))

    @admin.display(description="number", ordering="action_id")
    def number(self, row: ActionLog) -> SafeString:
        address = reverse("admin:lockmon_action", args=[row.action_id])
        return format_html('<a href="{}">{}</a>', address, row.action_id)

    @admin.display(description="asked", ordering="requested_at")
    def asked(self, row: ActionLog) -> SafeString:
        return words.moment(row.requested_at)

    @admin.display(description="who", ordering="acting_for")
    def who(self, row: ActionLog) -> str:
        if row.policy:
            return f"policy {row.policy}"
        return words.one_line(row.acting_for or row.logged_by, 40)

    @admin.display(description="session", ordering="target_pid")
    def target(self, row: ActionLog) -> SafeString:
        name = words.one_line(row.target_application, 40)
        pid = session_link(row.target_pid, row.target_backend_start) if row.target_pid else "unknown"
        return format_html("{} {}", pid, name)

    @admin.display(description="why")
    def why(self, row: ActionLog) -> str:
        return words.one_line(row.reason, 80)

    @admin.display(description="predicted", ordering="predicted_freed")
    def predicted(self, row: ActionLog) -> str:
        return "" if row.predicted_freed is None else f"{row.predicted_freed:,}"

    @admin.display(description="freed")
    def freed(self, row: ActionLog) -> str:
        return str((row.comparison or {}).get("freed", ""))

    @admin.display(description="recovery", ordering="recovery_ms")
    def recovery(self, row: ActionLog) -> str:
        return "" if row.recovery_ms is None else f"{row.recovery_ms:,.0f} ms"

    def get_urls(self) -> list[URLPattern]:
        ours: Pages = [
            ("stop/", stopping.stop, "lockmon_stop"),
            ("outcome/", stopping.outcome, "lockmon_outcome"),
            ("<int:number>/", stopping.action, "lockmon_action"),
        ]
        return _paths(ours, self.admin_site) + super().get_urls()


@admin.register(Policy)
class PolicyAdmin(HistoryAdmin):
    """Policies that stop blocking sessions by rule, with their mode and what they did lately."""

    list_display = ("name", "shown_mode", "rule", "version", "edited", "stops_24h", "would_stop_24h")
    list_display_links = None
    list_filter = ("mode",)
    shown_whole = ("policy",)
    search_fields = ("policy", "description")
    ordering = ("policy",)
    change_list_template = "admin/lockmon/door/policy_list.html"

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        extra = {"may_edit": request.user.has_perm(CHANGE_SETTINGS), "ledger": disarmed()}
        return super().changelist_view(request, extra | (extra_context or {}))

    @admin.display(description="policy", ordering="policy")
    def name(self, row: Policy) -> SafeString:
        return format_html(
            '<a href="{}">{}</a>', reverse("admin:lockmon_policy", args=[row.policy]), row.policy
        )

    @admin.display(description="mode", ordering="mode")
    def shown_mode(self, row: Policy) -> SafeString:
        breaker = ", disarmed by its circuit breaker" if row.by_breaker else ""
        return format_html("<b>{}</b>{}", row.get_mode_display(), breaker)

    @admin.display(description="rule")
    def rule(self, row: Policy) -> str:
        return (
            f"{row.action.replace('_', ' ')} what is {row.min_severity} or worse and has held up"
            f" {words.some(row.min_blocked_sessions, 'session')} or more"
            f" for {words.duration(row.min_blocked_seconds)}"
        )

    @admin.display(description="edited", ordering="edited_at")
    def edited(self, row: Policy) -> SafeString:
        return format_html("{} by {}", words.moment(row.edited_at), words.one_line(row.edited_by, 40))

    def get_urls(self) -> list[URLPattern]:
        ours: Pages = [
            ("add/", policies.edit, "lockmon_policy_add"),
            ("backtest/<int:number>/", policies.backtest, "lockmon_backtest"),
            ("of/<str:name>/", policies.policy, "lockmon_policy"),
            ("of/<str:name>/rules/", policies.edit, "lockmon_policy_rules"),
            ("of/<str:name>/mode/", policies.set_mode, "lockmon_policy_mode"),
            ("of/<str:name>/backtest/", policies.run_backtest, "lockmon_policy_backtest"),
        ]
        return _paths(ours, self.admin_site) + super().get_urls()


admin.site.unregister(BlockingSession)


@admin.register(BlockingSession)
class StoppableSessionAdmin(BlockingSessionAdmin):
    """The list of blocking sessions, from which those of this moment can be stopped, one or several."""

    actions = ("stop_sessions",)  # type: ignore[assignment]

    def has_stop_permission(self, request: HttpRequest) -> bool:
        """Whether this person may stop sessions."""
        return request.user.has_perm(STOP_SESSION)

    @admin.action(description="Stop the selected sessions (asks first)", permissions=["stop"])
    def stop_sessions(
        self, request: HttpRequest, queryset: QuerySet[BlockingSession]
    ) -> HttpResponseRedirect | None:
        """Lead to the confirmation page for those that block now."""
        now = queryset.filter(load_end_date__isnull=True, session_pid__gt=0)
        pairs: list[tuple[str, str]] = []
        for pid, start in now.values_list("session_pid", "session_start_time")[: stopping.MOST]:
            if start is not None:
                pairs += [("pid", str(pid)), ("backend_start", start.isoformat())]
        if not pairs:
            messages.warning(request, "None of the selected sessions blocks anybody now. Nothing was done.")
            return None
        return HttpResponseRedirect(f"{reverse('admin:lockmon_stop')}?{urlencode(pairs)}")
