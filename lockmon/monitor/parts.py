"""The parts of the monitor that fail by themselves: counted in the vault, named in every health line.

A part (episodes, links, tenants, server log, alerts ...) that fails never takes the rest with it
(``lock_engine.part_state``). From its second failure in a row on, the monitor watches without it and says so.
"""

from __future__ import annotations

import logging

import psycopg
from django.db import DatabaseError, connections

from lockmon import vault
from lockmon.calls import coverage
from lockmon.views.words import one_line, some

from .connection import describe_failure

log = logging.getLogger("lockmon.monitor")


def without(parts: tuple[str, ...]) -> str:
    """Return ", without <part> and <part>" as it follows "Watching"; empty where nothing fails."""
    if not parts:
        return ""
    return f", without {', '.join(parts[:-1])}{' and ' if parts[1:] else ''}{parts[-1]}"


def because(failing: list[coverage.FailingPart]) -> str:
    """Return why, in PostgreSQL's words and a clause for each part, and what was set aside."""
    clauses = []
    for part in failing:
        aside = f", {some(part.set_aside, 'record')} set aside" if part.set_aside else ""
        named = f" ({one_line(part.what, 100)})" if part.set_aside and part.what else ""
        error = one_line(part.last_error, 160) or "no reason is known"
        clauses.append(f"{part.part}: {error.rstrip('.')}{aside}{named}")
    return "; ".join(clauses)


class Parts:
    """The loop's own parts over one connection: counted in the vault when they fail, cleared when they work.

    Nothing is raised but the loss of the connection.
    """

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection
        self._working: set[str] = set()

    def failed(self, part: str, error: psycopg.Error) -> None:
        """Count a failure of this part."""
        self._working.discard(part)
        self._tell(
            lambda cursor: coverage.part_failed(cursor, part, error.sqlstate or "", describe_failure(error))
        )

    def worked(self, part: str) -> None:
        """Clear what was counted against this part; asks the vault after a failure, and once at first."""
        if part not in self._working and self._tell(lambda cursor: coverage.part_ok(cursor, part)):
            self._working.add(part)

    def _tell(self, say: coverage.Say) -> bool:
        try:
            with self._connection.cursor() as cursor:
                say(cursor)
        except psycopg.Error as error:
            if self._connection.closed or self._connection.broken:
                raise
            log.info("What fails could not be counted: %s", one_line(str(error), 200))
            return False
        return True


class Helper:
    """A part that runs beside the loop, in a thread with connections of its own. Never raises.

    alias: the vault. part: its name, as it follows "watching, without".
    """

    def __init__(self, alias: str, part: str) -> None:
        self._alias = alias
        self._part = part
        self._works = False

    def failed(self, error: BaseException) -> None:
        """Count a failure."""
        self._works = False
        state = getattr(error, "sqlstate", None) or ""
        self._tell(lambda cursor: coverage.part_failed(cursor, self._part, state, describe_failure(error)))

    def worked(self) -> None:
        """Clear what was counted, after a failure and once at first."""
        if not self._works:
            self._works = self._tell(lambda cursor: coverage.part_ok(cursor, self._part))

    def _tell(self, say: coverage.Say) -> bool:
        try:
            with vault.cursor(self._alias) as cursor:
                say(cursor)
        except DatabaseError as error:
            log.info("What fails could not be counted: %s", one_line(str(error), 200))
            connections[self._alias].close()
            return False
        return True
