"""Typed calls for who stood behind a blocker: at a stored moment, and added up over an episode."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from .base import Cursor, select_all, with_quick_moments


@dataclass(frozen=True)
class Behind:
    """What stood behind one blocker at a moment. seconds: what those sessions had waited by then, added
    up."""

    node: int
    waiting: int
    since: datetime
    seconds: float
    severity: str | None
    severity_score: float | None


@dataclass(frozen=True)
class Placed:
    """A node of the tree of a stored moment. blocker, waits: satellite_id of its row as a blocker, if any,
    and of its waits, the longest first; parent: under whom it is shown."""

    node: int
    blocker: int | None
    waits: list[int]
    hard_blockers: list[int]
    soft_blockers: list[int]
    roots: list[int]
    run_head: int | None
    parent: int | None


@dataclass(frozen=True)
class WaitBehind:
    """One wait behind one episode, keys in hex. since, until: while it stood behind it; goes_on: it does
    still. seconds: what it adds to the episode's lost time; watched: how much of that somebody watched."""

    episode: str
    wait: str
    session: int
    wait_start: datetime
    since: datetime
    until: datetime
    goes_on: bool
    seconds: float
    watched: float


def behind_at(cursor: Cursor, at: datetime) -> dict[int, Behind]:
    """What stood behind each blocker of a stored moment, by its node."""
    with_quick_moments(cursor)
    return {one.node: one for one in select_all(cursor, Behind, "lock_engine.behind_at(%s)", [at])}


def nodes_at(cursor: Cursor, at: datetime) -> list[Placed]:
    """Who waited and who blocked at a stored moment, and behind whom."""
    with_quick_moments(cursor)
    return select_all(cursor, Placed, "lock_engine.nodes_at(%s)", [at])


def behind_episodes(cursor: Cursor, episodes: Sequence[str]) -> list[WaitBehind]:
    """All waits that stood behind these episodes, given by their keys in hex; the oldest first."""
    with_quick_moments(cursor)
    source = (
        "(SELECT encode(b.blocking_session_hk, 'hex') AS episode, encode(b.lock_activity_hk, 'hex') AS wait,"
        " b.session, b.wait_start, b.since, b.until, b.goes_on, b.seconds, b.watched"
        " FROM lock_engine.behind_episodes(ARRAY(SELECT decode(k, 'hex') FROM unnest(%s::text[]) AS u (k)))"
        " AS b ORDER BY b.since, b.session) AS w"
    )
    return select_all(cursor, WaitBehind, source, [list(episodes)])
