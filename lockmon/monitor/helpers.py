"""What runs beside the loop while it leads: alerts, policies and the reading of tenants, each in a thread
with connections of its own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from django.db import connections

from lockmon import errors, vault
from lockmon.calls import tenants

from . import parts
from .watch import CycleFacts

log = logging.getLogger("lockmon.monitor")

POLL = 0.5
"""Seconds between two looks whether a new full cycle has found something."""
RETRY = 10.0
"""Seconds after a failed run of the policies until the next one."""
READING_MS = 2000
"""Milliseconds that reading the site's tenants may take."""
ENDING = 5.0
"""Seconds that a helper has for ending; it is a daemon thread, so that it cannot keep the process."""


@dataclass(frozen=True)
class Work:
    """What one part does after full cycles, in a thread of its own.

    part: its name in the vault. wanted: whether what the last full cycle found gives it something to do. do:
    does it for one vault; tells whether the vault is to note that the part works. failed: what a log line
    says before the error.
    """

    part: str
    wanted: Callable[[CycleFacts], bool]
    do: Callable[[str], bool]
    failed: str

    def run_forever(self, alias: str, facts: Callable[[], CycleFacts], stop: threading.Event) -> None:
        """Run until ``stop`` is set. Never raises: a failure is logged once and tried again later."""
        done, failing, counted = 0, "", parts.beside_loop(alias)
        while not stop.wait(POLL):
            found = facts()
            if found.number == done or not self.wanted(found):
                continue
            done = found.number
            try:
                works = self.do(alias)
                failing = ""
                if works:
                    counted.worked(self.part)
            except Exception as error:
                text = f"{type(error).__name__}: {errors.told(error)}"
                if text != failing:
                    log.error("%s: %s", self.failed, text)
                failing = text
                # whatever state the connections are in, the next run begins with fresh ones
                _close_connections()
                counted.failed(self.part, error)
                stop.wait(RETRY)
        _close_connections()


def _close_connections() -> None:
    """Close what this thread has opened: Django's, and the one that the policies keep."""
    from lockmon import actions

    actions.close_kept()
    connections.close_all()


def read_tenants(alias: str) -> int:
    """Look up whose the sessions are, once; how many claims were answered. Raises psycopg.Error.

    The tables belong to others: so it is over a connection that is closed afterwards, whatever happened in
    it; with the login of VAULT_SITE_DATABASE_URL, which has nothing else to give, where the site made one.
    """
    connection = vault.direct_connection(alias, "tenants", statement_timeout_ms=READING_MS)
    try:
        with connection.cursor() as cursor:
            return tenants.ask_site(cursor)
    finally:
        connection.close()


def _tenants(alias: str) -> bool:
    read_tenants(alias)
    return False  # lock_engine.ask_site() notes by itself what could be read


def run_policies(alias: str) -> bool:
    """Run the armed policies of one vault once, through the door."""
    from lockmon import actions

    actions.run_policies(alias)
    return True


TENANTS = Work(
    "tenants", lambda found: found.tenants_due, _tenants, "Whose the sessions are could not be read"
)
POLICIES = Work(
    "policies", lambda found: bool(found.blocking_sessions), run_policies, "The policies could not be run"
)


def evaluate_alerts(alias: str, stop: threading.Event) -> None:
    """Evaluate the alerts of one vault until ``stop`` is set."""
    # imported here, in the helper's thread: whatever is wrong with the alerts must not keep the loop from
    # watching
    from lockmon.alerts.evaluate import AlertEvaluator

    AlertEvaluator(alias).run_forever(stop)


class Helpers:
    """Starts and ends the threads; starting what runs and ending what does not is nothing.

    acting: also alerts and policies; tenants are read by whatever loop leads.
    """

    def __init__(self, alias: str, *, acting: bool) -> None:
        self._alias = alias
        self._acting = acting
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self, facts: Callable[[], CycleFacts]) -> None:
        """Start all helpers. facts: what the last full cycle found."""
        if self._threads:
            return
        self._stop = threading.Event()
        work: dict[str, Callable[[threading.Event], None]] = {
            one.part: partial(one.run_forever, self._alias, facts)
            for one in ((TENANTS, POLICIES) if self._acting else (TENANTS,))
        }
        if self._acting:
            work["alerts"] = partial(evaluate_alerts, self._alias)
        for name, target in work.items():
            thread = threading.Thread(
                target=target, args=(self._stop,), name=f"lockmon-{name}-{self._alias}", daemon=True
            )
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """Ask all helpers to end and wait for them a little."""
        self._stop.set()
        for thread in self._threads:
            thread.join(ENDING)
        self._threads = []
