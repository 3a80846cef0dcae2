"""The quiet look: is anybody waiting? By activity or by locks, whichever is cheaper here."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import psycopg

from lockmon.calls import catalog

Gate = Callable[[Any], bool]

GATES: dict[str, Gate] = {
    "activity": catalog.anyone_waiting_by_activity,
    "locks": catalog.anyone_waiting_by_locks,
}
PROBE_EVERY = 60
"""So many looks after the last one, the other way is tried once; its answer is as good, so it costs
nothing extra."""
SMOOTHING = 0.2
SWITCH_BELOW = 0.85
"""The other way must be cheaper than this share before it is taken, so that the choice does not flutter."""


class QuietLook:
    """One look a tick. Which way is cheaper is measured, not guessed from the number of connections.

    cost_ms: smoothed milliseconds of the way in use; None before the first look.
    """

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection
        self._costs: dict[str, float] = {}
        self._looks = 0
        self.by = "activity"

    @property
    def cost_ms(self) -> float | None:
        return self._costs.get(self.by)

    def look(self) -> bool:
        """Tell whether anybody waits for a lock. Raises what the driver raises."""
        self._looks += 1
        by = self._turn()
        began = time.perf_counter()
        with self._connection.cursor() as cursor:
            waiting = GATES[by](cursor)
        self._note(by, (time.perf_counter() - began) * 1000)
        return waiting

    def _turn(self) -> str:
        # the first two looks by each way: one that plans, one that shows the cost
        if self._looks <= 4:
            return "activity" if self._looks % 2 else "locks"
        if self._looks % PROBE_EVERY == 0:
            return self._other()
        return self.by

    def _other(self) -> str:
        return "locks" if self.by == "activity" else "activity"

    def _note(self, by: str, cost: float) -> None:
        if self._looks <= 2:
            return
        known = self._costs.get(by)
        # a probe is a single measurement, so it counts as it is; the way in use is smoothed
        self._costs[by] = cost if known is None or by != self.by else known + SMOOTHING * (cost - known)
        own, other = self._costs.get(self.by), self._costs.get(self._other())
        if own is not None and other is not None and other < own * SWITCH_BELOW:
            self.by = self._other()
