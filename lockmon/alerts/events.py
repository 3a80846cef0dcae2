"""Carries the rules of ``lifecycle`` into the vault: an alert's row becomes rules, a decision becomes a
stored version."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import Error as DjangoDatabaseError
from psycopg import Error as DatabaseError

from lockmon import errors, watched, watched_words
from lockmon.calls import alert_messages as outbox
from lockmon.calls import alerts as calls
from lockmon.calls.base import Cursor

from . import facts, lifecycle, messages
from .lifecycle import Decision, Event, Observation, Rules, Standing

EVALUATOR = "evaluator"


@dataclass(frozen=True)
class Change:
    """One step in the life of an alert event, as it was stored. messages: how many were put into the
    outbox."""

    alert_name: str
    event_key: str
    kind: str
    state: str
    at: datetime
    messages: int


def rules_of(alert: calls.AlertInput) -> Rules:
    """Return what this alert says about time."""
    lower = alert.warning is not None and alert.critical is not None and alert.critical < alert.warning
    return Rules(
        timedelta(seconds=alert.for_at_least_seconds),
        timedelta(seconds=alert.clear_after_seconds),
        timedelta(minutes=alert.repeat_minutes),
        timedelta(minutes=alert.escalate_minutes),
        alert.snoozed_until,
        lower,
    )


def observe(alert: calls.AlertInput, value: Decimal | None, sentence: str | None) -> Observation:
    """Return what an evaluation means: a level, or an error with what everybody may read of it."""
    if sentence is not None:
        return Observation("error", None, sentence)
    if value is None:
        return Observation("ok", None, None)
    return Observation(lifecycle.level_of(value, alert.warning, alert.critical), value, None)


def event_of(alert: calls.AlertInput, peak: Decimal | None = None) -> Event | None:
    """Return the alert's unresolved event, if it has one. peak: the worst value that was seen."""
    if alert.event_hk is None or alert.event_state is None or alert.raised_at is None:
        return None
    return Event(
        state=alert.event_state,
        level=alert.event_level or "warning",
        worst_level=alert.worst_level or "warning",
        worst_value=alert.worst_value,
        raised_at=alert.raised_at,
        notified=alert.notified_levels or (),
        last_notified_at=alert.last_notified_at,
        notifications=alert.notification_count or 0,
        escalated_at=alert.escalated_at,
        acknowledged_at=alert.acknowledged_at,
        snoozed_until=alert.event_snoozed_until,
        peak=peak,
    )


def decide(
    alert: calls.AlertInput,
    before: Standing,
    after: Standing,
    seen: Observation,
    rules: Rules,
    now: datetime,
    peak: Decimal | None = None,
) -> Decision:
    """Return what follows from the level that counts now. peak: the worst value since it was no longer ok."""
    event = event_of(alert, peak)
    if not alert.is_active:
        return (
            lifecycle.ending(event, seen, now, "The alert was switched off.") if event else lifecycle.NOTHING
        )
    if event is None:
        if not lifecycle.raises(after, alert.last_resolved_at, rules, now):
            return lifecycle.NOTHING
        first_seen = now
        if after.level != before.level and before.pending_since is not None:
            first_seen = before.pending_since
        return lifecycle.opening(after, first_seen, seen, rules, now, peak)
    if after.level == "ok":
        return lifecycle.ending(event, seen, now)
    return lifecycle.going_on(event, after, seen, rules, now)


def situation(cursor: Cursor, alert: calls.AlertInput, now: datetime) -> dict[str, Any]:
    """Return who blocks whom now, for a message; where it cannot be read, why. Never raises for the
    database."""
    try:
        around = messages.situation(cursor, now)
        extra = facts.more(cursor, alert, bool(around.get("queued_ddl")))
        return around | ({"extra": extra} if extra else {})
    except (DatabaseError, DjangoDatabaseError) as error:
        return {"situation_problem": errors.told(error, limit=300)}


def not_watched(cursor: Cursor, alert: calls.AlertInput, decision: Decision, now: datetime) -> dict[str, str]:
    """Return what of the event's time was not watched, for a message that says how long it lasted."""
    since = (decision.fields or {}).get("started_at") or alert.started_at or now
    try:
        told = watched_words.sentence(watched.read(cursor, since, now)) if since < now else ""
    except (DatabaseError, DjangoDatabaseError):
        told = "How much of that time was watched could not be read."
    return {"not_watched": told} if told else {}


def _recipients(cursor: Cursor, alert: calls.AlertInput, decision: Decision) -> list[str]:
    """Return who hears of this step: an escalated event's next messages go to the wider circle, too."""
    who = outbox.alert_recipients(cursor, alert.config_hk)
    wider = decision.message == "escalated" or alert.escalated_at is not None
    return list(dict.fromkeys((*who.everyone, *(who.escalation if wider else ()))))


def store(
    cursor: Cursor,
    alert: calls.AlertInput,
    decision: Decision,
    seen: Observation,
    now: datetime,
    around: dict[str, Any],
    limit_per_minute: int,
    literals_to: frozenset[str],
) -> Change | None:
    """Write an event's next version and its messages; the caller's transaction makes them one.

    Needs lock_admin_role. None: somebody else changed the event first, and nothing was written.
    """
    assert decision.fields is not None
    recipients = _recipients(cursor, alert, decision) if decision.message else []
    fields = decision.fields
    if decision.message and not recipients:
        fields = fields | {"notification_count": alert.notification_count or 0}
    written = calls.write_alert_event(
        cursor, alert.config_hk, alert.event_hk, alert.event_version, fields, EVALUATOR
    )
    if written is None:
        return None
    count = 0
    level = str(decision.fields.get("level") or alert.event_level or "ok")
    if recipients and decision.message:
        since = decision.fields.get("started_at") or alert.started_at or now
        context = (
            messages.context_of(alert, decision.message, level, seen, since, now, written.hex()) | around
        )
        told = decision.fields.get("notification_count", 0)
        for recipient in recipients:
            number = outbox.add_alert_message(
                cursor,
                written,
                alert.config_hk,
                decision.message,
                recipient,
                f"{written.hex()}:{told}:{decision.message}:{recipient}",
                messages.for_recipient(context, recipient in literals_to),
                limit_per_minute,
            )
            count += number is not None
    state = str(decision.fields.get("event_state") or alert.event_state or level)
    return Change(alert.name, written.hex(), decision.kind, state, now, count)
