"""Waiting for something to become true, with a deadline and without blind sleeps."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE = 4
"""A deadline is for giving up, not for judging: where other work has the machine, things take longer."""


def poll(
    fn: Callable[[], T | None], deadline: float = 10, what: str = "the condition", interval: float = 0.02
) -> T:
    """Call `fn` until it returns something true, and return that.

    `deadline` is what it takes on a quiet machine, in seconds; PATIENCE times as long is waited for it. When
    time is up: AssertionError with `what` and the last answer. `interval` is in seconds.
    """
    seconds = deadline * PATIENCE
    until = time.monotonic() + seconds
    while True:
        answer = fn()
        if answer:
            return answer
        if time.monotonic() > until:
            raise AssertionError(f"{what}: not within {seconds} s; the last answer was {answer!r}")
        time.sleep(interval)
