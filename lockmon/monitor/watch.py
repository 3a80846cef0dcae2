"""One second of watching: the quiet look, the full cycle, the light looks for deadlocks, the books."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import psycopg

from lockmon.calls import coverage, tenants
from lockmon.calls.vault import Cycle
from lockmon.views.words import some

from . import parts
from .aside import Drain
from .connection import LoopConnection, describe_failure, is_connection_loss
from .coverage import Ledger
from .cycle import Outcome, name_blockers, run_cycle
from .deadlocks import DeadlockWatch
from .keeping import Keeper, Progress
from .memory import Memory
from .options import LoopOptions
from .presence import Presence
from .tick import QuietLook

log = logging.getLogger("lockmon.monitor")

LONGEST_REST = 5.0
"""Seconds; a cycle that took long is followed by a rest as long as itself, but no longer than this."""
LAST_CATCH_UP = 5.0
"""Seconds in which a loop that is stopped stores what it has kept."""
CYCLE = "cycle"
"""Whose trouble it is, where it is no part's: a cycle that is stored ends it."""
DEADLOCK_RETRY = 60.0
"""Seconds until the light looks are tried again after they failed."""


@dataclass(frozen=True)
class CycleFacts:
    """What the last full cycle found, for the threads beside the loop. number rises with each cycle that
    ran. tenants_due: the site's tables are to be asked for tenants."""

    number: int = 0
    blocking_sessions: int = 0
    critical_issues: int = 0
    tenants_due: bool = False


class Watch:
    """The leader's work over one connection.

    Methods raise psycopg.Error only where the connection is of no more use; everything else is counted and
    said.
    skipped_because: who keeps full cycles from running, once that has lasted (empty otherwise).
    trouble: what else is wrong at the moment, as a clause; empty when all is well.
    """

    def __init__(
        self,
        opened: LoopConnection,
        ledger: Ledger,
        options: LoopOptions,
        stop: threading.Event,
        memory: Memory,
        lost: str,
    ) -> None:
        self._connection = opened.connection
        self._ledger = ledger
        self._options = options
        self._stop = stop
        self._look = QuietLook(self._connection)
        self._presence = Presence(self._connection, ledger, options)
        self._kept = Keeper(self._connection, options, memory, lost)
        self._deadlocks = DeadlockWatch(self._connection.cursor)
        self._parts = parts.of_loop(self._connection)
        self._rest = Drain(self._connection)
        self._deadlocks_from = 0.0
        self._young = False
        self._pending = 0
        self._waited = False
        self._watching_since = ledger.clock.now()
        self._last_cycle: datetime | None = None
        self._last_cycle_steady = float("-inf")
        self._cycle_ms: float | None = None
        self._beat_at = float("-inf")
        self._introduced = False
        self._next_tick = time.monotonic()
        self._book_retry = 0.0
        self._facts = CycleFacts()
        self._alarm_at = 0.0
        self._said_behind = False
        self.skipping_since: datetime | None = None
        self._in_the_way = ""
        self._troubles: dict[str, str] = {}

    @property
    def skipped_because(self) -> str:
        return self._in_the_way and self._in_the_way + self._kept.clause

    @property
    def trouble(self) -> str:
        """The latest of what else is wrong."""
        return next(reversed(self._troubles.values()), "")

    @property
    def behind(self) -> str:
        """Looks that wait to be stored while nothing is in their way; empty where none does."""
        return "" if self._in_the_way else self._kept.waiting

    @property
    def keeping(self) -> bool:
        """Looks are kept in memory, which would be lost with this loop."""
        return len(self._kept) > 0

    @property
    def look_ms(self) -> float | None:
        """Smoothed milliseconds of a quiet look."""
        return self._look.cost_ms

    def facts_of_last_cycle(self) -> CycleFacts:
        """What the last full cycle found; safe to call from other threads."""
        return self._facts

    def begin(self, since: datetime, missing_since: datetime | None, reason: str) -> None:
        """Open the books. missing_since: since when this loop knows of an outage. reason: why nobody
        watched before.

        Where looks of the connection before are kept, what follows them is a gap, and nothing before them."""
        self._watching_since = since
        with self._connection.cursor() as cursor:
            try:
                before = self._presence.begin(reason, missing_since)
                if self._kept.fits_after(before):
                    self._presence.nothing_missed()
                self._ledger.resume_from(missing_since or before)
                self._ledger.begin(cursor)
                self._kept.read_settings()
            except psycopg.Error as error:
                self._part_failed("coverage", error, "the coverage could not be read")

    def tick(self) -> None:
        """One look, and what follows from it."""
        began = time.perf_counter()
        try:
            waiting = self._look.look()
        except psycopg.Error as error:
            self._presence.looked(well=False)
            self._tolerate(error, "the look failed")
            self._presence.explain(f"the look failed ({describe_failure(error)})")
            self._ledger.failed_cycle(time.perf_counter() - began)
            return
        self._ledger.looked(time.perf_counter() - began)
        self._presence.looked(well=True)
        overdue = (
            time.monotonic() - self._last_cycle_steady
            >= self._options.full_interval - self._options.tick / 20
        )
        if not self._introduced:
            # before the first cycle, which may take long: pages say whose the lock is
            self._write_heartbeat()
        if waiting:
            # before the cycle, which may take longer than a deadlock lives
            self._look_for_deadlocks()
        if self.keeping:
            self._keep()
        # the cycle after the last wait end-dates what has just ended
        if waiting or self._waited or overdue:
            self._full_cycle()
        elif self._pending:
            self._settle()
        self._move_rest()
        self._mark_if_due()
        self._waited = waiting
        self._young = False
        if waiting:
            self._look_for_deadlocks()
        self._keep_books()

    def pause(self) -> None:
        """Wait for the next tick, with light looks for deadlocks in between while a wait is young."""
        now = time.monotonic()
        rest = min((self._cycle_ms or 0.0) / 1000, LONGEST_REST)
        self._next_tick = max(self._next_tick + self._options.tick, now + rest)
        while not self._stop.is_set():
            left = self._next_tick - time.monotonic()
            if left <= 0:
                return
            nap = self._deadlocks.young_wait_interval() if self._young else left
            self._stop.wait(max(min(nap, left, self._presence.seconds_to_mark()), 0.001))
            self._mark_if_due()
            if self._young and nap < left:
                self._look_for_deadlocks()

    def finish(self) -> None:
        """Close the books; nothing is raised, because the loop is about to end anyway."""
        try:
            if self.keeping:
                self._kept.store(LAST_CATCH_UP)
            self._presence.mark()
            with self._connection.cursor() as cursor:
                self._ledger.close(cursor)
            self._beat()
        except psycopg.Error as error:
            log.info("The last period of coverage was not stored: %s.", describe_failure(error))

    def _full_cycle(self) -> None:
        # in order: what was seen before comes first
        if self.keeping and not self._store_kept():
            return
        result = run_cycle(self._connection)
        self._cycle_ms = result.seconds * 1000
        if result.outcome is Outcome.RUN:
            self._ledger.ran_cycle(result.seconds)
            self._last_cycle = self._ledger.clock.now()
            self._last_cycle_steady = time.monotonic()
            self._rest.due = True
            self._over()
            self._note_stored(lambda: self._presence.cycle_ran(result.seconds))
            if result.cycle is not None:
                self._announce(result.cycle)
        elif result.outcome is Outcome.SKIPPED:
            self._cycle_skipped(result.reason.removeprefix("skipped: "), result.seconds)
        else:
            self._cycle_failed(result.reason, result.seconds)
        if result.outcome is not Outcome.RUN and not self.keeping:
            self._kept.attempted(result.seconds)
            self._keep(result.reason.removeprefix("skipped: "))

    def _cycle_skipped(self, reason: str, seconds: float) -> None:
        self._ledger.skipped_cycle(seconds)
        self._presence.cycle_failed(reason)
        self._skipping(reason)

    def _cycle_failed(self, reason: str, seconds: float) -> None:
        self._ledger.failed_cycle(seconds)
        self._presence.cycle_failed(reason)
        # a cycle that cannot work is tried again at the full interval, not every second
        self._last_cycle_steady = time.monotonic()
        self._say_trouble(f"the full cycle failed: {reason}")
        self._not_storing(f"the full cycle fails ({reason})")

    def _keep(self, because: str = "") -> None:
        """Look and keep it. because: why it cannot be stored, where that is new."""
        began = time.perf_counter()
        self._kept.look(self._ledger.last_look, because)
        self._ledger.other_statement(time.perf_counter() - began)

    def _store_kept(self) -> bool:
        """Store what was kept; tell whether all of it is stored."""
        result = self._kept.store()
        first = result.first
        if first is not None:
            self._over()
            self._note_stored(lambda: self._presence.kept_stored(result.seconds, first))
        if result.progress is Progress.SKIPPED:
            self._cycle_skipped(result.reason, result.seconds)
        elif result.progress is Progress.FAILED:
            self._cycle_failed(result.reason, result.seconds)
        else:
            self._ledger.other_statement(result.seconds)
        return result.progress is Progress.ALL

    def _skipping(self, reason: str) -> None:
        if not self._lasts() or time.monotonic() < self._alarm_at:
            return
        self._alarm_at = time.monotonic() + self._options.skip_alarm
        try:
            because = name_blockers(self._connection, reason)
        except psycopg.Error as error:
            self._tolerate(error, "who is in the way could not be asked")
            return
        self._not_storing(because)

    def _lasts(self) -> bool:
        """Note that nothing is stored at the moment; tell whether that has lasted long enough to be said."""
        now = self._ledger.clock.now()
        if self.skipping_since is None:
            self.skipping_since = now
        return (now - self.skipping_since).total_seconds() >= self._options.skip_alarm

    def _not_storing(self, because: str) -> None:
        if self._lasts() and because != self._in_the_way:
            log.warning(
                "Looking, but storing nothing since %s: %s.", f"{self.skipping_since:%H:%M:%S}", because
            )
            self._in_the_way = because
            self._beat_at = float("-inf")

    def _over(self) -> None:
        if self._in_the_way:
            kept = f", {some(len(self._kept), 'look')} kept in memory come first" if self.keeping else ""
            log.warning(
                "Storing again%s; cycles were skipped since %s.", kept, f"{self.skipping_since:%H:%M:%S}"
            )
            self._beat_at = float("-inf")
        self._well_again(CYCLE)
        self.skipping_since, self._in_the_way = None, ""

    def _announce(self, cycle: Cycle) -> None:
        critical, blocking = cycle.critical_issues or 0, cycle.blocking_sessions or 0
        if critical > self._facts.critical_issues:
            log.critical("%s", cycle.monitoring_summary)
        elif self._facts.critical_issues and not critical:
            log.warning("Nothing is CRITICAL any more: %s", cycle.monitoring_summary)
        self._facts = CycleFacts(self._facts.number + 1, blocking, critical, self._tenants_due())

    def _tenants_due(self) -> bool:
        try:
            with self._connection.cursor() as cursor:
                return tenants.due(cursor)
        except psycopg.Error as error:
            self._part_failed("tenants", error, "whose the sessions are could not be asked")
            return False

    def _look_for_deadlocks(self) -> None:
        if time.monotonic() < self._deadlocks_from:
            self._young = False
            return
        try:
            seen = self._deadlocks.look()
        except psycopg.Error as error:
            self._deadlocks_from = time.monotonic() + DEADLOCK_RETRY
            self._young = False
            self._part_failed("looks for deadlocks", error, "the look for deadlocks failed")
            return
        self._part_worked("looks for deadlocks")
        self._ledger.looked_for_deadlocks(seen.cost)
        self._young, self._pending = seen.young, seen.pending

    def _settle(self) -> None:
        self._pending = 0
        began = time.perf_counter()
        try:
            self._deadlocks.settle()
        except psycopg.Error as error:
            self._part_failed("settling of deadlocks", error, "a deadlock could not be stored")
        else:
            self._part_worked("settling of deadlocks")
        self._ledger.other_statement(time.perf_counter() - began)

    def _move_rest(self) -> None:
        """What the cycle left of what was kept aside for a tenant that was locked."""
        try:
            spent = self._rest.run()
        except psycopg.Error as error:
            self._part_failed("rows kept aside", error, "what is kept aside could not be moved")
            return
        for seconds in spent:
            self._ledger.other_statement(seconds)
        if spent:
            self._part_worked("rows kept aside")

    def _note_stored(self, note: Callable[[], None]) -> None:
        try:
            note()
        except psycopg.Error as error:
            self._part_failed("coverage", error, "a gap could not be named")

    def _mark_if_due(self) -> None:
        if self._presence.seconds_to_mark() > 0:
            return
        try:
            self._presence.mark()
        except psycopg.Error as error:
            self._part_failed("coverage", error, "the look could not be stored")

    def _keep_books(self) -> None:
        now = time.monotonic()
        if self._said_behind and not self.behind:
            self._beat_at = float("-inf")
        if now - self._beat_at >= self._options.full_interval - self._options.tick / 20:
            self._beat_at = now
            self._write_heartbeat()
        if self._ledger.period_seconds >= self._options.coverage_period and now >= self._book_retry:
            try:
                with self._connection.cursor() as cursor:
                    self._ledger.close(cursor)
            except psycopg.Error as error:
                self._book_retry = now + self._options.skip_alarm
                self._part_failed("coverage", error, "the coverage could not be stored")
            else:
                self._part_worked("coverage")

    def _write_heartbeat(self) -> None:
        began = time.perf_counter()
        self._introduced = True
        try:
            self._beat()
        except psycopg.Error as error:
            self._part_failed("heartbeat", error, "the heartbeat could not be stored")
        else:
            self._part_worked("heartbeat")
        self._ledger.other_statement(time.perf_counter() - began)

    def _beat(self) -> None:
        self._said_behind = bool(self.behind)
        beat = coverage.Heartbeat(
            leader_host=socket.gethostname(),
            leader_process=os.getpid(),
            watching_since=self._watching_since,
            last_look_at=self._ledger.last_look,
            last_cycle_at=self._last_cycle,
            look_ms=self._look.cost_ms,
            cycle_ms=self._cycle_ms,
            look_by=self._look.by,
            skipping_since=self.skipping_since if self._in_the_way else None,
            skipped_because=self.skipped_because or self.behind or None,
        )
        with self._connection.cursor() as cursor:
            coverage.record_heartbeat(cursor, beat)

    def _part_failed(self, part: str, error: psycopg.Error, what: str) -> None:
        """Raise where the connection is lost; otherwise say it, count it against this part, and go on."""
        self._tolerate(error, what, part)
        self._parts.failed(part, error)

    def _part_worked(self, part: str) -> None:
        self._parts.worked(part)
        self._well_again(part)

    def _tolerate(self, error: psycopg.Error, what: str, part: str = CYCLE) -> None:
        """Raise where the connection is lost; otherwise say it and go on."""
        if is_connection_loss(error, self._connection):
            raise error
        self._say_trouble(f"{what}: {describe_failure(error)}", part)

    def _say_trouble(self, trouble: str, part: str = CYCLE) -> None:
        if trouble != self._troubles.get(part):
            log.warning("While watching: %s.", trouble)
            self._troubles[part] = trouble

    def _well_again(self, part: str) -> None:
        """Only what failed can say that it works again."""
        if trouble := self._troubles.pop(part, ""):
            log.info("Well again: %s.", trouble)
