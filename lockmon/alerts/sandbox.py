"""The sandbox's client side: a connection that holds nothing, a read-only transaction, deadlines, always a
rollback."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import psycopg

from lockmon import errors
from lockmon.calls import alerts as calls
from lockmon.vault import direct_connection

LOCK_TIMEOUT_MS = 300
GRACE_SECONDS = 2.0
"""How much later than the server's timeout the client ends the connection."""
READER_ROLE = "lock_monitoring_role"
WHERE_WHOLE = "whose sentence can hold texts of other sessions: the alert's page has it for who may see those"


@dataclass(frozen=True)
class Evaluated:
    """What a query gave: a value, or the sentence of why it gave none. milliseconds: on the client's
    clock.

    sentence: what everybody may read. whole_sentence: PostgreSQL's own, which can hold texts of others;
    None where it says no more.
    """

    value: Decimal | None
    sentence: str | None
    milliseconds: float
    timed_out: bool = False
    whole_sentence: str | None = None


class Sandbox:
    """Evaluates queries of alerts, one after the other, on a connection of its own that is opened when
    needed."""

    def __init__(self, alias: str, purpose: str = "alert-sandbox") -> None:
        self._alias = alias
        self._purpose = purpose
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = None

    def _open(self) -> psycopg.Connection[tuple[Any, ...]]:
        if self._connection is None or self._connection.closed:
            opened = direct_connection(self._alias, self._purpose, autocommit=True)
            # kept at once, so that close() finds it where its role is refused
            self._connection = opened
            try:
                opened.execute(f"SET ROLE {READER_ROLE}")
                # From here on every transaction begins with BEGIN READ ONLY.
                opened.autocommit, opened.read_only = False, True
            except BaseException:
                self.close()
                raise
        return self._connection

    def close(self) -> None:
        """Close the connection; safe to call twice."""
        if self._connection is not None:
            with contextlib.suppress(psycopg.Error):
                self._connection.close()
            self._connection = None

    def evaluate(self, query: str, timeout_seconds: float) -> Evaluated:
        """Run one query. Never raises for what the query does; psycopg.OperationalError where PostgreSQL
        is gone."""
        connection = self._open()
        begun = time.perf_counter()
        ended = threading.Event()

        def cut() -> None:
            # Cancelling is PostgreSQL's to do; a server that does not answer is left where it is.
            if not ended.is_set():
                with contextlib.suppress(OSError), socket.socket(fileno=os.dup(connection.fileno())) as line:
                    line.shutdown(socket.SHUT_RDWR)

        deadline = threading.Timer(timeout_seconds + GRACE_SECONDS, cut)
        deadline.daemon = True
        deadline.start()
        value, sentence, whole, timed_out = None, None, None, False
        try:
            with connection.cursor() as cursor:
                value = calls.evaluate_alert_query(
                    cursor, query, int(timeout_seconds * 1000), LOCK_TIMEOUT_MS
                )
        except psycopg.errors.QueryCanceled:
            sentence, timed_out = f"The query took longer than {timeout_seconds:g} s and was cancelled.", True
        except psycopg.errors.LockNotAvailable as error:
            sentence, whole = _sentences(error, query)
            sentence = f"The query had to wait for a lock and was given up: {sentence}"
        except psycopg.OperationalError as error:
            if error.sqlstate is None or error.sqlstate[:2] in ("57", "08"):
                late = time.perf_counter() - begun > timeout_seconds
                self.close()
                if not late:
                    raise
                sentence, timed_out = "PostgreSQL did not answer in time; the connection was ended.", True
            else:
                sentence, whole = _sentences(error, query)
        except psycopg.Error as error:
            sentence, whole = _sentences(error, query)
        finally:
            ended.set()
            deadline.cancel()
        milliseconds = (time.perf_counter() - begun) * 1000
        if self._connection is not None:
            self._clean(connection)
        return Evaluated(value, sentence, milliseconds, timed_out, whole)

    def _clean(self, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
        """Undo whatever the query did; a connection that cannot be cleaned is not used again."""
        try:
            connection.rollback()
            with connection.cursor() as cursor:
                calls.drop_advisory_locks(cursor)
            connection.rollback()
        except psycopg.Error:
            self.close()


def _sentences(error: psycopg.Error, query: str) -> tuple[str, str | None]:
    """Return what everybody may read of an error of the query, and PostgreSQL's own sentence where that says
    more."""
    told, whole = errors.told(error, query), errors.whole(error)
    return (told, None) if told == whole else (f"{told}, {WHERE_WHOLE}", whole)
