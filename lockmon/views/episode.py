"""A blocking episode's story: who joined the queue when, what changed, how it ended, and what it cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.contrib.admin import AdminSite
from django.core.exceptions import ValidationError
from django.db import connections
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from .. import watched_words
from ..calls.behind import WaitBehind, behind_episodes
from ..groups import VIEW_PAGES
from ..models import BlockingSession, LockActivity
from . import words
from .context import VAULT, link, needs, page, rights
from .figures import Mark, Slot, watched_between
from .marks import action_marks
from .svg import Area, area

MOST_VERSIONS = 2000
MOST_WAITS = 1000
SHOWN_EVENTS = 120
WAITED_ON = "waited on, behind others"
"""How a wait ended for an episode that ended, or passed it on, before the wait did."""


@dataclass(frozen=True)
class Event:
    """One line of the story."""

    at: datetime
    text: str
    kind: str = ""


@dataclass(frozen=True)
class Wait:
    """One wait behind the session: from its first row to its last."""

    pid: int
    application: str
    user: str
    start: datetime
    end: datetime | None
    seconds: float
    waited: str
    what: str
    query: str
    outcome: str


def behind(key: str, alias: str = VAULT) -> list[WaitBehind]:
    """Return all waits that stood behind the episode, the oldest first."""
    with connections[alias].cursor() as cursor:
        return behind_episodes(cursor, [key])


def lost_seconds(waits: Sequence[WaitBehind]) -> tuple[float | None, float | None]:
    """Return the time that others lost behind the session: that of the waits, for as long as they stood
    behind it; and how much of that is of time that was not watched. None where no wait behind it is stored:
    then it is not known."""
    if not waits:
        return None, None
    lost = known = 0.0
    for wait in waits:
        lost += wait.seconds
        known += wait.watched
    return lost, max(0.0, lost - known)


@needs(VIEW_PAGES)
def episode(request: HttpRequest, site: AdminSite, key: str) -> HttpResponse:
    """The page of one episode; ``key`` is the hex key of its hub."""
    title = "Blocking episode"
    try:
        versions = list(
            BlockingSession.objects.filter(blocking_session_id=key).order_by("load_date", "satellite_id")[
                :MOST_VERSIONS
            ]
        )
        if not versions:
            text = (
                "There is no such blocking episode: it was never stored, or it is older than the retention."
            )
            return page(request, site, "lockmon/message.html", title, status=404, text=text)
        stood = behind(str(versions[0].blocking_session_id))
        waits = _waits(stood, versions, rights(request).query_text)
        actions = action_marks(versions[0].session_pid, versions[0].session_start_time)
    except ValidationError:
        text = "The address names no blocking episode: follow a link from the list."
        return page(request, site, "lockmon/message.html", title, status=404, text=text)
    now = timezone.now()
    last = versions[-1]
    # a version tells since when those have waited who were behind it then
    start = min(row.blocking_since or row.load_date for row in versions)
    end = last.ended_at or last.load_end_date
    lost, unseen = lost_seconds(stood)
    worst_wait = max(waits, key=lambda wait: wait.seconds, default=None)
    events = _events(versions, waits, actions)
    see = rights(request).query_text
    return page(
        request,
        site,
        "lockmon/episode.html",
        _title(last),
        row=last,
        start=start,
        end=end,
        ended=words.ENDINGS.get(last.ended_how or "", words.one_line(last.ended_how, 60)),
        events=events[:SHOWN_EVENTS],
        more_events=max(0, len(events) - SHOWN_EVENTS),
        not_watched=watched_words.sentence(watched_between(start, end or now)),
        picture=_picture(versions, start, end or now, actions, now),
        time_url=link("lockmon_time"),
        lost="" if lost is None else words.duration(lost),
        unseen=words.duration(unseen) if (unseen or 0) > watched_words.LEAST else "",
        counted_from=_counted_from(start, min((one.since for one in stood), default=versions[0].load_date)),
        lasted=words.duration(words.seconds_between(start, end or now)),
        most=max((row.blocked_sessions_count or 0 for row in versions), default=0),
        severity=words.worst(row.blocking_severity for row in versions),
        waits=sorted(waits, key=lambda wait: -wait.seconds)[:60],
        waits_number=max(len(waits), len(stood)) if len(stood) > MOST_WAITS else len(waits),
        worst=worst_wait,
        query=words.highlight_sql(last.current_query if see else words.hide_literals(last.current_query)),
        advice=words.visible(last.recommended_action, 800),
        kind=words.article(last.kind),
    )


def _counted_from(start: datetime, first: datetime) -> datetime | None:
    """When the time lost began to count, if that was more than a cycle after the first wait began: until then
    somebody else was ahead of the session."""
    return first if first - start > timedelta(seconds=3) else None


def _title(row: BlockingSession) -> str:
    name = words.printable_name(row.application_name, "") or words.printable_name(row.user_name)
    if row.prepared_gid:
        return f"How prepared transaction '{words.one_line(row.prepared_gid, 60)}' held up others"
    return f"How {name} (pid {row.session_pid}) held up others"


def _waits(stood: Sequence[WaitBehind], versions: list[BlockingSession], see_text: bool) -> list[Wait]:
    """Return the waits behind the session as the page shows them, each for as long as it stood behind it."""
    mine = {one.wait: one for one in stood[:MOST_WAITS]}
    over = versions[-1].load_end_date if versions[-1].ended_how else None
    during = Q(load_date__gte=versions[0].load_date - timedelta(seconds=1))
    if over is not None:
        during &= Q(load_date__lt=over)
    rows = LockActivity.objects.filter(during, lock_activity_id__in=list(mine), lock_granted=False)
    rows = rows.order_by("satellite_id")
    now = timezone.now()
    found: dict[str, list[LockActivity]] = {}
    for row in rows.defer("hash_diff")[: MOST_WAITS * 4]:
        found.setdefault(str(row.lock_activity_id), []).append(row)
    waits: list[Wait] = []
    last_of: dict[int, int] = {}
    for key, parts in sorted(found.items(), key=lambda item: item[1][-1].wait_start or item[1][0].load_date):
        first, last = parts[0], parts[-1]
        start = last.wait_start or first.load_date
        end, outcome = (
            last.counts_until(),
            words.ENDINGS.get(last.resolution_action or "", last.resolution_action or "still waiting"),
        )
        least, most = last.waited_seconds(now)
        if not mine[key].goes_on and (last.resolution_action is None or end is None or end > mine[key].until):
            # it waited on when this one blocked it no more
            end, outcome = mine[key].until, WAITED_ON
            least = most = words.seconds_between(start, end) or 0.0
        text = last.query_text if see_text else words.hide_literals(last.query_text)
        wait = Wait(
            pid=last.lock_group or last.lock_pid,
            application=words.printable_name(last.application_name),
            user=words.printable_name(last.user_name),
            start=start,
            end=end,
            seconds=least,
            waited=words.clock(least) if last.not_seen_at is None else words.span(least, most),
            what=f"{last.lock_mode} on {words.one_line(last.object_name, 100) or 'an unknown object'}",
            query=words.one_line(text),
            outcome=outcome,
        )
        place = last_of.get(wait.pid)
        # a wait that stood beside another one of its session
        begun_beside = first.beside is not None and place is not None and _goes_on(waits[place], start)
        if place is not None and begun_beside:
            waits[place] = _together(waits[place], wait, now)
        else:
            last_of[wait.pid] = len(waits)
            waits.append(wait)
    return waits


def _goes_on(wait: Wait, moment: datetime) -> bool:
    return wait.end is None or wait.end >= moment


def _together(one: Wait, other: Wait, now: datetime) -> Wait:
    """Return the wait of one session for what two of its parallel processes wait for at once."""
    over = now + timedelta(days=1)
    last = max(one, other, key=lambda wait: wait.end or over)
    whats = one.what.split("; ")
    seconds = words.seconds_between(one.start, last.end or now) or 0.0
    return replace(
        one,
        end=last.end,
        outcome=last.outcome,
        seconds=seconds,
        waited=words.clock(seconds),
        what=one.what if other.what in whats else f"{one.what}; {other.what}",
    )


def _events(versions: list[BlockingSession], waits: list[Wait], actions: list[Mark]) -> list[Event]:
    last = versions[-1]
    found: list[Event] = []
    if last.transaction_start:
        found.append(
            Event(
                last.transaction_start,
                f"{last.session_pid or 'the prepared transaction'} starts its transaction",
            )
        )
    for number, wait in enumerate(sorted(waits, key=lambda item: item.start), start=1):
        mode = wait.what.split(" ", 1)[0]
        if number == 1:
            found.append(Event(wait.start, f"first waiter: {wait.pid} ({wait.application}) for {wait.what}"))
        elif mode == "AccessExclusiveLock":
            found.append(
                Event(wait.start, f"{wait.pid} ({wait.application}) queues DDL: {wait.what}", "grave")
            )
        elif number in (2, 3, 5, 10, 20, 50, 100, 200, 500, 1000):
            found.append(Event(wait.start, f"{wait.pid} ({wait.application}) joins as number {number}"))
    found += _changes(versions)
    found += [Event(mark.at, mark.text, "grave") for mark in actions]
    over = last.ended_at or last.load_end_date
    if over is not None:
        how = words.ENDINGS.get(last.ended_how or "", words.one_line(last.ended_how, 60))
        found.append(Event(over, f"the blocking ends: {how or 'unknown'}", "end"))
    ends = [wait.end for wait in waits if wait.end is not None]
    if ends and len(ends) == len(waits) and over is not None:
        found.append(Event(max(ends), f"out of the queue: {words.some(len(waits), 'waiter')}, all", "end"))
    return sorted(found, key=lambda event: event.at)


def _changes(versions: list[BlockingSession]) -> list[Event]:
    found: list[Event] = []
    before: BlockingSession | None = None
    for row in versions:
        if before is not None:
            if row.blocking_severity != before.blocking_severity and row.blocking_severity:
                queue = words.some(row.blocked_sessions_count or 0, "session")
                kind = (
                    "grave"
                    if words.RANK.get(row.blocking_severity, 0)
                    > words.RANK.get(before.blocking_severity or "", 0)
                    else ""
                )
                found.append(Event(row.load_date, f"{row.blocking_severity}, {queue} behind it", kind))
            if row.session_state != before.session_state and row.session_state:
                found.append(
                    Event(row.load_date, f"the session is now {words.one_line(row.session_state, 40)}")
                )
            if row.is_root != before.is_root:
                found.append(
                    Event(
                        row.load_date,
                        "it waits for nobody now: a root"
                        if row.is_root
                        else f"it waits itself: {words.one_line(row.waits_for, 100)}",
                    )
                )
        before = row
    return found


def _picture(
    versions: list[BlockingSession], start: datetime, end: datetime, actions: list[Mark], now: datetime
) -> Area | None:
    span = (end - start).total_seconds()
    if span < 1:
        return None
    number = 100
    width = span / number
    seconds = [0.0] * number
    for row in versions:
        left = max(0.0, (row.load_date - start).total_seconds())
        right = min(span, ((row.load_end_date or now) - start).total_seconds())
        index = int(left / width)
        while index < number and index * width < right:
            overlap = min(right, (index + 1) * width) - max(left, index * width)
            seconds[index] += max(0.0, overlap) * (row.blocked_sessions_count or 0)
            index += 1
    seen = watched_between(start, end)
    slots = []
    for index, value in enumerate(seconds):
        begin = start + (end - start) * index / number
        part = seen.within(begin, begin + (end - start) / number) / width
        proven = value / width if part < 1 else 0.0
        slots.append(Slot(begin, value * part, value / width if part > 0 else 0.0, part, proven))
    return area(slots, actions, start, end, watched=seen)


__all__: list[Any] = ["episode", "lost_seconds"]
