"""Waiting for something to become true, with a deadline and without blind sleeps."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def poll(
    fn: Callable[[], T | None], deadline: float = 10, what: str = "the condition", interval: float = 0.02
) -> T:
    """Call `fn` until it returns something true, and return that.

    `deadline` and `interval` are seconds. When time is up: AssertionError with `what` and the last answer.
    """
    until = time.monotonic() + deadline
    while True:
        answer = fn()
        if answer:
            return answer
        if time.monotonic() > until:
            raise AssertionError(f"{what}: not within {deadline} s; the last answer was {answer!r}")
        time.sleep(interval)
