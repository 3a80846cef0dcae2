"""Noticing, from inside a django-q worker, that the cluster stops or is gone.

django-q tells its workers to stop by an entry in their queue, which a worker busy with the resident loop
never reads, so the cluster would wait for it for ever. A worker is a fork of the cluster's sentinel and
has its events in memory: they are looked up once and polled. Where they cannot be found (another start
method), the change of the parent is what is left.
"""

from __future__ import annotations

import gc
import os
import threading
from typing import Any

POLL = 0.5
"""Seconds between two looks."""


def find_stop_events() -> list[Any]:
    """Return the stop events of the django-q sentinel that this process was forked from; empty where there
    is none."""
    from django_q.cluster import Sentinel

    events: list[Any] = []
    for candidate in gc.get_objects():
        if type(candidate) is Sentinel:
            events += [event for event in (candidate.stop_event, candidate.event_out) if event is not None]
    return events


class ClusterWatch(threading.Thread):
    """Sets ``stop`` as soon as the cluster stops, or as the process that started this worker is gone."""

    def __init__(self, stop: threading.Event) -> None:
        super().__init__(name="lockmon-cluster-watch", daemon=True)
        self._stop_event = stop
        self._parent = os.getppid()
        self._events = find_stop_events()

    def run(self) -> None:
        while not self._stop_event.wait(POLL):
            if os.getppid() != self._parent or any(event.is_set() for event in self._events):
                self._stop_event.set()
