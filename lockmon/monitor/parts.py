"""The parts of the monitor that fail by themselves: counted in the vault, named in every health line.

A part (episodes, links, tenants, server log, alerts ...) that fails never takes the rest with it
(``lock_engine.part_state``). From its second failure in a row on, the monitor watches without it and says so.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import psycopg
from django.db import DatabaseError, connections

from lockmon import errors, vault
from lockmon.calls import coverage
from lockmon.views.words import one_line, some

from .connection import describe_failure

log = logging.getLogger("lockmon.monitor")


def without(failing: list[coverage.FailingPart]) -> str:
    """Return ", without <part> and <part> (why)" as it follows "Watching"; empty where nothing fails.

    Why is said in PostgreSQL's words where they can hold no value (``lockmon.errors``), a clause for each
    part with what was set aside.
    """
    if not failing:
        return ""
    *others, last = (one.part for one in failing)
    named = f"{', '.join(others)} and {last}" if others else last
    return f", without {named} ({'; '.join(_because(one) for one in failing)})"


def _because(part: coverage.FailingPart) -> str:
    aside = f", {some(part.set_aside, 'record')} set aside" if part.set_aside else ""
    what = f" ({one_line(part.what, 100)})" if part.set_aside and part.what else ""
    error = one_line(errors.kept(part.last_sqlstate, part.last_error), 240) or "no reason is known"
    return f"{part.part}: {error.rstrip('.')}{aside}{what}"


class Parts:
    """Parts of the monitor, counted in the vault when they fail and cleared when they work.

    tell: says something to the vault and returns whether it arrived; what it raises is raised.
    """

    def __init__(self, tell: Callable[[coverage.Say], bool]) -> None:
        self._tell = tell
        self._working: set[str] = set()

    def failed(self, part: str, error: BaseException) -> None:
        """Count a failure of this part."""
        self._working.discard(part)
        state = getattr(error, "sqlstate", None) or ""
        self._tell(lambda cursor: coverage.part_failed(cursor, part, state, describe_failure(error)))

    def worked(self, part: str) -> None:
        """Clear what was counted against this part; asks the vault after a failure, and once at first."""
        if part not in self._working and self._tell(lambda cursor: coverage.part_ok(cursor, part)):
            self._working.add(part)


def of_loop(connection: psycopg.Connection) -> Parts:
    """Return the parts of the loop, over its connection. Raises only if that is lost."""

    def tell(say: coverage.Say) -> bool:
        try:
            with connection.cursor() as cursor:
                say(cursor)
        except psycopg.Error as error:
            if connection.closed or connection.broken:
                raise
            _not_counted(error)
            return False
        return True

    return Parts(tell)


def beside_loop(alias: str) -> Parts:
    """Return the parts that run beside the loop, in threads with connections of their own. Never raises."""

    def tell(say: coverage.Say) -> bool:
        try:
            with vault.cursor(alias) as cursor:
                say(cursor)
        except DatabaseError as error:
            _not_counted(error)
            connections[alias].close()
            return False
        return True

    return Parts(tell)


def _not_counted(error: Exception) -> None:
    log.info("What fails could not be counted: %s", errors.told(error, limit=200))
