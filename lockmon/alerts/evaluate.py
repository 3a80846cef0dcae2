"""The evaluator of alerts: a thread beside the monitoring loop, with connections of its own."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Change:
    """One step in the life of an alert event, as it was stored."""

    alert_name: str
    event_key: str
    kind: str
    state: str
    at: datetime
    messages: int


class AlertEvaluator:
    """Evaluates the active alerts of one vault, at most every five seconds."""

    def __init__(self, alias: str) -> None:
        self.alias = alias

    def run_forever(self, stop: threading.Event) -> None:
        """Evaluate until ``stop`` is set. Never raises: a broken connection is opened again after a pause."""
        while not stop.wait(5.0):
            self.run_once()

    def run_once(self, now: datetime | None = None) -> list[Change]:
        """Evaluate what is due at ``now`` (the database's clock by default) and return what changed."""
        return []
