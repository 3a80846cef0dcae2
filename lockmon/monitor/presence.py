"""The loop's part in the record of watched time: it says twice a second that it watches, and names its gaps.

The vault finds the gaps by itself: each begins with the last look that was stored and ends with the first
one after it (``lock_engine.record_look``). So nothing need be written at the bad moment; all that the loop
adds afterwards is why.
"""

from __future__ import annotations

import logging
import time
from datetime import datetime

import psycopg

from lockmon.calls import coverage
from lockmon.views.words import duration

from .coverage import Ledger
from .options import LoopOptions

log = logging.getLogger("lockmon.monitor")

HELD_UP = "the loop was held up (its host was suspended or overloaded, or a statement took that long)"
MARK_EVERY = 0.5
"""Seconds between two signs of life: the record of a killed loop is right to within about this."""
LONGEST_PATIENCE = 5.0
"""Seconds; however slow the cycles are, a longer pause is a gap."""
CLOCK_SLIP = 1.0
"""Seconds by which the server's clock may differ from this host's steady one between two signs of life."""


class Presence:
    """Over one connection of the leader. Methods raise psycopg.Error where the vault cannot be written.

    storing: the last cycle that was due ran; without it the loop looks, but does not watch.
    """

    def __init__(self, connection: psycopg.Connection, ledger: Ledger, options: LoopOptions) -> None:
        self._connection = connection
        self._ledger = ledger
        self._options = options
        self._reason = ""
        self._missing_since: datetime | None = None
        self._marked_at = float("-inf")
        self._cycle = 0.0
        self._looked = False
        self.storing = False

    def begin(self, reason: str, missing_since: datetime | None) -> datetime | None:
        """Become the one who watches; returns the last look before, None if this is the first one ever.

        reason: why nobody watched since. missing_since: since when the loop knows of an outage, so that also
        a pause too short for a gap otherwise is one; None: of none.
        """
        with self._connection.cursor() as cursor:
            before = coverage.begin_watching(cursor)
        self._reason = reason
        self._missing_since = missing_since and (before or missing_since)
        return before

    def nothing_missed(self) -> None:
        """Take back what begin() was told: looks are kept from then on, and say themselves what is lost."""
        self._reason, self._missing_since = "", None

    def explain(self, reason: str) -> None:
        """Remember why the gap that ends with the next stored look came to be; the first reason stands."""
        self._reason = self._reason or reason

    def looked(self, well: bool) -> None:
        """Note whether the last look could be made; after one that failed nothing is claimed."""
        self._looked = well

    def cycle_ran(self, seconds: float) -> None:
        """A cycle was stored, which is a look; name the gap before it."""
        began = time.monotonic() - seconds
        self._notice_pause(began)
        self.storing = True
        self._cycle = seconds
        self._marked_at = began
        self._name_gap(seconds)

    def cycle_failed(self, reason: str) -> None:
        """A cycle that was due stored nothing: watched time ends with the last look before, unless what is
        seen from now on is kept and stored later."""
        self.storing = False
        self.explain(f"nothing could be stored: {reason}")

    def kept_stored(self, seconds: float, first: datetime) -> None:
        """Looks that were kept, the first of this moment, were stored within so many seconds; name the gap
        before them."""
        self._name_gap(seconds, first)

    def seconds_to_mark(self) -> float:
        """Seconds until the next sign of life is due; infinite while there is nothing to say."""
        if not (self.storing and self._looked):
            return float("inf")
        return self._marked_at + MARK_EVERY - time.monotonic()

    def mark(self) -> None:
        """Say that the loop watches, unless it does not."""
        if not (self.storing and self._looked):
            return
        began = time.monotonic()
        self._notice_pause(began)
        self._marked_at = began
        patience = min(
            self._options.gap_threshold + 2 * self._cycle, max(self._options.gap_threshold, LONGEST_PATIENCE)
        )
        expected = self._ledger.clock.now()
        with self._connection.cursor() as cursor:
            noted = coverage.note_look(cursor, patience)
        self._ledger.other_statement(time.monotonic() - began)
        if noted is None:
            return
        slip = (noted - expected).total_seconds()
        if abs(slip) > CLOCK_SLIP:
            self._ledger.clock.set(noted)
            which = "forward (or its host was suspended)" if slip > 0 else "back"
            self._reason = f"the server's clock was set {which} by {duration(abs(slip))}"
            log.warning("%s.", self._reason.capitalize())
        self._name_gap(time.monotonic() - began)

    def _notice_pause(self, moment: float) -> None:
        if float("inf") > moment - self._marked_at > self._options.gap_threshold:
            self.explain(HELD_UP)

    def _name_gap(self, seconds: float, end: datetime | None = None) -> None:
        """Give the gap that was stored within so many seconds, and ended then or at ``end``, its reason."""
        if not self._reason:
            return
        with self._connection.cursor() as cursor:
            missed = coverage.name_gap(cursor, self._reason, seconds + 2 * MARK_EVERY)
            if missed is None and self._missing_since is not None:
                missed = coverage.record_coverage_gap(
                    cursor, self._missing_since, end or self._ledger.clock.now(), self._reason
                )
        if missed:
            log.warning("Watching again. %s are missing: %s.", duration(missed), self._reason)
        self._reason, self._missing_since = "", None
