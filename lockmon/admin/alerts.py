"""Admin of alerts and their events: lists that show the state now, and the ways to the pages of
lockmon.alerts.pages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import F, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from .. import errors
from ..alerts import messages as texts
from ..alerts import pages, pictures
from ..groups import CHANGE_SETTINGS
from ..models.alerts import Alert, AlertEvent, AlertMessage
from ..views import words
from ..views.export import Column
from ..views.heart import disarmed
from . import filters
from .base import HistoryAdmin


@admin.register(Alert)
class AlertAdmin(HistoryAdmin):
    """Every alert with its state now, its last value and when it fired last. Editing writes a new
    version."""

    list_display = (
        "name",
        "state",
        "value",
        "chart",
        "rule",
        "alert_severity",
        "last_fired",
        "events_30_days",
    )
    list_filter = ("is_active", "alert_severity", "level")
    shown_whole = ("state_now",)
    search_fields = ("alert_name", "description")
    ordering = (F("open_event_key").asc(nulls_last=True), "-is_active", "alert_name")  # type: ignore[assignment]
    list_display_links = None
    change_list_template = "admin/lockmon/alerts/alert_list.html"

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        may_edit = request.user.has_perm(CHANGE_SETTINGS)
        extra: dict[str, Any] = {"may_edit": may_edit, "dead": pages.dead_channels() if may_edit else []}
        extra["ledger"] = disarmed()
        return super().changelist_view(request, extra | (extra_context or {}))

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        """The list; what was watched is read once for all its charts."""
        found = super().get_changelist_instance(request)
        alerts = list(found.result_list)
        seen = pictures.watched_of(alerts)
        for alert in alerts:
            alert.seen = seen
        found.result_list = alerts
        return found

    @admin.display(description="alert", ordering="alert_name")
    def name(self, alert: Alert) -> SafeString:
        return format_html(
            '<a href="{}">{}</a>', reverse("admin:lockmon_alert_change", args=[alert.pk]), alert.alert_name
        )

    @admin.display(description="state now", ordering="state_now")
    def state(self, alert: Alert) -> SafeString:
        return pictures.state_badge(alert)

    @admin.display(description="value", ordering="last_value")
    def value(self, alert: Alert) -> str:
        return texts.number(alert.last_value) if alert.evaluated_at else "none yet"

    @admin.display(description="lately")
    def chart(self, alert: Alert) -> SafeString:
        return pictures.sparkline(alert, alert.seen)

    @admin.display(description="rule")
    def rule(self, alert: Alert) -> str:
        return texts.rule_in_words(alert.warning_threshold, alert.critical_threshold)

    @admin.display(description="last fired", ordering="last_fired_at")
    def last_fired(self, alert: Alert) -> SafeString | str:
        if alert.last_fired_at is None:
            return "never"
        events = reverse("admin:lockmon_alertevent_changelist")
        return format_html(
            '<a href="{}?{}">{}</a>',
            events,
            urlencode({"alert_key": alert.pk}),
            words.moment(alert.last_fired_at),
        )

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        site = self.admin_site
        ours: list[tuple[str, Callable[..., HttpResponse], str]] = [
            ("add/", pages.add, "lockmon_alert_add"),
            ("<str:key>/change/", pages.change, "lockmon_alert_change"),
            ("<str:key>/history/", pages.history, "lockmon_alert_history"),
            ("<str:key>/copy/", pages.copy, "lockmon_alert_copy"),
            ("<str:key>/switch/", pages.switch, "lockmon_alert_switch"),
            ("<str:key>/snooze/", pages.snooze, "lockmon_alert_snooze"),
            ("<str:key>/test/", pages.test_message, "lockmon_alert_test"),
        ]
        return [
            path(route, wrap(pages.bound(view, site)), name=name) for route, view, name in ours
        ] + super().get_urls()


class EventStateFilter(admin.SimpleListFilter):
    """Unresolved by default is what people look for; all others one click away."""

    title = "state"
    parameter_name = "is"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("open", "unresolved"), ("told", "unresolved, not acknowledged"), ("resolved", "over")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[AlertEvent]) -> QuerySet[AlertEvent]:
        match self.value():
            case "open":
                return queryset.filter(is_open=True)
            case "told":
                return queryset.filter(event_state__in=("warning", "critical", "error", "escalated"))
            case "resolved":
                return queryset.filter(is_open=False)
        return queryset


@admin.register(AlertEvent)
class AlertEventAdmin(HistoryAdmin):
    """Alert events; people act on them here, on an event's own page and with manage.py lockmon_alerts."""

    list_display = (
        "alert",
        "badge",
        "shown_value",
        "since",
        "lasted",
        "acknowledged_by",
        "ended",
        "notification_count",
    )
    list_filter = (filters.WhenFilter, EventStateFilter, "worst_level", "alert_severity")
    search_fields = ("alert_name", "note")
    ordering = ("-is_open", "-raised_at")  # type: ignore[assignment]
    when_field = "raised_at"
    when_default = "any"
    asked_by = ("alert_key",)
    export_columns = tuple(
        Column(name, name)
        for name in (
            "alert_name",
            "alert_category",
            "alert_severity",
            "event_state",
            "level",
            "worst_level",
            "value",
            "worst_value",
            "sentence",
            "started_at",
            "raised_at",
            "last_notified_at",
            "notification_count",
            "escalated_at",
            "acknowledged_at",
            "acknowledged_by",
            "snoozed_until",
            "resolved_at",
            "resolved_by",
            "note",
        )
    )
    list_display_links = None
    change_list_template = "admin/lockmon/alerts/event_list.html"
    actions = ("acknowledge", "snooze", "resolve")  # type: ignore[assignment]

    def has_act_permission(self, request: HttpRequest) -> bool:
        """Whether this person may act on events; used by the actions' ``permissions``."""
        return bool(request.user.has_perm(CHANGE_SETTINGS))

    @admin.display(description="alert", ordering="alert_name")
    def alert(self, event: AlertEvent) -> SafeString:
        return format_html(
            '<a href="{}">{}</a>', reverse("admin:lockmon_alert_event", args=[event.pk]), event.alert_name
        )

    @admin.display(description="state", ordering="event_state")
    def badge(self, event: AlertEvent) -> SafeString:
        return pictures.event_badge(event)

    @admin.display(description="value", ordering="value")
    def shown_value(self, event: AlertEvent) -> str:
        return texts.number(event.value)

    @admin.display(description="since", ordering="started_at")
    def since(self, event: AlertEvent) -> SafeString:
        return words.moment(event.started_at)

    @admin.display(description="ended", ordering="resolved_at")
    def ended(self, event: AlertEvent) -> SafeString | str:
        return words.moment(event.resolved_at) if event.resolved_at else "not yet"

    @admin.display(description="lasted")
    def lasted(self, event: AlertEvent) -> str:
        return pictures.lasted(event)

    def _confirm(self, request: HttpRequest, queryset: QuerySet[AlertEvent], action: str) -> HttpResponse:
        keys = ",".join(queryset.filter(is_open=True).values_list("pk", flat=True)[:50])
        address = reverse("admin:lockmon_alertevent_act", args=[action])
        return HttpResponseRedirect(f"{address}?{urlencode({'keys': keys})}")

    @admin.action(description="Acknowledge…", permissions=["act"])
    def acknowledge(self, request: HttpRequest, queryset: QuerySet[AlertEvent]) -> HttpResponse:
        return self._confirm(request, queryset, "acknowledge")

    @admin.action(description="Snooze…", permissions=["act"])
    def snooze(self, request: HttpRequest, queryset: QuerySet[AlertEvent]) -> HttpResponse:
        return self._confirm(request, queryset, "snooze")

    @admin.action(description="Resolve…", permissions=["act"])
    def resolve(self, request: HttpRequest, queryset: QuerySet[AlertEvent]) -> HttpResponse:
        return self._confirm(request, queryset, "resolve")

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        site = self.admin_site
        return [
            path("act/<str:action>/", wrap(pages.bound(pages.act, site)), name="lockmon_alertevent_act"),
            path("<str:key>/change/", wrap(pages.bound(pages.event, site)), name="lockmon_alert_event"),
            *super().get_urls(),
        ]


@admin.register(AlertMessage)
class AlertMessageAdmin(HistoryAdmin):
    """What was told, when, and with what success; not to whom."""

    list_display = (
        "message_id",
        "kind",
        "sent_by",
        "state",
        "created_at",
        "sent_at",
        "attempts",
        "last_outcome",
        "last_sentence",
    )
    list_filter = ("kind", "state")
    shown_whole = ("sent_by",)

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        """A recipient's own answer can quote the message: it is for who may see query texts."""
        shown = super().get_list_display(request)
        cut = not self.sees_texts(request)
        return ["problem" if cut and name == "last_sentence" else name for name in shown]

    @admin.display(description="last sentence")
    def problem(self, message: AlertMessage) -> str:
        return errors.problem(message.last_sentence, may_see=False)

    ordering = ("-message_id",)
