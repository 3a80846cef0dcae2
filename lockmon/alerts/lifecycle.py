"""The rules of an alert's life, without a database: what a value means, when it counts, who has to hear of
it.

1. A value has a level: ok, warning, critical; a query that gives no value has the level error.
2. A level counts when it has been seen, without interruption, for ``for_at_least`` (worse) or
``clear_after`` (better).
3. A level that counts and is not ok opens an event; ok ends it. Each level of an event is told once, its
end once;
   reminders follow after ``repeat``, an escalation after ``escalate`` without acknowledgement.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

RANK = {"ok": 0, "warning": 1, "error": 2, "critical": 3}
ERROR_LASTS = timedelta(seconds=30)
"""A query has to fail for this long before anybody hears of it: a lock or a restart passes sooner."""


WORSE_BY = Decimal("0.1")
"""By so much of itself a value has to get worse for a version of the event of its own."""


@dataclass(frozen=True)
class Rules:
    """What a version of an alert says about time."""

    for_at_least: timedelta
    clear_after: timedelta
    repeat: timedelta
    escalate: timedelta
    snoozed_until: datetime | None
    lower_is_worse: bool = False


@dataclass(frozen=True)
class Standing:
    """The level that counts, and one that has been seen since ``pending_since`` but does not count yet."""

    level: str
    since: datetime
    pending: str | None = None
    pending_since: datetime | None = None


@dataclass(frozen=True)
class Event:
    """What the rules need of an unresolved event. worst_value: on record; peak: the worst that was seen."""

    state: str
    level: str
    worst_level: str
    worst_value: Decimal | None
    raised_at: datetime
    notified: tuple[str, ...]
    last_notified_at: datetime | None
    notifications: int
    escalated_at: datetime | None
    acknowledged_at: datetime | None
    snoozed_until: datetime | None
    peak: Decimal | None = None

    @property
    def worst_known(self) -> Decimal | None:
        """The worst value that was seen, or that is on record where none was remembered."""
        return self.worst_value if self.peak is None else self.peak


@dataclass(frozen=True)
class Observation:
    """One evaluation: a value with its level, or the sentence of why there is none."""

    level: str
    value: Decimal | None
    sentence: str | None


@dataclass(frozen=True)
class Decision:
    """What follows: columns of the event's next version (None: nothing to write), and at most one
    message."""

    fields: dict[str, Any] | None
    is_new: bool
    kind: str
    message: str | None


NOTHING = Decision(None, False, "", None)


def level_of(value: Decimal, warning: Decimal | None, critical: Decimal | None) -> str:
    """Return what a value means: critical at its threshold or beyond, warning beyond its threshold.

    Beyond is above, or below where the critical threshold is the lower of the two (seconds left, free
    slots).
    So the guide's row (warning 0, critical 1) is ok at 0 and critical at 1.
    """
    if warning is not None and critical is not None and critical < warning:
        value, warning, critical = -value, -warning, -critical
    if critical is not None and value >= critical:
        return "critical"
    if warning is not None and value > warning:
        return "warning"
    return "ok"


def confirm(standing: Standing, seen: str, rules: Rules, now: datetime) -> Standing:
    """Return the standing after ``seen``. What was seen without interruption for long enough counts: the
    mildest
    of the worse levels, or the worst of the better ones."""
    counts = RANK[standing.level]
    if RANK[seen] == counts:
        return Standing(standing.level, standing.since)
    worse = RANK[seen] > counts
    pending, since = seen, now
    if (
        standing.pending is not None
        and standing.pending_since is not None
        and (RANK[standing.pending] > counts) == worse
    ):
        pick = min if worse else max
        pending = pick(standing.pending, seen, key=RANK.__getitem__)
        since = standing.pending_since
    wait = rules.for_at_least if worse else rules.clear_after
    if pending == "error":
        wait = max(wait, ERROR_LASTS)
    if now - since >= wait:
        # What is worse than what counts now begins its own wait from here.
        beyond = seen if seen != pending else None
        return Standing(pending, now, beyond, now if beyond else None)
    return Standing(standing.level, standing.since, pending, since)


def _untold(level: str, told: tuple[str, ...]) -> bool:
    """Whether this level of an event is news: not told yet, and not milder than what was told."""
    if level in told:
        return False
    return level == "error" or all(RANK[level] > RANK[item] for item in told)


def _is_over(interval: timedelta, since: datetime | None, now: datetime) -> bool:
    """Whether an interval has passed; one of zero means never."""
    return interval > timedelta(0) and since is not None and now - since >= interval


def raises(standing: Standing, last_resolved_at: datetime | None, rules: Rules, now: datetime) -> bool:
    """Whether a level without an event opens one. Resolved by hand while it lasts, it is quiet until
    ``repeat``."""
    if standing.level == "ok":
        return False
    if last_resolved_at is None or last_resolved_at < standing.since:
        return True
    return _is_over(rules.repeat, last_resolved_at, now)


def opening(
    standing: Standing,
    first_seen: datetime,
    seen: Observation,
    rules: Rules,
    now: datetime,
    peak: Decimal | None = None,
) -> Decision:
    """Return the first version of an event, told at once unless the alert is snoozed. peak: the worst value
    since it was seen first."""
    told = rules.snoozed_until is None or rules.snoozed_until <= now
    fields = {
        "event_state": standing.level,
        "level": standing.level,
        "worst_level": standing.level,
        "value": seen.value,
        "worst_value": worst(peak, seen.value, lower=rules.lower_is_worse),
        "sentence": seen.sentence,
        "started_at": first_seen,
        "raised_at": now,
        "notified_levels": [standing.level] if told else [],
        "last_notified_at": now if told else None,
        "notification_count": 1 if told else 0,
    }
    return Decision(fields, True, "raised", "raised" if told else None)


def ending(event: Event, seen: Observation, now: datetime, note: str | None = None) -> Decision:
    """Return the last version of an event; told if its beginning was told."""
    fields: dict[str, Any] = {
        "event_state": "resolved",
        "level": "ok",
        "value": seen.value,
        "worst_value": event.worst_known,
        "sentence": None,
        "resolved_at": now,
        "resolved_by": "itself",
        "snoozed_until": None,
    }
    if note:
        fields["note"] = note
    told = "resolved" if event.notified else None
    if told:
        fields |= {"last_notified_at": now, "notification_count": event.notifications + 1}
    return Decision(fields, False, "resolved", told)


def going_on(event: Event, standing: Standing, seen: Observation, rules: Rules, now: datetime) -> Decision:
    """Return what changes in an event that lasts: worse, eased, escalated, reminded, or no longer
    snoozed."""
    level = standing.level
    fields: dict[str, Any] = {}
    kind = ""
    state, acknowledged, snoozed = event.state, event.acknowledged_at, event.snoozed_until
    worse = RANK[level] > RANK[event.worst_level]
    if level != event.level:
        kind = "worse" if RANK[level] > RANK[event.level] else "eased"
        fields |= {"level": level, "sentence": seen.sentence}
        if worse:
            # Somebody took care of something milder than this.
            acknowledged = snoozed = None
            fields |= {
                "worst_level": level,
                "acknowledged_at": None,
                "acknowledged_by": None,
                "snoozed_until": None,
            }
        if worse or state not in ("acknowledged", "snoozed", "escalated"):
            state = level
    if state == "snoozed" and (snoozed is None or snoozed <= now):
        state = "acknowledged" if acknowledged else "escalated" if event.escalated_at else level
        snoozed = None
        fields["snoozed_until"] = None
        kind = kind or "snooze over"

    message = None
    quiet = rules.snoozed_until is not None and rules.snoozed_until > now
    calm = acknowledged is not None or state == "snoozed"
    if not quiet and _untold(level, event.notified) and (worse or not calm):
        message = "worse" if event.notified else "raised"
        fields["notified_levels"] = [*event.notified, level]
    elif (
        level == "critical"
        and not calm
        and not event.escalated_at
        and _is_over(rules.escalate, max(standing.since, event.raised_at), now)
    ):
        state, kind = "escalated", "escalated"
        fields["escalated_at"] = now
        message = None if quiet else "escalated"
    if message is None and not quiet and not calm and _is_over(rules.repeat, event.last_notified_at, now):
        message, kind = "reminder", kind or "reminder"

    if state != event.state:
        fields["event_state"] = state
    if message:
        fields |= {"last_notified_at": now, "notification_count": event.notifications + 1}
    peak = worst(event.worst_known, seen.value, lower=rules.lower_is_worse)
    if not fields and not _much_worse(event.worst_value, peak):
        return NOTHING
    fields |= {"value": seen.value, "worst_value": peak}
    return Decision(fields, False, kind or message or "changed", message)


def _much_worse(on_record: Decimal | None, peak: Decimal | None) -> bool:
    """Whether the worst value has gone so far beyond what is on record (a tenth) that a version is written
    for it alone; what is less is written with the next version, at the latest with the last one."""
    if peak is None or peak == on_record:
        return False
    return on_record is None or abs(peak - on_record) >= abs(on_record) * WORSE_BY


def worst(one: Decimal | None, other: Decimal | None, *, lower: bool) -> Decimal | None:
    """Return the worse of two values: the higher, or the lower where lower is worse."""
    known = [item for item in (one, other) if item is not None]
    if not known:
        return None
    return min(known) if lower else max(known)
