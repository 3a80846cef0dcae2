"""One full cycle, and who is in its way."""

from __future__ import annotations

import enum
import time
from dataclasses import dataclass

import psycopg
from django.utils import timezone
from psycopg import errors

from lockmon.calls import coverage, vault

from .connection import describe_failure


class Outcome(enum.Enum):
    """How a full cycle ended."""

    RUN = "run"
    SKIPPED = "skipped"
    FAILED = "failed"


@dataclass(frozen=True)
class CycleResult:
    """What became of one full cycle. seconds: on the clock. reason: in words, empty if it ran."""

    outcome: Outcome
    seconds: float
    cycle: vault.Cycle | None = None
    reason: str = ""


def run_cycle(connection: psycopg.Connection) -> CycleResult:
    """Run one full cycle for all tenants. A lock in its way means skipped, never queued.

    Raises psycopg.Error only where the connection is of no more use.
    """
    began = time.perf_counter()
    try:
        with connection.cursor() as cursor:
            cycle = vault.run_lock_monitoring(cursor)
    except errors.LockNotAvailable as error:
        return CycleResult(Outcome.SKIPPED, time.perf_counter() - began, reason=describe_failure(error))
    except psycopg.Error as error:
        if connection.closed or connection.broken:
            raise
        return CycleResult(Outcome.FAILED, time.perf_counter() - began, reason=describe_failure(error))
    seconds = time.perf_counter() - began
    if cycle.skipped:
        return CycleResult(Outcome.SKIPPED, seconds, cycle, cycle.monitoring_summary)
    return CycleResult(Outcome.RUN, seconds, cycle)


def name_blockers(connection: psycopg.Connection, otherwise: str) -> str:
    """Return who keeps full cycles from running, as a clause.

    otherwise: why the last cycle stored nothing, in PostgreSQL's words. It stands where nobody is found: that
    what was in the way is gone is known only when a cycle has been stored since.
    """
    with connection.cursor() as cursor:
        blockers = coverage.cycle_blockers(cursor)
    if not blockers:
        return otherwise
    return "; ".join(describe_blocker(blocker) for blocker in blockers[:3])


def describe_blocker(blocker: coverage.CycleBlocker) -> str:
    """Return "pid 4711 (app_rw, psql) holds AccessExclusiveLock on ... since 03:12:09"."""
    who = "a prepared transaction" if blocker.pid is None else f"pid {blocker.pid}"
    names = ", ".join(name for name in (blocker.user_name, blocker.application_name) if name)
    since = f" since {timezone.localtime(blocker.since):%H:%M:%S}" if blocker.since else ""
    verb = "asks for" if "waiting for it" in blocker.held else "holds"
    return f"{who}{f' ({names})' if names else ''} {verb} {blocker.held}{since}"
