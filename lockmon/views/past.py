"""Reading the vault as of a moment: what it knew then, where the changes are, and what was learned later."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connections
from django.db.models import Max, QuerySet
from django.utils import timezone

from .. import watched
from ..calls.behind import Behind, Placed, behind_at, nodes_at
from ..calls.watched import UnwatchedSpan
from ..models import BlockingSession, DeadlockEvent, LockActivity
from ..watched import BEFORE, STILL
from ..watched_words import gap as gap_in_words
from . import nodes, rescue, tree, words
from .context import VAULT
from .figures import alive

MOST_WAITERS = 3000
"""So many waiters of one moment are read; beyond, the page says how many it leaves out."""


@dataclass(frozen=True)
class Then:
    """The picture of one moment."""

    at: datetime
    tree: tree.Tree
    previous: datetime | None
    following: datetime | None
    later: tuple[str, ...]
    gap: str
    cut: bool
    watched: bool = True
    lasted: tuple[LockActivity, ...] = ()
    plan: rescue.Plan = rescue.NO_PLAN

    @property
    def is_empty(self) -> bool:
        return not self.tree.waiting


def _open_at(rows: QuerySet[Any], at: datetime) -> QuerySet[Any]:
    return rows.filter(satellite_id__in=alive(rows, at))


@dataclass(frozen=True)
class Rows:
    """The rows of blockers and of waits that were the present ones at a moment, and how they stand."""

    at: datetime
    alias: str
    placed: list[Placed]
    blockers: list[BlockingSession]
    waits: list[LockActivity]

    def graph(self, see_text: bool) -> list[nodes.Node]:
        """Return the graph that they describe."""
        behind: dict[int, Behind] = {}
        if self.blockers:
            with connections[self.alias].cursor() as cursor:
                behind = behind_at(cursor, self.at)
        return nodes.from_vault(self.placed, self.blockers, self.waits, see_text, behind)


def rows_at(at: datetime, alias: str = VAULT) -> Rows:
    """Return the rows of a moment: of waits MOST_WAITERS at most, and as many of blockers."""
    with connections[alias].cursor() as cursor:
        placed = nodes_at(cursor, at)
    blockers = sorted(one.blocker for one in placed if one.blocker is not None)
    waits = sorted(key for one in placed for key in one.waits)
    return Rows(
        at,
        alias,
        placed,
        _by_key(BlockingSession.objects.using(alias), blockers),
        _by_key(LockActivity.objects.using(alias), waits),
    )


def _by_key(rows: QuerySet[Any], keys: list[int]) -> list[Any]:
    return list(rows.filter(satellite_id__in=keys[:MOST_WAITERS]).order_by("satellite_id")) if keys else []


def at_moment(at: datetime, see_text: bool, alias: str = VAULT) -> Then:
    """Return the tree as the monitor knew it at a moment, with the nearest changes before and after."""
    gap = unwatched_at(at, alias)
    rows = rows_at(at, alias) if gap is None else Rows(at, alias, [], [], [])
    graph = rows.graph(see_text)
    return Then(
        watched=gap is None,
        lasted=tuple(lasted_through(gap, at, alias)) if gap is not None else (),
        at=at,
        tree=tree.build(graph, at),
        previous=_previous(at, alias),
        following=_following(at, [*rows.blockers, *rows.waits], alias),
        later=tuple(_later(rows.blockers, at, alias)),
        gap=_gap_sentence(gap),
        cut=len(rows.waits) >= MOST_WAITERS,
        plan=rescue.then(graph, at, alias),
    )


def last_busy(now: datetime, alias: str = VAULT) -> datetime | None:
    """Return now while somebody waits, else the last moment at which a wait was seen to begin or change."""
    waits = LockActivity.objects.using(alias).filter(lock_granted=False)
    if _open_at(waits, now).exists():
        return now
    return waits.filter(load_date__lte=now).order_by("-load_date").values_list("load_date", flat=True).first()


def _previous(at: datetime, alias: str) -> datetime | None:
    waits = LockActivity.objects.using(alias).filter(lock_granted=False)
    begun = waits.filter(load_date__lt=at).order_by("-load_date").values_list("load_date", flat=True).first()
    if begun is None:
        return None
    ended = waits.filter(
        load_date__lt=at, load_date__gt=min(begun, at) - timedelta(hours=1), load_end_date__lt=at
    )
    last = ended.aggregate(last=Max("load_end_date"))["last"]
    return max(begun, last) if last else begun


def _following(at: datetime, rows: Iterable[Any], alias: str) -> datetime | None:
    waits = LockActivity.objects.using(alias).filter(lock_granted=False, load_date__gt=at)
    begun = waits.order_by("load_date").values_list("load_date", flat=True).first()
    ends = [row.load_end_date for row in rows if row.load_end_date is not None]
    return min([*ends, *([begun] if begun else [])], default=None)


def _later(blockers: list[BlockingSession], at: datetime, alias: str) -> Iterable[str]:
    roots = {str(row.blocking_session_id): row for row in blockers if row.is_root}
    if not roots:
        return
    last = BlockingSession.objects.using(alias).filter(
        blocking_session_id__in=list(roots)[:20], ended_how__isnull=False
    )
    for row in last.order_by("ended_at")[:20]:
        who = (
            f"prepared transaction '{words.one_line(row.prepared_gid, 40)}'"
            if row.prepared_gid
            else str(row.session_pid)
        )
        how = words.ENDINGS.get(row.ended_how or "", words.one_line(row.ended_how, 60))
        if row.ended_at:
            yield f"{who} stopped blocking at {timezone.localtime(row.ended_at):%H:%M:%S}: {how}."
    near = DeadlockEvent.objects.using(alias).filter(
        load_end_date=None,
        deadlock_timestamp__gte=at - timedelta(seconds=2),
        deadlock_timestamp__lte=at + timedelta(seconds=5),
    )
    for event in near.only("deadlock_timestamp", "deadlock_victim_pid", "satellite_id")[:5]:
        victim = (
            f"PostgreSQL ended {event.deadlock_victim_pid}"
            if event.deadlock_victim_pid
            else "the victim is unknown"
        )
        yield f"At {timezone.localtime(event.deadlock_timestamp):%H:%M:%S} a deadlock was broken: {victim}."


def unwatched_at(at: datetime, alias: str = VAULT) -> UnwatchedSpan | None:
    """Return the gap in which a moment lies, None where it was watched; for a moment to come a gap of no
    length."""
    with connections[alias].cursor() as cursor:
        if watched.at(cursor, at):
            return None
        here = watched.gap_at(cursor, at)
    return here or UnwatchedSpan(at, at, "that moment has not come yet")


def lasted_through(gap: UnwatchedSpan, at: datetime, alias: str = VAULT) -> list[LockActivity]:
    """Return the waits that PostgreSQL proved, afterwards, to have lasted through a gap: seen before it, and
    the same ones still there in the first cycle after it."""
    if gap.reason in (STILL, BEFORE) or gap.span_start == gap.span_end:
        return []
    waits = _open_at(LockActivity.objects.using(alias).filter(lock_granted=False), at)
    return list(waits.filter(load_date__lte=gap.span_start).order_by("wait_start")[:MOST_WAITERS])


def _gap_sentence(gap: UnwatchedSpan | None) -> str:
    if gap is None:
        return ""
    if gap.span_start == gap.span_end:
        return f"Not watched: {gap.reason}."
    return f"Not watched: {gap_in_words(gap)}. Whether anybody waited then is not known."


def compared(one: Then, other: Then) -> str:
    """Return in one sentence how ``one`` differs from ``other``."""
    if not (one.watched and other.watched):
        return "Not compared: nobody watched at one of the two moments."
    more = one.tree.waiting - other.tree.waiting
    parts = [f"{more:+,} waiting" if more else "as many waiting"]
    mine = {root.node.node for root in one.tree.root_lines}
    theirs = {root.node.node for root in other.tree.root_lines}
    if mine == theirs:
        parts.append("root unchanged" if len(mine) == 1 else "roots unchanged" if mine else "no root")
    else:
        came, went = sorted(mine - theirs), sorted(theirs - mine)
        if came:
            parts.append(f"root came: {', '.join(map(str, came[:5]))}")
        if went:
            parts.append(f"root gone: {', '.join(map(str, went[:5]))}")
    tables = sorted(_tables(one) ^ _tables(other))
    if tables:
        parts.append("relations differ: " + ", ".join(words.one_line(name, 40) for name in tables[:5]))
    elif _tables(one):
        parts.append(f"{', '.join(words.one_line(name, 40) for name in sorted(_tables(one))[:5])} only")
    return ", ".join(parts) + "."


def _tables(then: Then) -> set[str]:
    found = {line.node.relation_name for line in then.tree.lines if line.node and line.node.is_waiting}
    return {name for name in found if name}
