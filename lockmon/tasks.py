"""What the task queue runs. Each task is one call; the rules are in SQL, the words are what the call
returned."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

import psycopg
from django.conf import settings
from django.db import DatabaseError

from lockmon import errors, vault
from lockmon.calls import vault as vault_calls
from lockmon.calls.deadlocks import own_file
from lockmon.logfiles import LogFileError
from lockmon.monitor.logs import newest, read_file
from lockmon.monitor.loop import MonitorLoop
from lockmon.monitor.state import pulse
from lockmon.report.making import make
from lockmon.retention import clean
from lockmon.sessions import forget_ended

log = logging.getLogger("lockmon.tasks")

DEFAULT_RETENTION_DAYS = 30


_Given = ParamSpec("_Given")


class TaskError(Exception):
    """A task met an error of the database; the text is what everybody may read of it."""


def told(task: Callable[_Given, str]) -> Callable[_Given, str]:
    """Decorator: the queue keeps, shows and logs a failed task's error with its traceback, so that
    PostgreSQL's own sentence and DETAIL stay out of it."""

    @wraps(task)
    def run(*args: _Given.args, **kwargs: _Given.kwargs) -> str:
        try:
            return task(*args, **kwargs)
        except (DatabaseError, psycopg.Error) as error:
            failed = TaskError(f"{task.__name__}: {errors.told(error)}")
        # raised out here, so that it does not bring the error along
        raise failed

    return run


@told
def watch(alias: str = "vault") -> str:
    """See to it that somebody watches: where a loop does, this ends at once, else it is the loop for two
    minutes at most.

    Returns a sentence. Raises CannotWatchError where this database cannot be watched over this connection.
    """
    pulse(alias)
    return MonitorLoop(alias, threading.Event(), in_task=True).run()


@told
def analyze(alias: str = "vault", hours: int = 24) -> str:
    """Analyse the lock waits of the last hours, all tenants; returns the summary."""
    with vault.cursor(alias) as cursor:
        rows = vault_calls.analyze_lock_waits(cursor, None, hours)
    return "; ".join(row.analysis_summary for row in rows) or "There was nothing to analyse."


@told
def follow_log(alias: str = "vault") -> str:
    """Take what is new in the log that LOCKMON_LOCAL_LOG names; returns one sentence, also where that
    failed."""
    if not settings.LOCKMON_LOCAL_LOG:
        return "LOCKMON_LOCAL_LOG is not set: there is no log to follow."
    taken, faults = [], []
    try:
        paths = newest(settings.LOCKMON_LOCAL_LOG)
    except LogFileError as error:
        paths, faults = [], [str(error)]
    for path in paths:
        try:
            taken.append(read_file(path, lambda: vault.admin_transaction(alias), follows=True))
            # the setting names the log of the vault's own server
            with vault.admin_transaction(alias) as cursor:
                own_file(cursor, str(path.resolve()))
        except LogFileError as error:
            # right after a rotation the new file is empty; the one before is read all the same
            faults.append(str(error))
    for fault in faults:
        log.warning("LOCKMON_LOCAL_LOG: %s", fault)
    read = (
        f"{sum(one.records for one in taken)} new records about locks"
        f" in {sum(one.read for one in taken):,} bytes."
    )
    return " ".join(([read] if taken else []) + faults)


@told
def report(alias: str = "vault", period: str = "week") -> str:
    """Make, store and send the report of the last day, week or month; returns its summary."""
    return make(alias, period).summary


@told
def cleanup(alias: str = "vault", days: int = DEFAULT_RETENTION_DAYS) -> str:
    """Delete what ended more than so many days ago, and web sessions that are over; returns what was
    deleted of the vault, in words."""
    forget_ended()
    return "; ".join(f"{row.cleanup_summary}: {row.records_cleaned:,}" for row in clean(alias, days))
