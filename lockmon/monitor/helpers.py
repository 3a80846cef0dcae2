"""What runs beside the loop while it leads: alerts, policies and the reading of tenants, each in a thread
with connections of its own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
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


class PolicyRunner:
    """Runs the armed policies after each full cycle that found blocking sessions."""

    def __init__(self, alias: str, facts: Callable[[], CycleFacts]) -> None:
        self._alias = alias
        self._facts = facts

    def run_forever(self, stop: threading.Event) -> None:
        """Run until ``stop`` is set. Never raises: a failure is logged once and tried again later."""
        done, failing, counted = 0, "", parts.beside_loop(self._alias)
        while not stop.wait(POLL):
            facts = self._facts()
            if facts.number == done or not facts.blocking_sessions:
                continue
            done = facts.number
            try:
                run_policies(self._alias)
                failing = ""
                counted.worked("policies")
            except Exception as error:
                text = f"{type(error).__name__}: {errors.told(error)}"
                if text != failing:
                    log.error("The policies could not be run: %s", text)
                failing = text
                # whatever state the connection is in, the next run begins with a fresh one
                connections.close_all()
                counted.failed("policies", error)
                stop.wait(RETRY)
        connections.close_all()


class TenantReader:
    """Looks up whose the sessions are, in tables that belong to others.

    Over a connection that is closed afterwards, whatever happened in it; with the login of
    VAULT_SITE_DATABASE_URL, which has nothing else to give, where the site made one.
    """

    def __init__(self, alias: str, facts: Callable[[], CycleFacts]) -> None:
        self._alias = alias
        self._facts = facts

    def run_forever(self, stop: threading.Event) -> None:
        """Run until ``stop`` is set. Never raises: a failure is logged once and tried again later."""
        done, failing, counted = 0, "", parts.beside_loop(self._alias)
        while not stop.wait(POLL):
            facts = self._facts()
            if facts.number == done or not facts.tenants_due:
                continue
            done = facts.number
            try:
                read_tenants(self._alias)
                failing = ""
            except Exception as error:
                text = f"{type(error).__name__}: {errors.told(error)}"
                if text != failing:
                    log.error("Whose the sessions are could not be read: %s", text)
                failing = text
                counted.failed("tenants", error)
                stop.wait(RETRY)
        connections.close_all()


def read_tenants(alias: str) -> int:
    """Ask the site's tables once; how many claims were answered. Raises psycopg.Error."""
    connection = vault.direct_connection(alias, "tenants", statement_timeout_ms=READING_MS)
    try:
        with connection.cursor() as cursor:
            return tenants.ask_site(cursor)
    finally:
        connection.close()


def run_policies(alias: str) -> None:
    """Run the armed policies of one vault once, through the door."""
    from lockmon import actions

    actions.run_policies(alias)


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
            "tenants": TenantReader(self._alias, facts).run_forever
        }
        if self._acting:
            work["alerts"] = partial(evaluate_alerts, self._alias)
            work["policies"] = PolicyRunner(self._alias, facts).run_forever
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
