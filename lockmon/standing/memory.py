"""What this process remembers of the databases: when each last answered, and the tree it last saw.

Of this process alone: another worker of the web server may have seen more, or less.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from ..calls.catalog import WaitNode

log = logging.getLogger("lockmon.standing")

MOST_NODES = 2000
"""So many sessions of a tree are remembered, blockers first."""
MOST_TEXT = 1000
"""Characters of each statement that are remembered."""
CALM = 5.0
"""Seconds: of a server that is full some connections are refused while others answer."""

_lock = threading.Lock()
_answered: dict[str, float] = {}
_failing: dict[str, tuple[float, float]] = {}  # the first failure, and the last
_trees: dict[str, Seen] = {}
BEGUN = datetime.now(UTC)
"""Since when this process remembers anything."""


@dataclass(frozen=True)
class Seen:
    """The graph of one vault as this process last read it. left_out: sessions that are not remembered."""

    at: datetime
    rows: Sequence[WaitNode]
    left_out: int = 0


@dataclass(frozen=True)
class Silence:
    """since: when a database first failed, as this process knows. answered: when it last answered."""

    since: datetime
    answered: datetime | None


def failed(alias: str, why: str) -> Silence:
    """Note that a database failed a page, and return since when it does so; the first time is logged."""
    now = time.time()
    with _lock:
        since = _failing.get(alias, (now, now))[0]
        first, _failing[alias] = alias not in _failing, (since, now)
        before = _answered.get(alias)
    if first:
        log.warning("Pages are answered with 503: %s", why)
    return Silence(
        datetime.fromtimestamp(since, UTC), None if before is None else datetime.fromtimestamp(before, UTC)
    )


def answered(alias: str) -> None:
    """Note that a database answers; well again it is once nothing has failed for CALM seconds."""
    now = _answered[alias] = time.time()
    if alias not in _failing:
        return
    with _lock:
        since, last = _failing.get(alias, (now, now))
        if now - last < CALM:
            return
        _failing.pop(alias, None)
    log.warning("The database '%s' answers pages again, after %.0f s.", alias, now - since)


class _Noting:
    """An execute wrapper of Django's that notes what is answered."""

    def __init__(self, alias: str) -> None:
        self._alias = alias

    def __call__(self, execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any) -> Any:
        found = execute(sql, params, many, context)
        answered(self._alias)
        return found


def _note_answers(sender: Any, connection: BaseDatabaseWrapper, **_: Any) -> None:
    """Each connection of a page notes what is answered on it."""
    if not any(isinstance(one, _Noting) for one in connection.execute_wrappers):
        connection.execute_wrappers.append(_Noting(connection.alias))


def switch_on() -> None:
    """From now on this process remembers when its databases answered."""
    connection_created.connect(_note_answers, dispatch_uid="lockmon.standing")


def remember(alias: str, rows: Sequence[WaitNode], at: datetime) -> None:
    """Keep a tree in place of the one before, within bounds."""
    kept = rows
    if len(rows) > MOST_NODES:
        kept = sorted(rows, key=lambda row: -(row.blocked_total or 0))[:MOST_NODES]
    _trees[alias] = Seen(at, [_short(row) for row in kept], len(rows) - len(kept))


def _short(row: WaitNode) -> WaitNode:
    text = row.query
    if text is None or len(text) <= MOST_TEXT:
        return row
    return replace(row, query=text[:MOST_TEXT], query_truncated=True)


def last_tree(alias: str) -> Seen | None:
    """Return the tree that this process saw last; None where it has seen none."""
    return _trees.get(alias)


def forget() -> None:
    """Forget all, as a process that has just begun."""
    with _lock:
        _answered.clear()
        _failing.clear()
        _trees.clear()
