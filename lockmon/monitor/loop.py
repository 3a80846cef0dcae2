"""The resident loop: connect, become leader or stand by, watch, and begin again whatever happens.

One object, one loop, one thread; threads beside it evaluate alerts, run policies and write reports. What
one second of watching does stands in ``watch.py``; this file is about staying alive.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from datetime import UTC, datetime

import psycopg

from lockmon.models.monitor_state import MonitorState
from lockmon.views.words import some

from .connection import CannotWatchError, LoopConnection, describe_failure, open_connection
from .coverage import Ledger, ServerClock
from .helpers import Helpers
from .leader import Leadership, Role
from .memory import Memory
from .options import LoopOptions, loop_options
from .state import Report, StateWriter
from .watch import Watch

log = logging.getLogger("lockmon.monitor")

STANDBY_CHECK = 5.0
"""Seconds between two looks whether a standby is there, once the loop's life is over."""


class MonitorLoop:
    """Watches one vault until ``stop`` is set.

    life: after so many seconds the loop ends as soon as a standby can take over; None: never by itself.
    with_helpers: run alerts and policies beside the loop while it leads; tenants are read in any case.
    """

    def __init__(
        self,
        alias: str,
        stop: threading.Event,
        *,
        options: LoopOptions | None = None,
        life: float | None = None,
        with_helpers: bool = True,
    ) -> None:
        self.alias = alias
        self._stop = stop
        self._options = options or loop_options()
        self._ends_at = None if life is None else time.monotonic() + life
        self._helpers = Helpers(alias, acting=with_helpers)
        self._writer = StateWriter(alias)
        self._connected_once = False
        self._clock: ServerClock | None = None
        self._ledger: Ledger | None = None
        self._memory = Memory(self._options.kept_looks, self._options.kept_megabytes)
        self._missing_since: datetime | None = None
        self._reason = ""
        self._failures = 0

    def run(self) -> str:
        """Watch until stopped; returns, in a sentence, why it ended.

        Raises CannotWatchError only where the very first connection shows that watching would be wrong.
        """
        self._writer.start()
        try:
            while not self._stop.is_set():
                role = self._one_connection()
                if role is Role.SURPLUS:
                    return f"'{self.alias}' already has a leader and a standby; this loop was not needed."
                if role is Role.LEADER and self._life_is_over():
                    return "Handed over to the standby."
            self._report(MonitorState.State.STOPPED, self._now(), reason="it was stopped")
            return "Stopped."
        finally:
            self._stop_helpers()
            self._writer.close()

    def _one_connection(self) -> Role | None:
        """Connect, serve until the connection ends or the loop does; the role in which it ended, None
        after a loss."""
        try:
            opened = open_connection(self.alias, "loop", self._options)
        except CannotWatchError as error:
            self._outage(error)
            if not self._connected_once:
                raise
            self._stop.wait(self._options.backoff_longest)
            return None
        except psycopg.Error as error:
            self._outage(error)
            self._back_off()
            return None
        self._connected_once = True
        try:
            return self._serve(opened)
        except psycopg.Error as error:
            self._outage(error)
            self._back_off()
            return None
        finally:
            self._stop_helpers()
            opened.connection.close()

    def _serve(self, opened: LoopConnection) -> Role:
        if self._clock is None:
            self._clock = ServerClock(opened.facts.now)
        self._clock.set(opened.facts.now)
        leadership = Leadership(opened.connection)
        role = leadership.take()
        if role is Role.SURPLUS:
            return role
        if self._memory.server != opened.facts.started and (number := self._memory.clear()):
            log.warning("%s kept in memory are lost: the server was restarted.", some(number, "look"))
        otherwise = "no loop was running"
        if role is Role.STANDBY:
            log.info("Standing by for %s: another loop watches it.", opened.facts.database)
            since = self._now()
            self._failures, self._missing_since, self._reason = 0, None, ""
            otherwise = "another loop ended, and this one took over"
            while role is Role.STANDBY:
                self._report(MonitorState.State.STANDBY, since)
                if self._stop.wait(self._options.standby_poll):
                    return role
                role = leadership.take()
        self._watch(opened, otherwise)
        return Role.LEADER

    def _watch(self, opened: LoopConnection, otherwise: str) -> None:
        """Be the leader until stopped, or the life is over and a standby there, or the connection is lost.

        otherwise: why nobody watched before, where this loop itself knows of no outage.
        """
        assert self._clock is not None
        if self._ledger is None:
            self._ledger = Ledger(socket.gethostname(), self._clock)
        self._memory.server = opened.facts.started
        lost = self._reason or otherwise
        watch = Watch(opened, self._ledger, self._options, self._stop, self._memory, lost)
        since = self._now()
        log.info(
            "Watching %s (PostgreSQL %s) over server process %s.",
            opened.facts.database,
            opened.facts.version_num // 10000,
            opened.facts.backend_pid,
        )
        watch.begin(since, self._missing_since, lost)
        self._failures, self._missing_since, self._reason = 0, None, ""
        self._helpers.start(watch.facts_of_last_cycle)
        standby_asked_at = 0.0
        try:
            while not self._stop.is_set():
                watch.tick()
                self._report(
                    MonitorState.State.SKIPPING if watch.skipped_because else MonitorState.State.WATCHING,
                    watch.skipping_since or since,
                    look_ms=watch.look_ms,
                    reason=watch.skipped_because or watch.behind or watch.trouble,
                )
                # what is kept in memory would be lost
                if (
                    self._life_is_over()
                    and not watch.keeping
                    and time.monotonic() - standby_asked_at > STANDBY_CHECK
                ):
                    standby_asked_at = time.monotonic()
                    if watch.standby_is_there():
                        break
                watch.pause()
        finally:
            if not opened.connection.closed:
                watch.finish()

    def _life_is_over(self) -> bool:
        return self._ends_at is not None and time.monotonic() >= self._ends_at

    def _outage(self, error: BaseException) -> None:
        """Remember since when and why nobody watches, say it once a reason, and keep it where the web can
        see it."""
        if self._stop.is_set():
            return
        reason = describe_failure(error)
        if self._missing_since is None:
            last = self._ledger.last_look if self._ledger else None
            self._missing_since = last or self._now()
        if reason != self._reason:
            self._reason = reason
            log.error("Not watching since %s: %s.", f"{self._missing_since:%H:%M:%S}", reason)
        self._report(
            MonitorState.State.NOT_WATCHING,
            self._missing_since,
            missing_since=self._missing_since,
            reason=reason,
        )

    def _back_off(self) -> None:
        seconds = min(self._options.backoff_first * 2**self._failures, self._options.backoff_longest)
        self._failures = min(self._failures + 1, 20)
        self._stop.wait(seconds)

    def _stop_helpers(self) -> None:
        self._helpers.stop()

    def _now(self) -> datetime:
        return self._clock.now() if self._clock else datetime.now(UTC)

    def _report(
        self,
        state: str,
        since: datetime,
        *,
        look_ms: float | None = None,
        missing_since: datetime | None = None,
        reason: str = "",
    ) -> None:
        self._writer.put(
            Report(
                state=state,
                since=since,
                last_look_at=self._ledger.last_look if self._ledger else None,
                look_ms=look_ms,
                missing_since=missing_since,
                reason=reason,
            )
        )


def run_loop(alias: str, stop: threading.Event, *, life: float | None = None) -> str:
    """Run a loop for one vault alias; see MonitorLoop."""
    return MonitorLoop(alias, stop, life=life).run()
