"""How pages and messages say figures."""

from __future__ import annotations

import pytest

from lockmon.views import words

A_HAIR = 1e-9
"""What a difference of two floats may lack."""


@pytest.mark.parametrize(
    ("seconds", "said", "on_the_clock"),
    [
        (None, "unknown", "unknown"),
        (-1.0, "0 s", "0:00"),
        (0.44, "0.4 s", "0:00"),
        (4 - A_HAIR, "4 s", "0:04"),
        (59.99, "59 s", "0:59"),
        (60 - A_HAIR, "1 min 00 s", "1:00"),
        (3600 - A_HAIR, "1 h 0 min", "1:00:00"),
        (86400 - A_HAIR, "1 d 0 h", "24:00:00"),
        (3599.9, "59 min 59 s", "59:59"),
    ],
)
def test_a_time_is_said_as_long_as_it_was(seconds: float | None, said: str, on_the_clock: str) -> None:
    assert words.duration(seconds) == said
    assert words.clock(seconds) == on_the_clock


@pytest.mark.parametrize(
    ("least", "most", "said"),
    [
        (1.28, 2.01, "between 1.2 and 2.1 s"),
        (2.067416, 2.067416, "2.07 s"),
        (0, 0.3, "between 0.0 and 0.3 s"),
        (59.2, 60.4, "between 59 s and 1 min 00 s"),
        (3700, 3701, "1 h 1 min"),
    ],
)
def test_a_time_that_is_known_between_two_says_both(least: float, most: float, said: str) -> None:
    assert words.span(least, most) == said
