"""Catching deadlocks in the act: the loop's light look at the waits-for graph.

PostgreSQL ends a deadlock ``deadlock_timeout`` after the wait of *one* participant began, so a cycle that
closes on a
young wait lives only for what is left of that time. While any wait is young, the loop therefore looks every
twentieth
of ``deadlock_timeout`` and, where the server tells when waits began (PostgreSQL 14 and later), once more
just before
each waiter's own check. The looks together never take more than a twentieth of one core.

Everything that decides lies in SQL (``lock_engine.look_for_deadlocks``); this class only keeps the time.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from lockmon.calls import deadlocks as calls

CursorFactory = Callable[[], AbstractContextManager[Any]]

SHARE_OF_TIMEOUT = 20
"""A look every twentieth of ``deadlock_timeout`` while a wait is young."""
SHORTEST_INTERVAL = 0.020
"""Seconds; looks are never closer than this, except the one before a known check."""
LARGEST_SHARE_OF_CORE = 0.04
"""A look that cost c seconds of work is followed by a pause of at least c / this. Below the 5 % that are
allowed, because the quickest look stands for all (see COSTS_KEPT) and the average one is a little dearer."""
COSTS_KEPT = 10
"""Of so many latest looks the quickest tells the work; what the others took longer they spent waiting for
the CPU."""
BEFORE_CHECK = 0.015
"""Seconds before a waiter's own deadlock check at which one more look is made."""


LARGEST_CREDIT = 0.25
"""Seconds of work that may be saved up for the looks before a check."""


@dataclass(frozen=True)
class WatchSettings:
    """Limits of the watch.

    share_of_core: largest share of one core that looks may take, 0 to 1.
    shortest_interval: seconds.
    """

    share_of_core: float = LARGEST_SHARE_OF_CORE
    shortest_interval: float = SHORTEST_INTERVAL


@dataclass(frozen=True)
class LookResult:
    """What one look saw.

    waiters: sessions that wait for a lock.
    young: some wait is younger than deadlock_timeout, or a cycle lives: look again after
    young_wait_interval().
    cycles: deadlock cycles alive now.
    pending: cycles that vanished and are not yet confirmed: call settle() soon.
    next_check: seconds until the next waiter checks for deadlock; None where the server does not tell.
    cost: seconds this look took, as seen by the client.
    """

    waiters: int
    young: bool
    cycles: int
    pending: int
    next_check: float | None
    cost: float


class DeadlockWatch:
    """Owns the pace of the looks. Not thread-safe: one loop, one watch.

    cursor_factory: returns a context manager that yields a cursor of the loop's own connection in autocommit
    mode
    (``connection.cursor`` of psycopg will do).
    """

    def __init__(self, cursor_factory: CursorFactory, settings: WatchSettings | None = None) -> None:
        self._cursor = cursor_factory
        self._settings = settings or WatchSettings()
        self._timeout = 1.0
        self._last: LookResult | None = None
        self._looked_at = 0.0
        self._costs: deque[float] = deque(maxlen=COSTS_KEPT)
        self._credit = LARGEST_CREDIT

    def young_wait_interval(self) -> float:
        """Seconds to sleep before the next look() while the last one said ``young``."""
        last = self._last
        if last is None:
            return 0.0
        work = min(self._costs)
        rest = work / self._settings.share_of_core
        interval = max(self._timeout / SHARE_OF_TIMEOUT, self._settings.shortest_interval, rest)
        if last.next_check is not None and last.next_check > BEFORE_CHECK and self._credit >= work:
            interval = min(interval, last.next_check - BEFORE_CHECK)
        return max(0.0, interval - (time.monotonic() - self._looked_at))

    def look(self) -> LookResult:
        """Look at the waits-for graph once; remember cycles seen, note cycles that are gone.

        Raises what the driver raises when the connection is lost.
        """
        began = time.monotonic()
        with self._cursor() as cursor:
            seen = calls.look_for_deadlocks(cursor)
        before, self._looked_at = self._looked_at, time.monotonic()
        self._timeout = seen.deadlock_timeout
        self._last = LookResult(
            waiters=seen.waiters,
            young=seen.young,
            cycles=seen.cycles,
            pending=seen.pending,
            next_check=seen.next_check,
            cost=self._looked_at - began,
        )
        self._costs.append(self._last.cost)
        earned = (self._looked_at - before) * self._settings.share_of_core - min(self._costs)
        self._credit = min(LARGEST_CREDIT, self._credit + earned)
        return self._last

    def settle(self) -> int:
        """Turn vanished cycles that the counter or the log confirms into events; the number of events
        stored."""
        with self._cursor() as cursor:
            return calls.collect_deadlocks(cursor)
