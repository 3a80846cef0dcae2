"""The loop: connect, become leader or stand by, watch, and begin again whatever happens.

It is a process of its own (manage.py lockmon_monitor), which leads or stands by until it is stopped. Where
none watches, the queue's task `watch` runs the same loop: until a process or the next task stands by, which
it then lets lead within a second or so, and two minutes at most. Where a process leads, a task ends at once.

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
from .leader import PROCESS, TASK, Leadership, Role
from .memory import Memory
from .options import LoopOptions, loop_options
from .state import Report, StateWriter
from .watch import Watch

log = logging.getLogger("lockmon.monitor")

TASK_LIFE = 115.0
"""Seconds for which a task of the queue watches at most: two minutes, less what its end may take."""
SURPLUS_CHECK = 1.0
"""Seconds between two attempts of a process that is neither leader nor standby."""
LEADER_CHECK = 5.0
"""Seconds between two looks of a task that stands by at who leads."""


class MonitorLoop:
    """Watches one vault until ``stop`` is set.

    in_task: it is run by a task of the queue, for TASK_LIFE seconds at most; see above.
    with_helpers: run alerts and policies beside the loop while it leads; tenants are read in any case.
    """

    def __init__(
        self,
        alias: str,
        stop: threading.Event,
        *,
        options: LoopOptions | None = None,
        in_task: bool = False,
        with_helpers: bool = True,
    ) -> None:
        self.alias = alias
        self._stop = stop
        self._options = options or loop_options()
        self._in_task = in_task
        self._ends_at = time.monotonic() + TASK_LIFE if in_task else None
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
                if self._life_is_over():
                    return self._ended("its task was over, and none has begun since")
                role = self._one_connection()
                if role is Role.SURPLUS:
                    return f"A loop watches '{self.alias}' already: this task was not needed."
                if (
                    role is Role.LEADER
                    and self._in_task
                    and not (self._stop.is_set() or self._life_is_over())
                ):
                    return self._ended("it handed over to the next loop")
            return self._ended("it was stopped")
        finally:
            self._stop_helpers()
            self._writer.close()

    def _ended(self, reason: str) -> str:
        """Report the end; returns the reason as a sentence."""
        self._report(MonitorState.State.STOPPED, self._now(), reason=reason)
        return f"Ended: {reason}."

    def _one_connection(self) -> Role | None:
        """Connect, serve until the connection ends or the loop does; the role in which it ended, None
        after a loss."""
        try:
            opened = open_connection(self.alias, TASK if self._in_task else PROCESS, self._options)
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
        role = self._place(leadership)
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
            role = self._stand_by(leadership, since)
            if role is not Role.LEADER:
                return role
        self._watch(opened, leadership, otherwise)
        return Role.LEADER

    def _place(self, leadership: Leadership) -> Role:
        """The role that is to be had. A process waits until there is one; a task is surplus where a process
        leads, too."""
        role = leadership.take()
        if self._in_task:
            return role if role is Role.LEADER or leadership.leader_gives_way() else Role.SURPLUS
        if role is Role.SURPLUS:
            log.info("'%s' has a leader and a standby: waiting for a place.", self.alias)
        since = self._now()
        while role is Role.SURPLUS and not self._stop.wait(SURPLUS_CHECK):
            self._report(MonitorState.State.STANDBY, since)
            role = leadership.take()
        return role

    def _stand_by(self, leadership: Leadership, since: datetime) -> Role:
        """Wait until this loop leads, is stopped (standby), or, in a task, is not needed (surplus)."""
        looked_at = time.monotonic()
        while not self._life_is_over():
            self._report(MonitorState.State.STANDBY, since)
            if self._stop.wait(self._options.standby_poll):
                return Role.STANDBY
            role = leadership.take()
            if role is not Role.STANDBY:
                return role
            if self._in_task and time.monotonic() - looked_at > LEADER_CHECK:
                looked_at = time.monotonic()
                if not leadership.leader_gives_way():
                    break
        return Role.SURPLUS

    def _watch(self, opened: LoopConnection, leadership: Leadership, otherwise: str) -> None:
        """Be the leader until stopped, or the connection is lost; in a task, until another loop stands by.

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
        if self._in_task:
            log.info(
                "This loop is a task of the queue, for two minutes at most: a queue that is asked to stop "
                "waits for its end. manage.py lockmon_monitor is the loop as a process of its own."
            )
        try:
            while not self._stop.is_set():
                watch.tick()
                self._report(
                    MonitorState.State.SKIPPING if watch.skipped_because else MonitorState.State.WATCHING,
                    watch.skipping_since or since,
                    look_ms=watch.look_ms,
                    reason=watch.skipped_because or watch.behind or watch.trouble,
                )
                if self._life_is_over():
                    break
                # what is kept in memory would be lost
                if self._in_task and not watch.keeping and leadership.successor_is_there():
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
