"""Pages of alerts: one alert with its form, its versions, one event, and what people do on them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial, update_wrapper
from typing import Any

from django.contrib import messages as flash
from django.contrib.admin import AdminSite
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone

from lockmon import errors, vault, watched_words
from lockmon.calls import alert_messages as outbox
from lockmon.calls import alerts as calls
from lockmon.groups import CHANGE_SETTINGS, VIEW_PAGES, VIEW_QUERY_TEXT
from lockmon.models.alerts import Alert, AlertEvent, AlertEventVersion, AlertMessage, AlertVersion
from lockmon.standing.causes import in_a_sentence
from lockmon.views import words
from lockmon.views.context import page
from lockmon.views.figures import watched_between

from . import delivery, messages
from .forms import ActForm, AlertForm, SnoozeForm, initial_of, key_of
from .pictures import event_badge, lasted, sparkline, state_badge, watched_of

ALIAS = "vault"
DONE = {"acknowledge": "acknowledged", "snooze": "snoozed", "resolve": "resolved"}


def bound(view: Callable[..., HttpResponse], site: AdminSite) -> Callable[..., HttpResponse]:
    """Return the view for this admin site."""
    return update_wrapper(partial(view, site=site), view)


def _may_edit(request: HttpRequest) -> None:
    if not request.user.has_perm(CHANGE_SETTINGS):
        raise PermissionDenied


def _may_see(request: HttpRequest) -> None:
    if not request.user.has_perm(VIEW_PAGES):
        raise PermissionDenied


def _sees_text(request: HttpRequest) -> bool:
    return bool(request.user.has_perm(VIEW_QUERY_TEXT))


def _whole(request: HttpRequest, key: str) -> str | None:
    """PostgreSQL's own sentence of why an alert's query fails now, for whoever may see query texts."""
    if not _sees_text(request):
        return None
    with vault.cursor(ALIAS) as cursor:
        return calls.whole_sentence(cursor, _key(key))


def _who(request: HttpRequest) -> str:
    return request.user.get_username()


def _key(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise Http404("This is no key of an alert.") from None


def _alert(key: str) -> Alert:
    _key(key)
    found: Alert | None = Alert._default_manager.filter(pk=key).first()
    if found is None:
        raise Http404("There is no such alert.")
    return found


def _to(name: str, *args: str) -> HttpResponseRedirect:
    return HttpResponseRedirect(reverse(f"admin:{name}", args=args))


def dead_channels() -> list[outbox.ChannelState]:
    """Return recipients whose last three attempts failed; administrators only."""
    with vault.admin_transaction(ALIAS) as cursor:
        return outbox.dead_channels(cursor)


def _form_page(
    request: HttpRequest, site: AdminSite, form: AlertForm, title: str, **context: Any
) -> HttpResponse:
    return page(request, site, "admin/lockmon/alerts/form.html", title, form=form, **context)


def _save(request: HttpRequest, form: AlertForm, key: bytes, version: int | None) -> str | None:
    """Save the next version; returns why not, in one sentence."""
    try:
        with vault.admin_transaction(ALIAS) as cursor:
            calls.save_alert_configuration(
                cursor, key, version, form.values(), _who(request), form.cleaned_data["change_note"] or None
            )
    except DatabaseError as error:
        if getattr(errors.cause_of(error), "sqlstate", None):
            return errors.for_person(error, _sees_text(request))
        raise
    return None


def add(request: HttpRequest, site: AdminSite, initial: dict[str, Any] | None = None) -> HttpResponse:
    """A new alert. Trying it saves nothing."""
    _may_edit(request)
    form = AlertForm(request.POST or None, initial=initial, alias=ALIAS, see_text=_sees_text(request))
    if request.method == "POST" and form.is_valid() and "try" not in request.POST:
        key = key_of(form.cleaned_data["alert_name"])
        problem = _save(request, form, key, None)
        if problem is None:
            flash.success(request, f"Saved. {form.trial}")
            return _to("lockmon_alert_change", key.hex())
        form.add_error(None, problem)
    return _form_page(request, site, form, "New alert")


def change(request: HttpRequest, site: AdminSite, key: str) -> HttpResponse:
    """One alert: state, values, events, and the form for those who may edit."""
    _may_see(request)
    alert = _alert(key)
    may_edit = request.user.has_perm(CHANGE_SETTINGS)
    form, channels_now, sent = None, [], []
    if request.method == "POST":
        _may_edit(request)
        form = AlertForm(request.POST, alias=ALIAS, see_text=_sees_text(request))
        if form.is_valid() and "try" not in request.POST:
            problem = _save(request, form, _key(key), form.cleaned_data["version"] or -1)
            if problem is None:
                flash.success(request, f"Saved as a new version. {form.trial}")
                return _to("lockmon_alert_change", key)
            form.add_error(None, problem)
    if may_edit:
        with vault.admin_transaction(ALIAS) as cursor:
            version = calls.alert_version(cursor, _key(key))
            who = outbox.alert_recipients(cursor, _key(key))
            channels_now = outbox.channel_states(cursor, (*who.everyone, *who.escalation))
            sent = outbox.sent_messages(cursor, _key(key), None, 20)
        if form is None and version is not None:
            form = AlertForm(initial=initial_of(version), alias=ALIAS)
    events = _events(key)
    seen = watched_of([alert], events)
    return page(
        request,
        site,
        "admin/lockmon/alerts/alert.html",
        alert.alert_name,
        alert=alert,
        whole=_whole(request, key),
        form=form,
        may_edit=may_edit,
        state=state_badge(alert),
        chart=sparkline(alert, seen, 480, 60),
        value=messages.number(alert.last_value) if alert.evaluated_at else "none yet",
        rule=messages.rule_in_words(alert.warning_threshold, alert.critical_threshold),
        events=[(event, event_badge(event), lasted(event, seen)) for event in events],
        channels=channels_now,
        sent=sent,
        snooze_form=SnoozeForm(),
    )


def _events(key: str) -> list[AlertEvent]:
    return list(AlertEvent._default_manager.filter(alert_key=key).order_by("-raised_at")[:10])


_COMPARED = {
    "alert_name": "name",
    "alert_query": "query",
    "warning_threshold": "warning",
    "critical_threshold": "critical",
    "alert_severity": "severity",
    "alert_category": "category",
    "is_active": "switched on",
    "description": "description",
    "for_at_least_seconds": "for at least",
    "clear_after_seconds": "over after",
    "repeat_minutes": "remind every",
    "escalate_minutes": "escalate after",
    "snoozed_until": "silent until",
}


def _differences(new: AlertVersion, old: AlertVersion | None) -> list[tuple[str, str, str]]:
    if old is None:
        return []
    found = [
        (label, words.visible(getattr(old, name), 2000), words.visible(getattr(new, name), 2000))
        for name, label in _COMPARED.items()
        if getattr(old, name) != getattr(new, name)
    ]
    if new.recipients_changed:
        found.append(("recipients", str(old.recipient_count), f"{new.recipient_count} (changed)"))
    return found


def history(request: HttpRequest, site: AdminSite, key: str) -> HttpResponse:
    """All versions of an alert, with who and what changed."""
    _may_see(request)
    alert = _alert(key)
    versions = list(AlertVersion._default_manager.filter(alert_key=key).order_by("-load_date")[:200])
    shown = [
        (version, _differences(version, versions[index + 1] if index + 1 < len(versions) else None))
        for index, version in enumerate(versions)
    ]
    return page(
        request,
        site,
        "admin/lockmon/alerts/history.html",
        f"Versions of {alert.alert_name}",
        alert=alert,
        versions=shown,
    )


def copy(request: HttpRequest, site: AdminSite, key: str) -> HttpResponse:
    """A new alert that begins as a copy of this one, switched off."""
    _may_edit(request)
    if request.method == "POST":
        return add(request, site)
    with vault.admin_transaction(ALIAS) as cursor:
        version = calls.alert_version(cursor, _key(key))
    if version is None:
        raise Http404("There is no such alert.")
    begun = initial_of(version) | {
        "alert_name": f"{version.alert_name} (copy)"[:200],
        "is_active": False,
        "version": None,
    }
    return add(request, site, begun)


def _new_version(request: HttpRequest, key: str, values: dict[str, Any], note: str) -> None:
    """Save a version that differs in a few columns from the one the page showed."""
    shown = request.POST.get("version", "")
    with vault.admin_transaction(ALIAS) as cursor:
        calls.save_alert_configuration(
            cursor, _key(key), int(shown) if shown.isdigit() else -1, values, _who(request), note
        )


def _short_edit(request: HttpRequest, key: str, values: dict[str, Any], note: str, said: str) -> HttpResponse:
    _may_edit(request)
    if request.method == "POST":
        try:
            _new_version(request, key, values, note)
            flash.success(request, said)
        except DatabaseError as error:
            answered = getattr(errors.cause_of(error), "sqlstate", None)
            said = errors.for_person(error, _sees_text(request)) if answered else in_a_sentence(error)
            flash.error(request, said)
    return _to("lockmon_alert_change", key)


def switch(request: HttpRequest, site: AdminSite, key: str) -> HttpResponse:
    """Switch an alert on or off."""
    on = request.POST.get("to") == "on"
    return _short_edit(
        request,
        key,
        {"is_active": on},
        "switched on" if on else "switched off",
        "Switched on." if on else "Switched off. An event that lasts is ended.",
    )


def snooze(request: HttpRequest, site: AdminSite, key: str) -> HttpResponse:
    """Silence an alert for a while, or let it speak again."""
    form = SnoozeForm(request.POST)
    until: datetime | None = None
    if "wake" not in request.POST and form.is_valid():
        until = timezone.now() + timedelta(minutes=int(form.cleaned_data["minutes"]))
    said = (
        f"Silent until {timezone.localtime(until):%Y-%m-%d %H:%M}; it is evaluated all the same."
        if until
        else "It speaks again."
    )
    return _short_edit(request, key, {"snoozed_until": until}, "snoozed" if until else "snooze ended", said)


def test_message(request: HttpRequest, site: AdminSite, key: str) -> HttpResponse:
    """Send a test message to the saved recipients; how it went stands in the log on the alert's page."""
    _may_edit(request)
    if request.method != "POST":
        return _to("lockmon_alert_change", key)
    alert = _alert(key)
    now = timezone.now()
    with vault.admin_transaction(ALIAS) as cursor:
        who = outbox.alert_recipients(cursor, _key(key))
        recipients = list(dict.fromkeys((*who.everyone, *who.escalation)))
        for recipient in recipients:
            context = {"name": alert.alert_name, "kind": "test", "at": now.isoformat()}
            outbox.add_alert_message(
                cursor,
                None,
                _key(key),
                "test",
                recipient,
                f"test:{key}:{now.isoformat()}:{recipient}",
                context,
                1000,
            )
    if not recipients:
        flash.warning(request, "This alert has no recipients: add some and save, then test.")
        return _to("lockmon_alert_change", key)
    try:
        delivery.request_sending(ALIAS)
        flash.success(
            request,
            f"A test message to {words.some(len(recipients), 'recipient')} is on its way; the log below"
            f" says how it went.",
        )
    except Exception:
        flash.warning(
            request,
            "The test message is stored, but the task queue does not answer; it is sent when it does.",
        )
    return _to("lockmon_alert_change", key)


def event(request: HttpRequest, site: AdminSite, key: str) -> HttpResponse:
    """One event: its story, its messages, and what can be done about it."""
    _may_see(request)
    _key(key)
    found = AlertEvent._default_manager.filter(pk=key).first()
    if found is None:
        raise Http404("There is no such alert event.")
    may_act = request.user.has_perm(CHANGE_SETTINGS)
    form = ActForm(request.POST or None)
    if request.method == "POST":
        _may_edit(request)
        action = request.POST.get("action", "")
        if action in DONE and form.is_valid():
            _act(request, [found], action, form)
            return _to("lockmon_alert_event", key)
    seen = watched_between(found.started_at, found.resolved_at or timezone.now())
    return page(
        request,
        site,
        "admin/lockmon/alerts/event.html",
        str(found),
        event=found,
        whole=_whole(request, found.alert_key) if found.is_open else None,
        badge=event_badge(found),
        lasted=lasted(found, seen),
        not_watched=watched_words.sentence(seen),
        value=messages.number(found.value),
        worst=messages.number(found.worst_value),
        story=list(AlertEventVersion._default_manager.filter(event_key=key).order_by("satellite_id")[:200]),
        sent=list(AlertMessage._default_manager.filter(event_key=key).order_by("message_id")[:200]),
        form=form,
        may_act=may_act and found.is_open,
    )


def _act(request: HttpRequest, events: list[AlertEvent], action: str, form: ActForm) -> None:
    for one in events:
        with vault.admin_transaction(ALIAS) as cursor:
            until = form.until() if action == "snooze" else None
            outcome = calls.act_on_alert_event(
                cursor, _key(one.pk), action, _who(request), form.cleaned_data["note"] or None, until
            )
            calls.mirror_alert_events(cursor)
        tell = flash.success if outcome.done else flash.warning
        tell(request, f"{one.alert_name}: {outcome.sentence}")


def act(request: HttpRequest, site: AdminSite, action: str) -> HttpResponse:
    """Acknowledge, snooze or resolve several events, after a confirmation with a note."""
    _may_edit(request)
    if action not in DONE:
        raise Http404("Events can be acknowledged, snoozed or resolved.")
    keys = [key for key in request.GET.get("keys", request.POST.get("keys", "")).split(",") if key][:50]
    events = list(AlertEvent._default_manager.filter(pk__in=keys, is_open=True).order_by("-raised_at"))
    if not events:
        flash.warning(request, "None of these events is unresolved.")
        return _to("lockmon_alertevent_changelist")
    form = ActForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        _act(request, events, action, form)
        return _to("lockmon_alertevent_changelist")
    title = f"{action.capitalize()} {words.some(len(events), 'alert event')}?"
    return page(
        request,
        site,
        "admin/lockmon/alerts/act.html",
        title,
        action=action,
        events=events,
        form=form,
        keys=",".join(keys),
    )
