"""What was kept aside while its tenant was locked moves when the lock has gone, however much it is.

A cycle moves so many rows that it holds their tenant's row for some 20 ms. The rest follows at once, each
call a transaction of its own, so that whoever wants the tenant gets it in between.
"""

from __future__ import annotations

import time

import psycopg

from lockmon.calls import aside

BUDGET = 0.4
"""Seconds of a tick; what is left then goes on with the next tick."""


class Drain:
    """Moves what a cycle had to leave.

    due: whether something may be left; a cycle that was stored may have left something.
    """

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection
        self.due = True

    def run(self) -> list[float]:
        """Move until nothing is left or the time is over; the seconds of each call.

        Raises psycopg.Error as it comes; nothing is tried again before the next stored cycle then.
        """
        spent: list[float] = []
        while self.due and sum(spent) < BUDGET:
            began = time.perf_counter()
            self.due = False
            with self._connection.cursor() as cursor:
                self.due = aside.move_rest(cursor)
            spent.append(time.perf_counter() - began)
        return spent
