"""The evaluator of alerts: a thread beside the monitoring loop, with connections of its own.

One round: 1. read every alert with its standing and its event; 2. run the queries that are due in the
sandbox, quick
ones first; 3. decide by the rules of lifecycle; 4. store an event's next version together with its
messages; 5. store
where evaluations stand; 6. have the messages sent, by another process.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
from django.db import connections

from lockmon import errors
from lockmon.calls import alert_messages as outbox
from lockmon.calls import alerts as calls
from lockmon.calls import home
from lockmon.calls.base import Cursor
from lockmon.monitor import parts
from lockmon.vault import ADMIN_ROLE, direct_connection

from . import channels, delivery, events, lifecycle
from .events import Change
from .sandbox import Evaluated, Sandbox

log = logging.getLogger("lockmon.alerts")

RETRY_SECONDS = 3.0
"""Pause after PostgreSQL could not be reached."""
WRITE_EVERY = timedelta(seconds=60)
"""How often the standing of an alert that does not change is written."""
VALUE_EVERY = timedelta(seconds=15)
"""How often the value is written while it changes and its level does not."""
SLOW_FACTOR = 20
"""A query that timed out is tried again after this many times its timeout: it may take a twentieth of the
time."""
BROKEN_SECONDS = 9.0
"""A query that fails is tried again after this long: PostgreSQL logs each failure."""
UNSENT_SECONDS = 20.0
"""A message due for longer than this finds no cluster of django-q and is sent from a thread of this
process."""


@dataclass(frozen=True)
class _Limits:
    interval: float
    timeout: float
    per_minute: int
    literals_to: frozenset[str]


@dataclass
class _Memory:
    """What is remembered of an alert between rounds; losing it costs one early write, and of the worst value
    what was not worth a version of its event."""

    version: int = 0
    next_at: float = 0.0
    milliseconds: float = 0.0
    written_at: datetime | None = None
    written: tuple[Any, ...] = ()
    value: Decimal | None = None
    peak: Decimal | None = None
    peak_of: bytes | None = None


class AlertEvaluator:
    """Evaluates the active alerts of one vault, by default every three seconds; only one at a time
    works."""

    def __init__(self, alias: str) -> None:
        self.alias = alias
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = None
        self._sandbox = Sandbox(alias)
        self._memory: dict[bytes, _Memory] = {}
        self._interval = 3.0
        self._asked_at = 0.0
        self._rescue: threading.Thread | None = None
        self._mirror_problem = ""

    def run_forever(self, stop: threading.Event) -> None:
        """Evaluate until ``stop`` is set. Never raises: a broken connection is opened again after a
        pause."""
        failing, counted = "", parts.beside_loop(self.alias)
        try:
            while not stop.is_set():
                begun, pause = time.monotonic(), RETRY_SECONDS
                try:
                    self.run_once()
                    pause, failing = self._interval, ""
                    counted.worked("alerts")
                except Exception as error:
                    self.close()
                    text = f"{type(error).__name__}: {errors.told(error)}"
                    if text != failing:
                        log.error("Alerts are not evaluated: %s", text)
                    failing = text
                    counted.failed("alerts", error)
                stop.wait(max(0.1, pause - (time.monotonic() - begun)))
        finally:
            self.close()
            connections.close_all()

    def close(self) -> None:
        """Close both connections; the advisory lock goes with them."""
        self._sandbox.close()
        if self._connection is not None:
            with contextlib.suppress(psycopg.Error):
                self._connection.close()
            self._connection = None

    def run_once(self, now: datetime | None = None) -> list[Change]:
        """Evaluate what is due at ``now`` (the database's clock by default) and return what changed.

        Returns an empty list where another evaluator works, or where the vault is a copy (lock_engine.home).
        Raises psycopg.Error where PostgreSQL is gone.
        """
        if not self._lead():
            return []
        with self._reading() as cursor:
            limits = self._limits(cursor)
            self._interval = limits.interval
            if home.disarmed_because(cursor):
                # in a copy nobody is told of what the original tells
                return []
            alerts = calls.alert_inputs(cursor)
        known = {alert.config_hk for alert in alerts}
        self._memory = {key: memory for key, memory in self._memory.items() if key in known}
        changes: list[Change] = []
        standings: list[calls.AlertStanding] = []
        until = time.monotonic() + limits.interval
        for alert in sorted(alerts, key=lambda one: self._of(one).milliseconds):
            memory = self._of(alert)
            if memory.version != alert.version:
                memory.version, memory.next_at = alert.version, 0.0
            started = time.monotonic()
            # The slow ones share what is left of the interval, so that the others are never late.
            if now is None and (started < memory.next_at or (memory.next_at and started > until)):
                continue
            evaluated = self._evaluate(alert, memory, limits)
            at = now or self._now()
            change, standing = self._judge(alert, evaluated, at, limits)
            if change is not None:
                changes.append(change)
            if standing is not None and self._worth_writing(memory, standing):
                standings.append(standing)
        if standings:
            with self._writing() as cursor:
                calls.store_alert_states(cursor, standings)
        self._after(changes, limits)
        return changes

    def _of(self, alert: calls.AlertInput) -> _Memory:
        return self._memory.setdefault(alert.config_hk, _Memory())

    def _lead(self) -> bool:
        if self._connection is not None and not self._connection.closed:
            return True
        opened = direct_connection(
            self.alias, "admin", autocommit=True, statement_timeout_ms=5000, lock_timeout_ms=1000
        )
        led = False
        try:
            with opened.cursor() as cursor:
                led = calls.try_evaluator_lock(cursor)
        finally:
            if not led:
                opened.close()
        self._connection = opened if led else None
        return led

    @contextlib.contextmanager
    def _reading(self) -> Iterator[Cursor]:
        assert self._connection is not None
        with self._connection.cursor() as cursor:
            yield cursor

    @contextlib.contextmanager
    def _writing(self) -> Iterator[Cursor]:
        """One transaction in lock_admin_role."""
        assert self._connection is not None
        with self._connection.transaction(), self._connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL ROLE {ADMIN_ROLE}")
            yield cursor

    def _now(self) -> datetime:
        with self._reading() as cursor:
            return calls.server_now(cursor)

    @staticmethod
    def _limits(cursor: Cursor) -> _Limits:
        interval, timeout, per_minute, literals_to = (
            calls.setting_value(cursor, f"alerts.{name}")
            for name in (
                "interval_seconds",
                "query_timeout_seconds",
                "max_messages_per_minute",
                "literals_to",
            )
        )
        return _Limits(
            min(10.0, max(1.0, float(interval))),
            min(5.0, max(0.1, float(timeout))),
            max(1, int(per_minute)),
            frozenset(map(str, literals_to)),
        )

    def _evaluate(self, alert: calls.AlertInput, memory: _Memory, limits: _Limits) -> Evaluated:
        if not alert.is_active:
            return Evaluated(None, None, 0.0)
        evaluated = self._sandbox.evaluate(alert.query, limits.timeout)
        memory.milliseconds = evaluated.milliseconds
        if evaluated.sentence is None:
            memory.next_at = 0.0
        else:
            pause = limits.timeout * SLOW_FACTOR if evaluated.timed_out else BROKEN_SECONDS
            memory.next_at = time.monotonic() + pause
        return evaluated

    def _judge(
        self, alert: calls.AlertInput, evaluated: Evaluated, now: datetime, limits: _Limits
    ) -> tuple[Change | None, calls.AlertStanding | None]:
        """Decide about one alert and store what follows for its event."""
        seen = events.observe(alert, evaluated.value, evaluated.sentence)
        before = lifecycle.Standing(alert.level, alert.level_since, alert.pending_level, alert.pending_since)
        rules = events.rules_of(alert)
        after = (
            lifecycle.confirm(before, seen.level, rules, now)
            if alert.is_active
            else lifecycle.Standing("ok", now)
        )
        peak = self._peak(alert, before, seen, rules.lower_is_worse)
        decision = events.decide(alert, before, after, seen, rules, now, peak)
        change = self._store(alert, decision, seen, now, limits) if decision.fields is not None else None
        if decision.fields is not None and change is None:
            # Somebody changed the event at this moment: look again in the next round, with nothing lost.
            return None, None
        memory = self._of(alert)
        memory.peak = peak
        memory.peak_of = bytes.fromhex(change.event_key) if change else alert.event_hk
        standing = calls.AlertStanding(
            alert.config_hk.hex(),
            after.level,
            after.since,
            after.pending,
            after.pending_since,
            evaluated.value,
            evaluated.sentence,
            now,
            round(evaluated.milliseconds, 3),
            evaluated.whole_sentence,
        )
        return change, standing

    def _peak(
        self,
        alert: calls.AlertInput,
        before: lifecycle.Standing,
        seen: lifecycle.Observation,
        lower: bool,
    ) -> Decimal | None:
        """The worst value of the alert's event, or since a level that does not count yet was seen first."""
        memory = self._of(alert)
        if seen.level == "ok" and alert.event_hk is None and before.pending is None:
            return None
        # an event that somebody ended was another one
        known = memory.peak if memory.peak_of in (None, alert.event_hk) else None
        return lifecycle.worst(
            lifecycle.worst(known, alert.worst_value, lower=lower), seen.value, lower=lower
        )

    def _store(
        self,
        alert: calls.AlertInput,
        decision: lifecycle.Decision,
        seen: lifecycle.Observation,
        now: datetime,
        limits: _Limits,
    ) -> Change | None:
        """Write an event's next version and its messages in one transaction. None: somebody was quicker."""
        situation: dict[str, Any] = {}
        if decision.message in ("raised", "worse", "escalated", "reminder"):
            with self._reading() as cursor:
                situation = events.situation(cursor, alert, now)
        if decision.message:
            with self._reading() as cursor:
                situation |= events.not_watched(cursor, alert, decision, now)
        with self._writing() as cursor:
            return events.store(
                cursor, alert, decision, seen, now, situation, limits.per_minute, limits.literals_to
            )

    @staticmethod
    def _worth_writing(memory: _Memory, standing: calls.AlertStanding) -> bool:
        """Whether a level changed, a value did and was last written a while ago, or nothing was for a
        minute."""
        level = (
            standing.level,
            standing.level_since,
            standing.pending_level,
            standing.pending_since,
            standing.sentence,
        )
        if memory.written_at is not None and level == memory.written:
            age = standing.evaluated_at - memory.written_at
            wait = WRITE_EVERY if standing.value == memory.value else VALUE_EVERY
            if timedelta(0) <= age < wait:
                return False
        memory.written, memory.value, memory.written_at = level, standing.value, standing.evaluated_at
        return True

    def _after(self, changes: list[Change], limits: _Limits) -> None:
        """Copy to the site's tables, make summaries of what was held, and have messages sent."""
        if changes:
            self._mirror()
        with self._reading() as cursor:
            waiting = outbox.waiting_alert_messages(cursor)
        if waiting.held:
            with self._writing() as cursor:
                outbox.merge_held_alert_messages(cursor, limits.per_minute)
        if not waiting.due:
            return
        fresh = any(change.messages for change in changes)
        if fresh or time.monotonic() - self._asked_at >= limits.interval:
            try:
                delivery.request_sending(self.alias, 2 if waiting.due > 1 else 1)
                self._asked_at = time.monotonic()
            except Exception as error:
                log.error(
                    "The task that sends alert messages could not be queued: %s",
                    channels.scrub(errors.told(error)),
                )
                self._send_here()
        if waiting.oldest_seconds > UNSENT_SECONDS:
            self._send_here()

    def _send_here(self) -> None:
        """Send from a thread of this process; at most one at a time, and never in the evaluator's own."""
        if self._rescue is None or not self._rescue.is_alive():
            self._rescue = threading.Thread(
                target=delivery.send_in_own_thread,
                args=(self.alias,),
                name=f"lockmon-messages-{self.alias}",
                daemon=True,
            )
            self._rescue.start()

    def _mirror(self) -> None:
        """Copy to the site's own alert tables; what is wrong with those must not stop alerts, and is said
        once."""
        try:
            with self._writing() as cursor:
                calls.mirror_alert_events(cursor)
            self._mirror_problem = ""
        except psycopg.Error as error:
            text = errors.told(error)
            if self._connection is None or self._connection.closed:
                raise
            if text != self._mirror_problem:
                log.error("Alert events could not be copied to monitoring.alert_instance_s: %s", text)
            self._mirror_problem = text
