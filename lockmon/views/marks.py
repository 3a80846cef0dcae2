"""What is marked on pictures of time: deadlocks, actions of the door, alerts, gaps in watching."""

from __future__ import annotations

from datetime import datetime

from django.db import connections
from django.urls import reverse
from django.utils import timezone

from .. import watched
from ..calls import history
from . import words
from .context import VAULT, link
from .figures import Mark, deadlock_marks
from .heart import tried


def marks_between(since: datetime, until: datetime, alias: str = VAULT) -> list[Mark]:
    """Return all marks of a period, in order of time; what the vault lacks is simply not there."""
    found: list[Mark] = []
    for event in tried(lambda: deadlock_marks(since, until, alias), alias) or []:
        where = words.one_line(", ".join(event.affected_tables or ()), 80)
        text = (
            f"{timezone.localtime(event.deadlock_timestamp):%H:%M:%S} "
            f"deadlock {f'on {where}' if where else ''}"
        ).strip()
        url = reverse("admin:lockmon_deadlock", args=[event.deadlock_event_id])
        found.append(Mark("deadlock", event.deadlock_timestamp, text, url))
    found += tried(lambda: _actions(since, until, alias), alias) or []
    found += tried(lambda: _alerts(since, until, alias), alias) or []
    found += tried(lambda: _gaps(since, until, alias), alias) or []
    return sorted(found, key=lambda mark: mark.at)


def _gaps(since: datetime, until: datetime, alias: str) -> list[Mark]:
    with connections[alias].cursor() as cursor:
        gaps = watched.unwatched(cursor, since, until)
    found = []
    for gap in gaps:
        length = words.duration(words.seconds_between(gap.span_start, gap.span_end))
        text = (
            f"{timezone.localtime(gap.span_start):%H:%M:%S} nobody watched for "
            f"{length}: {words.one_line(gap.reason, 120)}"
        )
        found.append(Mark("gap", gap.span_start, text))
    return found


def _actions(since: datetime, until: datetime, alias: str) -> list[Mark]:
    with connections[alias].cursor() as cursor:
        found = history.actions_between(cursor, since, until)
    return [_action_mark(item) for item in found]


def _action_mark(item: history.PastAction) -> Mark:
    who = words.one_line(item.acting_for or item.logged_by, 40)
    text = (
        f"{timezone.localtime(item.at):%H:%M:%S} {item.action} {item.target_pid} "
        f"by {who}: {words.one_line(item.outcome, 60)}"
    )
    address = link("lockmon_action", item.action_id)
    return Mark("action", item.at, text, address)


def action_marks(pid: int | None, backend_start: datetime | None, alias: str = VAULT) -> list[Mark]:
    """Return what the door did to one session."""
    if not pid or backend_start is None:
        return []

    def read() -> list[history.PastAction]:
        with connections[alias].cursor() as cursor:
            return history.actions_on(cursor, pid, backend_start)

    return [_action_mark(item) for item in tried(read, alias) or []]


def _alerts(since: datetime, until: datetime, alias: str) -> list[Mark]:
    with connections[alias].cursor() as cursor:
        found = history.alerts_between(cursor, since, until)
    return [
        Mark(
            "alert",
            item.raised_at,
            (
                f"{timezone.localtime(item.raised_at):%H:%M:%S} alert "
                f"{words.one_line(item.name, 60)}: {words.one_line(item.level, 20)}"
            ),
        )
        for item in found
    ]


def alerts_firing(alias: str = VAULT) -> int | None:
    """Return how many alerts are unresolved, None where that is not known."""

    def read() -> int:
        with connections[alias].cursor() as cursor:
            return history.alerts_open(cursor)

    found: int | None = tried(read, alias)
    return found
