"""A database with a table to wait for, rescue plans of it, and pg_blocking_pids() as the judge of them."""

from __future__ import annotations

import contextlib
from typing import Any

import psycopg

from tests.conftest import Connect, OpenSession
from tests.support import doors
from tests.support.doors import ORDINARY, Door
from tests.support.poll import poll
from tests.support.sessions import Session

PLAN = "SELECT * FROM lock_admin.rescue_plan()"
BLOCKED = """
SELECT a.pid FROM pg_stat_activity AS a
 WHERE a.usename = %s AND a.datname = current_database() AND cardinality(pg_blocking_pids(a.pid)) > 0
"""


class Scene:
    """A database with the vault, somebody who keeps the door, and sessions by their pids."""

    def __init__(self, dsn: str, opens: OpenSession, connect: Connect) -> None:
        self.dsn = dsn
        self.opens = opens
        self.door = Door(connect(dsn, user=doors.KEEPER))
        self.look = connect(dsn)
        self.sessions: dict[int, Session] = {}

    def open(self, *statements: str, name: str = "app") -> Session:
        """A session idle in a transaction that has run these."""
        one = self.opens(self.dsn, user=ORDINARY, application_name=name)
        self.sessions[one.pid] = one
        for statement in statements:
            one.run(statement)
        return one

    def wait(self, statement: str, *before: str, name: str = "api") -> Session:
        """A session that waits with this statement."""
        one = self.open(*before, name=name)
        one.start(statement)
        return one.wait_blocked()

    def blocked(self) -> set[int]:
        """Whoever waits for somebody, by pg_blocking_pids()."""
        return {pid for (pid,) in self.look.execute(BLOCKED, (ORDINARY,)).fetchall()}

    def plan(self) -> list[dict[str, Any]]:
        """The plan's steps now."""
        return [one for one in self.door.all(PLAN) if one["step"]]

    def carry_out(self) -> list[tuple[str, int, int, int]]:
        """Follow the plan; at each step the judge says whom it freed, and the next plan begins with the next
        step. Returns action, pid, freed at once and following of each."""
        steps = self.plan()
        done = []
        for number, step in enumerate(steps):
            before = self.blocked()
            outcome = self.door.stop(step["action"], step["pid"])
            assert outcome.get("outcome") in ("cancelled", "terminated"), outcome
            freed = self.freed(before, step)
            assert freed == step["frees_at_once"], (step["text"], freed)
            done.append((step["action"], step["pid"], freed, step["follow"]))
            following = self.plan()
            if number + 1 < len(steps):
                assert following[0]["pid"] == steps[number + 1]["pid"], (step["text"], following)
        return done

    def freed(self, before: set[int], step: dict[str, Any]) -> int:
        """How many of those before wait no more, once that has come to rest."""

        def at_rest() -> int | None:
            # those that got what they waited for go on at once; so does whoever waits for the next lock
            first, second = self.blocked(), self.blocked()
            settled = first == second and len(before - first - {step["pid"]}) >= step["frees_at_once"]
            return len(before - first - {step["pid"]}) if settled else None

        found = poll(lambda: (at_rest(),) if at_rest() is not None else None, 10, step["text"])
        return found[0] or 0

    def let_through(self) -> int:
        """Let each that has got its lock commit, until nobody gets any further; how many went on by that."""
        waiting = self.blocked()
        went_on = 0
        while True:
            for one in self.sessions.values():
                if not one.busy:
                    # who was terminated learns of it now
                    with contextlib.suppress(psycopg.OperationalError):
                        one.connection.rollback()
                        one.connection.execute("SELECT pg_advisory_unlock_all()")
                        one.connection.rollback()
            left = waiting - self._after(waiting)
            if not left:
                return went_on
            went_on += len(left)
            waiting -= left

    def _after(self, waiting: set[int]) -> set[int]:
        def done_waiting() -> tuple[set[int]] | None:
            now = self.blocked()
            idle = all(not self.sessions[pid].busy for pid in waiting - now)
            return (now & waiting,) if idle and now == self.blocked() else None

        return poll(done_waiting, 10, "those who were let through have run")[0]
