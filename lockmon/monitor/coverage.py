"""The loop's own ledger: what it looked at, what it missed, what it cost."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from lockmon.calls import coverage


class ServerClock:
    """The server's time, by this host's steady clock: differences between two hosts' clocks do not matter."""

    def __init__(self, server_now: datetime) -> None:
        self.set(server_now)

    def set(self, server_now: datetime) -> None:
        """Set the clock to what the server just said."""
        self._base, self._steady = server_now, time.monotonic()

    def now(self) -> datetime:
        """Return the server's time now."""
        return self._base + timedelta(seconds=time.monotonic() - self._steady)


@dataclass
class Tally:
    """Counts of the period that runs."""

    looks: int = 0
    cycles_run: int = 0
    cycles_skipped: int = 0
    cycles_failed: int = 0
    deadlock_looks: int = 0
    statements: int = 0
    busy: float = 0.0
    slowest_cycle: float | None = None
    largest_gap: float = 0.0


class Ledger:
    """Collects a period's tally and stores it with PostgreSQL's counters of the same time."""

    def __init__(self, host: str, clock: ServerClock) -> None:
        self._host = host
        self.clock = clock
        self.tally = Tally()
        self._start = clock.now()
        self._counters: coverage.Counters | None = None
        self._interrupted = False
        self._last_look: datetime | None = None

    @property
    def last_look(self) -> datetime | None:
        """When a look last succeeded, by the server's clock."""
        return self._last_look

    @property
    def period_seconds(self) -> float:
        """Seconds since the running period began."""
        return (self.clock.now() - self._start).total_seconds()

    def resume_from(self, last_look: datetime | None) -> None:
        """Take over where another loop left off, so that the time between counts as a gap."""
        self._last_look = last_look

    def looked(self, seconds: float) -> float:
        """Count a look that succeeded; returns the seconds since the one before."""
        self.tally.looks += 1
        self._spent(seconds)
        now = self.clock.now()
        gap = 0.0 if self._last_look is None else max(0.0, (now - self._last_look).total_seconds())
        self.tally.largest_gap = max(self.tally.largest_gap, gap)
        self._last_look = now
        return gap

    def looked_for_deadlocks(self, seconds: float) -> None:
        """Count a light look at the waits-for graph."""
        self.tally.deadlock_looks += 1
        self._spent(seconds)

    def ran_cycle(self, seconds: float) -> None:
        """Count a full cycle that ran."""
        self.tally.cycles_run += 1
        self.tally.slowest_cycle = max(self.tally.slowest_cycle or 0.0, seconds)
        self._spent(seconds)

    def skipped_cycle(self, seconds: float) -> None:
        """Count a full cycle that something was in the way of."""
        self.tally.cycles_skipped += 1
        self._spent(seconds)

    def failed_cycle(self, seconds: float) -> None:
        """Count a full cycle that ended with an error."""
        self.tally.cycles_failed += 1
        self._spent(seconds)

    def other_statement(self, seconds: float) -> None:
        """Count a statement of the loop's own housekeeping."""
        self._spent(seconds)

    def begin(self, cursor: Any) -> None:
        """Begin a period: ask PostgreSQL's counters. What was tallied before (an outage) stays in it."""
        self._interrupted = self._counters is not None
        self._counters = coverage.transaction_counters(cursor, None, None)
        self.tally.statements += 1
        self.clock.set(self._counters.counted_at)

    def close(self, cursor: Any) -> int | None:
        """Store the period and begin the next one; returns the transactions too short to be sampled, if
        knowable."""
        before = self._counters
        after = coverage.transaction_counters(
            cursor, before.last_satellite if before else None, before.counted_at if before else None
        )
        tally = self.tally
        tally.statements += 2
        finished, seen, unknown = compare(before, after)
        if self._interrupted:
            finished, seen, unknown = (
                None,
                None,
                ("finished_transactions: the connection was lost meanwhile",),
            )
        period = coverage.Period(
            period_start=self._start,
            period_end=max(after.counted_at, self._start),
            leader_host=self._host,
            looks=tally.looks,
            cycles_run=tally.cycles_run,
            cycles_skipped=tally.cycles_skipped,
            cycles_failed=tally.cycles_failed,
            deadlock_looks=tally.deadlock_looks,
            largest_gap_ms=round(tally.largest_gap * 1000, 1),
            busy_ms=round(tally.busy * 1000, 1),
            slowest_cycle_ms=None if tally.slowest_cycle is None else round(tally.slowest_cycle * 1000, 1),
            finished_transactions=finished,
            monitor_transactions=tally.statements,
            seen_transactions=seen,
            unknown=unknown,
        )
        unsampled = coverage.record_coverage(cursor, period)
        self.tally = Tally()
        self._start, self._counters, self._interrupted = after.counted_at, after, False
        self.clock.set(after.counted_at)
        return unsampled

    def _spent(self, seconds: float) -> None:
        self.tally.statements += 1
        self.tally.busy += seconds


def compare(
    before: coverage.Counters | None, after: coverage.Counters
) -> tuple[int | None, int | None, tuple[str, ...]]:
    """Return finished and seen transactions between two readings, None and the reason where they are not
    knowable."""
    if before is None:
        return None, None, ("finished_transactions: the counters were not read at the beginning",)
    if before.finished_transactions is None or after.finished_transactions is None:
        return None, after.seen_transactions, ("finished_transactions: PostgreSQL shows no counters",)
    finished = after.finished_transactions - before.finished_transactions
    if before.counters_reset_at != after.counters_reset_at or finished < 0:
        return (
            None,
            after.seen_transactions,
            ("finished_transactions: PostgreSQL's counters were reset meanwhile",),
        )
    return finished, after.seen_transactions, ()
