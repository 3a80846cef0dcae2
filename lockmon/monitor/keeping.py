"""Looking without storing: while the vault cannot be written, what is seen is kept and stored in order
afterwards.

Each look is stored as if its cycle had run then (``lock_engine.store_seen``), before the live cycle goes on;
so there is a gap only where a look was lost. The memory outlives a lost connection to the same server, and
what was not looked at meanwhile is a gap; with the loop's process, or where another loop has taken over, it
ends, and leaves the gap that begins with the last look that was stored.
"""

from __future__ import annotations

import enum
import logging
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

import psycopg
from django.utils import timezone
from psycopg import errors

from lockmon.calls import looks
from lockmon.views.words import some

from .connection import describe_failure, is_connection_loss
from .memory import KeptLook, Memory
from .options import LoopOptions

log = logging.getLogger("lockmon.monitor")

LONGEST_PAUSE = 5.0
"""Seconds; after a longer pause between two looks nobody knows what was in between."""
CATCH_UP = 2.0
"""Seconds of a tick in which kept looks are stored; the next tick goes on. Several times what storing one
takes in a crowd, since each tick keeps one more: with half a second it might never have caught up."""
FAILURES_UNTIL_LOST = 10
"""So often a look is tried that fails by itself, before it is given up so that the others can be stored."""
ENDS_ALL = ("25", "40", "53", "57", "58")
"""Classes of errors that end a whole cycle, as lock_engine.ends_all(..., false) has them; a test compares."""
UNSTORABLE = "a look kept in memory could not be stored"


class Progress(enum.Enum):
    """What became of an attempt to store kept looks. ALL: none is left. SOME: time was up. SKIPPED: a lock is
    in the way. FAILED: an error."""

    ALL = "all"
    SOME = "some"
    SKIPPED = "skipped"
    FAILED = "failed"


@dataclass(frozen=True)
class Storing:
    """first: time of the first look that is in the vault now; None: none is. reason: why not all, in words;
    empty if only time was up."""

    progress: Progress
    first: datetime | None
    seconds: float
    reason: str = ""


class Keeper:
    """Over the loop's connection. Methods raise psycopg.Error only where that is of no more use.

    memory: of the connection before. lost: why nobody has looked since then; a gap, if looks are kept.
    """

    def __init__(
        self,
        connection: psycopg.Connection,
        options: LoopOptions,
        memory: Memory | None = None,
        lost: str = "",
    ) -> None:
        self._connection = connection
        self._tick = options.tick
        self._patience = options.gap_threshold
        self._memory = Memory(options.kept_looks, options.kept_megabytes) if memory is None else memory
        self._settings = looks.LookSettings((connection.info.user,), timedelta(seconds=1))
        self._digest: Decimal | None = None
        self._due: datetime | None = None
        self._lost = lost if len(self) else ""
        self._failures = 0
        self._spent = 0.0

    def __len__(self) -> int:
        return len(self._memory)

    @property
    def waiting(self) -> str:
        """Return "12 looks wait to be stored since 12:03:04"; empty where none does."""
        return self._told("waits to be stored", "wait to be stored")

    @property
    def clause(self) -> str:
        """Return "; 12 looks are kept in memory since 12:03:04"; empty where none is."""
        told = self._told("is kept in memory", "are kept in memory")
        return told and f"; {told}{', older ones were dropped' if self._memory.dropped else ''}"

    def _told(self, one: str, several: str) -> str:
        if not len(self._memory):
            return ""
        since = timezone.localtime(self._memory.oldest(1)[0].at)
        verb = one if len(self._memory) == 1 else several
        return f"{some(len(self._memory), 'look')} {verb} since {since:%H:%M:%S}"

    def fits_after(self, stored: datetime | None) -> bool:
        """Tell whether looks are kept that follow the last stored one. Where another loop, or a cycle from
        elsewhere, has stored since, they are let go."""
        oldest = self._memory.oldest(1)
        if oldest and stored is not None and oldest[0].until < stored:
            log.warning("%s kept in memory: later ones are stored already.", some(len(self), "look"))
            self._memory.clear()
            self._lost = ""
        return len(self._memory) > 0

    def read_settings(self) -> None:
        """Read what a look needs of the vault's settings; where they cannot be had, the ones before stay."""
        try:
            with self._connection.cursor() as cursor:
                self._settings = looks.look_settings(cursor)
        except psycopg.Error as error:
            if is_connection_loss(error, self._connection):
                raise

    def attempted(self, seconds: float) -> None:
        """Note how long the attempt to store took, as the next look came later by that."""
        self._spent = seconds

    def look(self, since: datetime | None, because: str = "") -> None:
        """Look, and keep what was seen. since: of the first look kept, when the loop looked last.

        because: why nothing can be stored, where that is new.
        """
        because = self._memory.because = because or self._memory.because
        last = self._memory.last
        if last is None:
            self.read_settings()
            self._digest = self._due = None
        pause = timedelta(
            seconds=min(
                max(self._patience, 1.5 * self._tick) + 2 * self._spent, max(LONGEST_PAUSE, self._tick * 2)
            )
        )
        try:
            with self._connection.cursor() as cursor:
                seen = looks.look(cursor, self._settings, self._digest, self._due)
                if seen.seen is None and not self._memory.unchanged(seen.seen_at, pause):
                    seen = looks.look(cursor, self._settings)
        except psycopg.Error as error:
            if is_connection_loss(error, self._connection):
                raise
            self._digest = None
            self._lost = f"the look failed ({describe_failure(error)})"
            return
        if seen.seen is None:
            return
        self._digest, self._due = seen.digest, seen.due
        before = last.until if last is not None else since and min(since, seen.seen_at)
        if before is None or not timedelta(0) <= seen.seen_at - before <= pause:
            before, reason = None, self._lost or "the loop was held up while nothing could be stored"
        else:
            reason = self._lost
            before = None if self._lost else before
        kept = self._memory.add(
            before,
            seen.seen_at,
            seen.seen,
            reason,
            f"nothing could be stored ({because}), and of the looks kept in memory the oldest were dropped",
        )
        self._lost = ""
        if not kept:
            self._digest = None
            self._lost = f"nothing could be stored ({because}), and a look was too large to be kept in memory"

    def store(self, budget: float = CATCH_UP) -> Storing:
        """Store the oldest looks, for at most so many seconds, at least one."""
        began = time.perf_counter()
        first: datetime | None = None
        progress, reason, tried = Progress.ALL, "", False
        while len(self._memory):
            if tried and time.perf_counter() - began > budget:
                progress = Progress.SOME
                break
            tried = True
            progress, reason, at = self._store_oldest()
            first = first or at
            if progress is not Progress.ALL:
                break
        self.attempted(time.perf_counter() - began)
        return Storing(progress, first, time.perf_counter() - began, reason)

    def _store_oldest(self) -> tuple[Progress, str, datetime | None]:
        """Store the oldest look, or, where it fails by itself, the one after it; its time if it is stored."""
        reason = ""
        for place, look in enumerate(self._memory.oldest(2)):
            since, why = (None, f"{UNSTORABLE}: {reason}") if place else (look.since, look.reason)
            try:
                with self._connection.cursor() as cursor:
                    result = looks.store_seen(cursor, since, look.at, look.until, look.seen, why)
            except errors.LockNotAvailable as error:
                return Progress.SKIPPED, describe_failure(error), None
            except psycopg.Error as error:
                if is_connection_loss(error, self._connection):
                    raise
                reason = reason or describe_failure(error)
                if ends_any_look(error):
                    return Progress.FAILED, reason, None
                continue
            if result.outcome.startswith("skipped"):
                return Progress.SKIPPED, result.outcome.removeprefix("skipped: "), None
            self._failures = 0
            if place:
                log.warning("A look of %s is lost: %s.", f"{self._memory.oldest(1)[0].at:%H:%M:%S}", reason)
                self._memory.remove_oldest(place)
            return Progress.ALL, "", self._stored(look, result)
        self._failures += 1
        if self._failures >= FAILURES_UNTIL_LOST:
            self._failures = 0
            self._memory.remove_oldest()
            for after in self._memory.oldest(1):
                after.since, after.reason = None, f"{UNSTORABLE}: {reason}"
        return Progress.FAILED, reason, None

    def _stored(self, look: KeptLook, result: looks.StoredLook) -> datetime | None:
        at = look.at
        if result.next_at is not None:
            look.since = look.at = result.next_at
            return at
        if result.outcome.startswith("late"):
            log.warning("A look of %s is lost: %s.", f"{look.at:%H:%M:%S}", result.outcome)
            self._memory.remove_oldest()
            return None
        self._memory.remove_oldest()
        return at


def ends_any_look(error: psycopg.Error) -> bool:
    """Tell whether this would end any cycle, so that the look is not to blame; so does an error that is not
    the server's. A lock in the way is no matter of this: a look waits for it."""
    return error.sqlstate is None or error.sqlstate[:2] in ENDS_ALL
