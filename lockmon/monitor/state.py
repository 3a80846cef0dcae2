"""Reports of the loop to Django's own database, from a thread of its own, so that the loop never waits for
it."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from django.db import DatabaseError, close_old_connections, connections

from lockmon import errors, schedules
from lockmon.models.monitor_state import MonitorState

log = logging.getLogger("lockmon.monitor")

REPORT_EVERY = 2.0
"""Seconds between two reports while nothing but the time of the last look changes."""
FORGET_AFTER = timedelta(days=1)
SET_BACK = 60.0
"""Seconds by which the clock must have been set back until that is seen to; less is no minute missed."""


def instance_name() -> str:
    """Return host and process number, which together name this loop."""
    return f"{socket.gethostname()}:{os.getpid()}"


@dataclass(frozen=True)
class Report:
    """The loop's state at one moment; see MonitorState for the fields."""

    state: str
    since: datetime
    last_look_at: datetime | None = None
    look_ms: float | None = None
    missing_since: datetime | None = None
    reason: str = ""


def store(
    alias: str, report: Report, kind: str = MonitorState.Kind.LOOP, instance: str | None = None
) -> None:
    """Write one report, replacing the last one of the same loop."""
    MonitorState.objects.update_or_create(
        vault_alias=alias,
        instance=instance or instance_name(),
        kind=kind,
        defaults={
            "state": report.state,
            "since": report.since,
            "reported_at": datetime.now(UTC),
            "last_look_at": report.last_look_at,
            "look_ms": report.look_ms,
            "missing_since": report.missing_since,
            "reason": report.reason,
        },
    )


def pulse(alias: str) -> None:
    """Record that this host's task queue runs tasks (see watchdog)."""
    now = datetime.now(UTC)
    instance = socket.gethostname()
    report = Report(state=MonitorState.State.WATCHING, since=now)
    store(alias, report, MonitorState.Kind.CLUSTER, instance)
    MonitorState.objects.filter(vault_alias=alias, reported_at__lt=now - FORGET_AFTER).delete()


class StateWriter(threading.Thread):
    """Writes the newest report at most every two seconds, at once when the state changes.

    A database that cannot be written costs one log line, not the loop: the next report is tried as usual. It
    also sees to the schedules when the clock was set back: until it is as late again nobody would watch by a
    task of the queue.
    """

    def __init__(self, alias: str) -> None:
        super().__init__(name=f"lockmon-state-{alias}", daemon=True)
        self._alias = alias
        self._wake = threading.Condition()
        self._report: Report | None = None
        self._urgent = False
        self._closing = False
        self._failing = False
        self._ahead = _wall_clock()
        self._back = 0.0

    def put(self, report: Report) -> None:
        """Hand over the newest report; returns at once."""
        with self._wake:
            before = self._report
            self._report = report
            if before is None or replace(before, last_look_at=None, look_ms=None) != replace(
                report, last_look_at=None, look_ms=None
            ):
                self._urgent = True
                self._wake.notify()

    def close(self, seconds: float = 2.0) -> None:
        """Write the last report and end; waits at most so many seconds."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self.join(seconds)

    def run(self) -> None:
        written: Report | None = None
        try:
            while True:
                with self._wake:
                    if not (self._urgent or self._closing):
                        self._wake.wait(REPORT_EVERY)
                    report, closing, self._urgent = self._report, self._closing, False
                if report is not None and report != written and self._write(report):
                    written = report
                if closing:
                    return
        finally:
            connections.close_all()

    def _write(self, report: Report) -> bool:
        try:
            close_old_connections()
            store(self._alias, report)
            self._after_a_step()
        except DatabaseError as error:
            if not self._failing:
                log.warning(
                    "The monitor's own state cannot be written to Django's database: %s", errors.told(error)
                )
            self._failing = True
            return False
        self._failing = False
        return True

    def _after_a_step(self) -> None:
        now = _wall_clock()
        self._back += max(self._ahead - now, 0.0)
        self._ahead = now
        if self._back < SET_BACK:
            return
        found = schedules.catch_up(timedelta(seconds=self._back))
        if found:
            log.warning("The clock was set back by %.0f s: %s run now.", self._back, ", ".join(found))
        self._back = 0.0


def _wall_clock() -> float:
    """The time of day as far as it does not merely pass."""
    return time.time() - time.monotonic()
