"""The sessions of the demo: real connections whose application_name begins with "demo:"."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from lockmon import session

PREFIX = "demo: "
# No session of the demo waits or idles longer than this, whatever happens to the process that runs it.
_SETTINGS = {
    "lock_timeout": "45s",
    "statement_timeout": "60s",
    "idle_in_transaction_session_timeout": "90s",
    "search_path": "demo,pg_catalog",
}


@dataclass(frozen=True)
class Stage:
    """Where the demo plays: the connection's parameters and the signal to stop."""

    conninfo: str
    ending: threading.Event

    @contextmanager
    def session(self, application: str) -> Iterator[psycopg.Connection[Any]]:
        """A session under the name "demo: <application>"; closed, and so rolled back, at the end."""
        name = PREFIX + application
        connection, _pid = session.connect(
            lambda options: psycopg.connect(self.conninfo, application_name=name, options=options),
            session.place(conninfo_to_dict(self.conninfo)),
            session.Session.of(_SETTINGS),
        )
        try:
            yield connection
        finally:
            connection.close()

    def pause(self, seconds: float) -> bool:
        """Let time pass; true if the demo is to stop."""
        return self.ending.wait(seconds)

    def together(self, *parts: Callable[[], None]) -> None:
        """Play several parts at the same time and wait for all of them.

        A session that is ended from outside (the visitor stops one, a deadlock takes its victim, the server
        restarts) ends its part; the others go on.
        """
        threads = [threading.Thread(target=_part, args=(part,), daemon=True) for part in parts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def _part(part: Callable[[], None]) -> None:
    try:
        part()
    except psycopg.Error:
        return
