"""Logging: one line an event, as text for people or as JSON for machines."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "request"}


def refused(record: logging.LogRecord) -> bool:
    """Whether this is about a request that was refused (a wrong host, too many files): one line is enough, or
    strangers would fill the log with our own code."""
    return record.name.startswith("django.security")


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (UTC, ISO 8601), level, logger, message, and what was given as `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line of JSON."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "pid": record.process,
        }
        line |= {key: value for key, value in vars(record).items() if key not in _STANDARD}
        if record.exc_info and not refused(record):
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


class TextFormatter(logging.Formatter):
    """ "2026-11-22 03:12:41,120 INFO lockmon: message", with line breaks of the message made visible."""

    def __init__(self) -> None:
        """Fix the form of a line."""
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """The record on one line; with the traceback only of what went wrong, not of what was refused."""
        if record.exc_info and (record.levelno < logging.ERROR or refused(record)):
            record = logging.makeLogRecord(vars(record) | {"exc_info": None, "exc_text": None})
        return super().format(record)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (the name is logging's)
        """The message on one line; a traceback, where there is one, follows on its own lines."""
        record.message = record.message.replace("\r", "\\r").replace("\n", "\\n")
        return super().formatMessage(record)


def configuration(form: str, level: str) -> dict[str, Any]:
    """Django's LOGGING setting. `form` is "text" or "json", `level` a level's name in capitals."""
    formatter = JsonFormatter if form == "json" else TextFormatter
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": formatter}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
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
