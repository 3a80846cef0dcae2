"""Logging: one line an event, as text for people or as JSON for machines."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

_LONGEST = 300
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "request"}


def refused(record: logging.LogRecord) -> bool:
    """Whether this is about a request that was refused (a wrong host, too many files): one line is enough, or
    strangers would fill the log with our own code."""
    return record.name.startswith("django.security")


def unavailable(record: logging.LogRecord) -> bool:
    """Whether this is about a page that a database could not give; what is wrong is said once, elsewhere
    (lockmon.standing)."""
    return record.name == "django.request" and getattr(record, "status_code", None) == 503


def of_anybody(record: logging.LogRecord) -> bool:
    """Whether anybody can have such a line written, logged in or not: no such page, a wrong host."""
    if refused(record) or unavailable(record):
        return True
    return record.name == "django.request" and record.levelno < logging.ERROR


def _shown(record: logging.LogRecord) -> str:
    """The message; of what anybody can send (an address of 16 kB) the beginning."""
    text = record.getMessage()
    return f"{text[:_LONGEST]}…" if of_anybody(record) and len(text) > _LONGEST else text


class Few(logging.Filter):
    """Lets so many lines a minute about requests of anybody pass; the next one says how many were left out.

    Each request of a stranger may be a line, and would fill the disk with them.
    """

    def __init__(self, most: int = 30, clock: Callable[[], float] = time.monotonic) -> None:
        """`most`: lines a minute and process."""
        super().__init__()
        self._most, self._clock = most, clock
        self._lock = threading.Lock()
        self._until = self._passed = self._left_out = 0.0

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is written; in the first of a minute `left_out` is how many were not."""
        if not of_anybody(record):
            return True
        with self._lock:
            if self._clock() >= self._until:
                self._until, self._passed = self._clock() + 60, 0
                if self._left_out:
                    record.left_out = int(self._left_out)
                self._left_out = 0
            self._passed += 1
            self._left_out += self._passed > self._most
            return self._passed <= self._most


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (UTC, ISO 8601), level, logger, message, and what was given as `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line of JSON."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": _shown(record),
            "pid": record.process,
        }
        line |= {key: value for key, value in vars(record).items() if key not in _STANDARD}
        if record.exc_info and not (refused(record) or unavailable(record)):
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


class TextFormatter(logging.Formatter):
    """ "2026-11-22 03:12:41,120 INFO lockmon: message", with line breaks of the message made visible."""

    def __init__(self) -> None:
        """Fix the form of a line."""
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """The record on one line; with the traceback only of what went wrong, not of what was refused."""
        quiet = record.levelno < logging.ERROR or refused(record) or unavailable(record)
        if record.exc_info and quiet:
            record = logging.makeLogRecord(vars(record) | {"exc_info": None, "exc_text": None})
        return super().format(record)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (the name is logging's)
        """The message on one line; a traceback, where there is one, follows on its own lines."""
        record.message = _shown(record).replace("\r", "\\r").replace("\n", "\\n")
        if left_out := getattr(record, "left_out", 0):
            record.message += f" ({left_out} more such lines of the minute before were left out)"
        return super().formatMessage(record)


def configuration(form: str, level: str) -> dict[str, Any]:
    """Django's LOGGING setting. `form` is "text" or "json", `level` a level's name in capitals."""
    formatter = JsonFormatter if form == "json" else TextFormatter
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": formatter}},
        "filters": {"few": {"()": Few}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["few"]}},
        "root": {"handlers": ["stderr"], "level": "WARNING"},
        "loggers": {
            "lockmon": {"level": level},
            "onevault": {"level": level},
            "django": {"level": "INFO", "handlers": [], "propagate": True},
            "django.server": {"level": "INFO", "handlers": [], "propagate": True},
            # lockmon.logins says it in a line
            "axes": {"level": "ERROR"},
            "django-q": {"level": "WARNING" if level == "INFO" else level},
        },
    }
