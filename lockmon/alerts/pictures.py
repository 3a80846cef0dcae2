"""How pages show the state of an alert: badges, durations, the small chart."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from lockmon.models.alerts import Alert, AlertEvent
from lockmon.views import words
from lockmon.views.context import VAULT
from lockmon.views.figures import watched_between
from lockmon.watched import Watched
from lockmon.watched_words import part

_SEVERE = {"critical": "CRITICAL", "escalated": "CRITICAL", "error": "HIGH", "warning": "MEDIUM"}


def _badge(text: str, severity: str | None) -> SafeString:
    if severity is None:
        return format_html("{}", text)
    shape = words.SHAPES[severity]
    return format_html(
        '<span class="sev sev-{}"><span aria-hidden="true">{}</span> {}</span>', severity.lower(), shape, text
    )


def state_badge(alert: Alert) -> SafeString:
    """Return an alert's state as a word with a shape; what waits to be confirmed is said beside it."""
    shown = _badge(alert.state_now, _SEVERE.get(alert.state_now))
    if alert.snoozed_until and alert.snoozed_until > timezone.now():
        shown = format_html("{} silent until {}", shown, words.moment(alert.snoozed_until, "minute"))
    if alert.pending_level and alert.is_active and alert.pending_level != alert.level:
        since = words.duration(words.seconds_between(alert.pending_since, timezone.now()))
        return format_html('{} <span class="quiet">({} for {})</span>', shown, alert.pending_level, since)
    return shown


def event_badge(event: AlertEvent) -> SafeString:
    """Return an event's state as a word with a shape."""
    return _badge(event.event_state, _SEVERE.get(event.event_state))


def lasted(event: AlertEvent, seen: Watched | None = None) -> str:
    """Return how long an event lasted, or has lasted, and how much of that was not watched."""
    end = event.resolved_at or timezone.now()
    told = words.duration(words.seconds_between(event.started_at, end))
    return told + (part(seen, event.started_at, end) if seen is not None else "")


def watched_of(alerts: Iterable[Alert], events: Iterable[AlertEvent] = (), alias: str = VAULT) -> Watched:
    """Return what was watched of the time that charts and events speak of."""
    now = timezone.now()
    begun = [datetime.fromtimestamp(float(alert.recent[0][0]), UTC) for alert in alerts if alert.recent]
    return watched_between(min([*begun, *(event.started_at for event in events)], default=now), now, alias)


def sparkline(alert: Alert, seen: Watched, width: int = 120, height: int = 24) -> SafeString:
    """Return the last values as a small picture with its range in words.

    There is no line where there was no value, nor over time that was not watched.
    """
    points = [(float(at), None if value is None else float(value)) for at, value in alert.recent or []]
    known = [value for _, value in points if value is not None]
    if len(known) < 2:
        return mark_safe('<span class="quiet">too few values</span>')
    low, high = min(known), max(known)
    begin, end = points[0][0], points[-1][0]
    parts, pen = [], "M"
    before = begin
    for at, value in points:
        if value is None or seen.missing(*_moments(before, at)):
            pen = "M"
        before = at
        if value is None:
            continue
        x = (at - begin) / ((end - begin) or 1) * (width - 4) + 2
        y = height - 3 - (value - low) / ((high - low) or 1) * (height - 6)
        parts.append(f"{pen}{x:.1f} {y:.1f}")
        pen = "L"
    told = f"{len(known)} values in {words.duration(end - begin)}, from {low:g} to {high:g}"
    told += part(seen, *_moments(begin, end))
    return format_html(
        '<svg class="sparkline" width="{0}" height="{1}" viewBox="0 0 {0} {1}" role="img" aria-label="{2}">'
        '<title>{2}</title><path d="{3}" fill="none" stroke="currentColor" stroke-width="1.5"/></svg>',
        width,
        height,
        told,
        " ".join(parts),
    )


def _moments(start: float, end: float) -> tuple[datetime, datetime]:
    return datetime.fromtimestamp(start, UTC), datetime.fromtimestamp(end, UTC)
