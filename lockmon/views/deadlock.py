"""A deadlock's page: the ring drawn, who held and wanted what, the pattern, what to do, and what is not
known."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.contrib.admin import AdminSite
from django.core.exceptions import ValidationError
from django.db import connections
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.safestring import SafeString

from .. import watched, watched_words
from ..calls.deadlocks import Pattern, patterns
from ..groups import VIEW_PAGES
from ..models import DeadlockEvent
from . import words
from .context import VAULT, needs, page, rights
from .figures import watched_between
from .heart import ledger_sentence, tried

OTHERS = 20
MOST_BOXES = 12


@dataclass(frozen=True)
class Participant:
    """One session of the ring."""

    pid: int
    user: str
    application: str
    held: str
    wanted: str
    query: SafeString | str
    victim: bool


@dataclass(frozen=True)
class Box:
    """One session drawn."""

    x: float
    y: float
    width: float
    height: float
    title: str
    subtitle: str
    victim: bool


@dataclass(frozen=True)
class Arrow:
    """An arrow "waits for", with what it waits for written beside it."""

    path: str
    label: str
    label_x: float
    label_y: float
    anchor: str


@dataclass(frozen=True)
class Ring:
    """The drawing: 720 units wide."""

    height: float
    boxes: Sequence[Box]
    arrows: Sequence[Arrow]
    description: str


def _first(found: Mapping[str, Any], *names: str) -> Any:
    for name in names:
        value = found.get(name)
        if value not in (None, "", [], {}):
            return value
    return None


def _named(value: Any, limit: int = 120) -> str:
    """Return a lock as words, from text, an object with mode and name, or several of them."""
    if value is None:
        return "unknown"
    if isinstance(value, Mapping):
        mode, name = (
            _first(value, "mode", "lock_mode", "wanted"),
            _first(value, "object", "object_name", "name", "relation"),
        )
        return words.one_line(" on ".join(str(item) for item in (mode, name) if item), limit) or "unknown"
    if isinstance(value, (list, tuple)):
        return "; ".join(_named(item, limit) for item in value[:5]) or "unknown"
    return words.one_line(value, limit)


def participants(row: DeadlockEvent, see_text: bool) -> list[Participant]:
    """Return the sessions in the order of the ring, each with what is known of it."""
    given = [item for item in (row.participants or []) if isinstance(item, Mapping)]
    by_pid = {int(item["pid"]): item for item in given if str(item.get("pid", "")).lstrip("-").isdigit()}
    pids = list(row.involved_pids or by_pid)
    found = []
    for number, pid in enumerate(pids):
        item = by_pid.get(pid, {})
        users, queries = row.involved_users or [], row.involved_queries or []
        user = _first(item, "user", "user_name") or (users[number] if number < len(users) else None)
        text = _first(item, "query", "statement", "current_query") or (
            queries[number] if number < len(queries) else None
        )
        shown = (
            str(text)
            if text is not None and see_text
            else words.hide_literals(None if text is None else str(text))
        )
        found.append(
            Participant(
                pid=pid,
                user=words.printable_name(user, "unknown"),
                application=words.printable_name(_first(item, "application", "application_name"), "unknown"),
                held=_held(pid, item, given),
                wanted=_wanted(item),
                query=words.highlight_sql(shown) if shown else "unknown",
                victim=pid == row.deadlock_victim_pid,
            )
        )
    return found


def _held(pid: int, item: Mapping[str, Any], given: Sequence[Mapping[str, Any]]) -> str:
    """Return what a session held: as stored, else what those who waited for it wanted of it."""
    stored = _first(item, "held", "holds")
    if stored is not None:
        return _named(stored)
    found = []
    for other in given:
        if str(other.get("blocked_by")) == str(pid):
            modes = other.get("blocker_holds")
            mode = ", ".join(str(one) for one in modes[:3]) if isinstance(modes, list) else ""
            name = _named(_first(other, "wanted", "object"))
            found.append(f"{words.one_line(mode, 60)} on {name}" if mode else name)
    return "; ".join(found) or "unknown"


def _wanted(item: Mapping[str, Any]) -> str:
    wanted = _first(item, "wanted", "wants", "waits_for", "object", "object_name")
    mode = _first(item, "wanted_mode", "mode", "lock_mode")
    text = _named(wanted)
    return f"{mode} on {text}" if mode and isinstance(wanted, str) and str(mode) not in text else text


def edges(row: DeadlockEvent, people: Sequence[Participant]) -> list[tuple[int, int, str]]:
    """Return (who, for whom, what) of each edge; from the stored graph, else around the ring."""
    graph = row.deadlock_graph if isinstance(row.deadlock_graph, Mapping) else {}
    known = {person.pid: person for person in people}
    found = []
    for item in graph.get("edges") or []:
        if not isinstance(item, Mapping):
            continue
        who, whom = (
            _first(item, "pid", "from", "waiter", "source"),
            _first(item, "blocker", "to", "blocked_by", "target"),
        )
        if str(who).isdigit() and str(whom).isdigit() and int(who) in known and int(whom) in known:
            found.append((int(who), int(whom), _named(item, 80)))
    if found or len(people) < 2:
        return found
    return [
        (person.pid, people[(index + 1) % len(people)].pid, person.wanted)
        for index, person in enumerate(people)
    ]


def draw(row: DeadlockEvent, people: Sequence[Participant]) -> Ring | None:
    """Return the ring: boxes on an ellipse, arrows from waiter to blocker; None where too little is known."""
    shown = list(people)[:MOST_BOXES]
    if len(shown) < 2:
        return None
    number, width, height = len(shown), 190.0, 52.0
    total = 260.0 if number == 2 else 420.0 + 20.0 * max(0, number - 6)
    middle_x, middle_y = 360.0, total / 2
    radius_x, radius_y = 245.0, total / 2 - height / 2 - 14
    places = {}
    boxes = []
    for index, person in enumerate(shown):
        angle = (
            math.pi + 2 * math.pi * index / number
            if number == 2
            else -math.pi / 2 + 2 * math.pi * index / number
        )
        x, y = (
            middle_x + radius_x * math.cos(angle),
            middle_y + (0 if number == 2 else radius_y * math.sin(angle)),
        )
        places[person.pid] = (x, y)
        title = f"{person.pid} {words.one_line(person.application, 18)}" + (
            " victim" if person.victim else ""
        )
        boxes.append(
            Box(
                x - width / 2,
                y - height / 2,
                width,
                height,
                title,
                words.one_line(person.user, 24),
                person.victim,
            )
        )
    arrows = []
    for who, whom, what in edges(row, shown):
        if who != whom and who in places and whom in places:
            arrows.append(
                _arrow(places[who], places[whom], words.one_line(what, 66), width, height, number == 2)
            )
    sentence = "; ".join(f"{who} waits for {whom}: {what}" for who, whom, what in edges(row, shown))
    return Ring(total, boxes, arrows, sentence)


def _arrow(
    start: tuple[float, float], end: tuple[float, float], what: str, width: float, height: float, pair: bool
) -> Arrow:
    (x1, y1), (x2, y2) = start, end
    if pair:
        side = -1.0 if x1 < x2 else 1.0
        bend = y1 + side * 92
        path = (
            f"M{x1:.0f},{y1 + side * height / 2:.0f} "
            f"Q{(x1 + x2) / 2:.0f},{bend + side * 40:.0f} {x2:.0f},{y2 + side * (height / 2 + 9):.0f}"
        )
        return Arrow(path, what, (x1 + x2) / 2, bend + side * 6 + 4, "middle")
    length = math.hypot(x2 - x1, y2 - y1) or 1.0
    unit_x, unit_y = (x2 - x1) / length, (y2 - y1) / length

    def edge_of(x: float, y: float, sign: float, more: float) -> tuple[float, float]:
        reach = min(
            (width / 2 + more) / abs(unit_x) if abs(unit_x) > 1e-6 else 1e9,
            (height / 2 + more) / abs(unit_y) if abs(unit_y) > 1e-6 else 1e9,
        )
        return x + sign * unit_x * reach, y + sign * unit_y * reach

    begin, tip = edge_of(x1, y1, 1, 0), edge_of(x2, y2, -1, 9)
    path = f"M{begin[0]:.0f},{begin[1]:.0f} L{tip[0]:.0f},{tip[1]:.0f}"
    return Arrow(path, what, (begin[0] + tip[0]) / 2, (begin[1] + tip[1]) / 2 - 5, "middle")


def _pattern(row: DeadlockEvent) -> Pattern | None:
    """Return how often this deadlock happens; None where it is of no pattern, or that cannot be read."""
    if not row.pattern_hash:
        return None
    with connections[VAULT].cursor() as cursor:
        found = tried(lambda: patterns(cursor, row.pattern_hash, 1), VAULT)
    return found[0] if found else None


@needs(VIEW_PAGES)
def deadlock(request: HttpRequest, site: AdminSite, key: str) -> HttpResponse:
    """The page of one deadlock; ``key`` is the hex key of its hub."""
    title = "Deadlock"
    see = rights(request).query_text
    try:
        row = DeadlockEvent.objects.filter(deadlock_event_id=key, load_end_date=None).first()
        if row is None:
            text = "There is no such deadlock: it was never stored, or it is older than the retention."
            return page(request, site, "lockmon/message.html", title, status=404, text=text)
        same = DeadlockEvent.objects.filter(load_end_date=None, pattern_hash=row.pattern_hash)
        same = same.exclude(pk=row.pk).only(
            "satellite_id", "deadlock_event_id", "deadlock_timestamp", "deadlock_victim_pid"
        )
        others = list(same.order_by("-deadlock_timestamp")[: OTHERS + 1]) if row.pattern_hash else []
    except ValidationError:
        text = "The address names no deadlock: follow a link from the list."
        return page(request, site, "lockmon/message.html", title, status=404, text=text)
    people = participants(row, see)
    now = timezone.now()
    weeks = watched_between(now - timedelta(days=14), now)
    with connections[VAULT].cursor() as cursor:
        not_compared = watched.too_little(cursor, *watched.weeks(cursor, now))
        gap = watched.gap_at(cursor, row.deadlock_timestamp)
    unknown = [words.visible(item, 400) for item in row.unknown or ()]
    if gap is not None:
        unknown.append(f"Not watched at that moment, {watched_words.gap(gap)}: who else waited then.")
    return page(
        request,
        site,
        "lockmon/deadlock.html",
        title,
        row=row,
        people=people,
        ring=draw(row, people),
        pattern=_pattern(row),
        not_watched=watched_words.sentence(weeks) if weeks.start < weeks.end else "",
        not_compared=not_compared,
        others=others[:OTHERS],
        more_others=len(others) > OTHERS,
        ledger=ledger_sentence(),
        sources=" and ".join(row.sources or ()) or "unknown",
        suggestion=words.visible(row.prevention_suggestion, 1500),
        unknown=unknown,
        excerpt=words.visible(row.log_excerpt) if see else "",
        resolution=words.one_line(row.deadlock_resolution, 80) or "unknown",
        duration=words.duration(
            None if row.deadlock_duration_ms is None else row.deadlock_duration_ms / 1000
        ),
    )
