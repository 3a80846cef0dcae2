"""Django's SQLite backend for a file that is there already, and that only `migrate` has made.

SQLite makes a missing file anew, and then nobody can log in and nobody is told why. So it is opened for
reading and writing, never for making; what is wrong with it is one sentence, an OperationalError like that
of a server which does not answer, with SQLite's own words in it, by which a page tells the kind of failure.
A file that cannot be written can be read. A connection whose file has been moved away or replaced is closed
at the next request.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any

from django.db.backends.sqlite3 import base
from django.db.utils import OperationalError

SECONDS = 30
"""How long a writer waits for its turn. One writes at a time, for milliseconds each; but SQLite keeps no
queue: whoever waits asks again ten times a second, and can miss each free moment for long where disk or
processors are overloaded (with 1,000 results of the queue kept, twice in 10,000 tasks for 10 s at a load of
15 on two cores)."""
OPTIONS: dict[str, Any] = {
    "timeout": SECONDS,
    # A transaction that begins by reading and then writes cannot wait for another writer: it fails at once.
    "transaction_mode": "IMMEDIATE",
    # In WAL mode a power cut can cost the last transactions, never the database.
    "init_command": "PRAGMA synchronous = NORMAL",
}


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection to the web database's file."""

    _opened: tuple[int, int] | None = None

    @property
    def _path(self) -> Path:
        return Path(str(self.settings_dict["NAME"]))

    def get_connection_params(self) -> dict[str, Any]:
        """What sqlite3 is told: the file, and not to make it."""
        parameters: dict[str, Any] = super().get_connection_params()
        return parameters | {"database": f"{self._path.absolute().as_uri()}?mode=rw"}

    def get_new_connection(self, conn_params: dict[str, Any]) -> sqlite3.Connection:
        """Open the file; OperationalError of one sentence where it is missing, closed to us or broken."""
        if problem := problem_of(self._path):
            raise OperationalError(problem)
        self._opened = _identity(self._path)
        try:
            opened: sqlite3.Connection = super().get_new_connection(conn_params)  # reads the header
            opened.execute("PRAGMA schema_version").fetchone()
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise
            raise OperationalError(_broken(self._path, str(error))) from error
        return opened

    def close_if_unusable_or_obsolete(self) -> None:
        """Between requests: also where another file, or none, has the name now."""
        if self.connection is not None and not self.in_atomic_block and _identity(self._path) != self._opened:
            self.close()
        super().close_if_unusable_or_obsolete()


def problem_of(path: Path) -> str | None:
    """Why the web database cannot be used; None where nothing is seen."""
    try:
        size = path.stat().st_size
    except OSError:
        size = None
    if size is None or not path.is_file():
        return (
            f"The web database {path} is gone (unable to open database file): put it back, with its -wal "
            f"file; to begin anew, without users, remove {path.parent / 'web_database'} and run "
            "'manage.py migrate'."
        )
    if not size:
        return _broken(path, "an empty file is not a database")
    if not os.access(path, os.R_OK):
        return (
            f"This user may not read the web database {path} (unable to open database file): start as the "
            "user whose file it is."
        )
    return None


def _broken(path: Path, why: str) -> str:
    return f"The web database {path} is broken ({why}): stop what runs, and put a copy of it back."


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
