"""The log of the web server: what strangers can have written into it stays short and rare."""

from __future__ import annotations

import json
import logging

import pytest

from onevault import logs


def record(name: str, message: str, level: int = logging.WARNING) -> logging.LogRecord:
    return logging.LogRecord(name, level, __file__, 1, message, (), None)


@pytest.mark.parametrize(
    ("name", "level", "short"),
    [
        ("django.request", logging.WARNING, True),
        ("django.security.DisallowedHost", logging.ERROR, True),
        ("django.request", logging.ERROR, False),
        ("lockmon.logins", logging.WARNING, False),
        ("onevault.server", logging.ERROR, False),
    ],
)
def test_a_line_about_anybody_s_request_is_short(name: str, level: int, short: bool) -> None:
    line = record(name, "Not Found: /" + "a" * 16_000, level)
    for text in (logs.TextFormatter().format(line), json.loads(logs.JsonFormatter().format(line))["message"]):
        assert (len(text) < 500) is short


def test_such_lines_are_few_and_the_next_one_says_how_many_there_were() -> None:
    now = [0.0]
    few = logs.Few(most=3, clock=lambda: now[0])
    passed = [few.filter(record("django.request", "Not Found: /x")) for _ in range(10)]
    assert passed == [True] * 3 + [False] * 7
    assert few.filter(record("lockmon.logins", "Login failed")), "what people must know is always written"
    assert few.filter(record("django.request", "Internal Server Error: /x", logging.ERROR))
    now[0] = 59.9
    assert not few.filter(record("django.security.DisallowedHost", "Invalid host", logging.ERROR))
    now[0] = 60.0
    next_one = record("django.request", "Not Found: /y")
    assert few.filter(next_one)
    assert (
        "Not Found: /y (8 more such lines of the minute before were left out)"
        in logs.TextFormatter().format(next_one)
    )
    assert json.loads(logs.JsonFormatter().format(next_one))["left_out"] == 8
    now[0] = 200.0
    quiet = record("django.request", "Not Found: /z")
    assert few.filter(quiet)
    assert "more such lines" not in logs.TextFormatter().format(quiet)


def test_the_shipped_configuration_has_it() -> None:
    for form in ("text", "json"):
        handlers = logs.configuration(form, "INFO")["handlers"]
        assert all(handler["filters"] == ["few"] for handler in handlers.values())
