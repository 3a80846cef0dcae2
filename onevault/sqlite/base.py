"""Django's SQLite backend for a file that is there already, and that only `migrate` has made.

SQLite makes a missing file anew, and then nobody can log in and nobody is told why. So it is opened for
reading and writing, never for making; what is wrong with it is one sentence, an OperationalError like that
of a server which does not answer, with SQLite's own words in it, by which a page tells the kind of failure.
A file that cannot be written can be read. A connection whose file has been moved away or replaced, or that
has failed, is closed at the next request.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
from pathlib import Path
from typing import Any

from django.db.backends.sqlite3 import base
from django.db.utils import OperationalError

SECONDS = 30
"""How long a writer waits for its turn. One writes at a time, for milliseconds each; but SQLite keeps no
queue: whoever waits asks again ten times a second, and can miss each free moment for long where disk or
processors are overloaded (with 1,000 results of the queue kept, twice in 10,000 tasks for 10 s at a load of
15 on two cores)."""
PAGE_SECONDS = 5.0
"""How long a page waits for its turn, where that is switched on (the web process). With 1 s 22 pages were
refused in three minutes, beside four workers with 10,000 tasks at a load of 12 on two cores."""
OPTIONS: dict[str, Any] = {
    "timeout": SECONDS,
    # A transaction that begins by reading and then writes cannot wait for another writer: it fails at once.
    "transaction_mode": "IMMEDIATE",
    # In WAL mode a power cut can cost the last transactions, never the database.
    "init_command": "PRAGMA synchronous = NORMAL",
}


_CANNOT_MAKE = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY)
_pages = False


def wait_as_a_page() -> None:
    """From now on no writer of this process waits longer than a page may."""
    global _pages
    _pages = True


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection to the web database's file."""

    _opened: tuple[int, int] | None = None
    _reads_only = False

    @property
    def _path(self) -> Path:
        return Path(str(self.settings_dict["NAME"]))

    def get_connection_params(self) -> dict[str, Any]:
        """What sqlite3 is told: the file, and not to make it."""
        parameters: dict[str, Any] = super().get_connection_params()
        if _pages:
            parameters["timeout"] = min(float(parameters.get("timeout", PAGE_SECONDS)), PAGE_SECONDS)
        return parameters | {"database": f"{self._path.absolute().as_uri()}?mode=rw"}

    def get_new_connection(self, conn_params: dict[str, Any]) -> sqlite3.Connection:
        """Open the file; OperationalError of one sentence where it is missing, closed to us or broken."""
        if problem := problem_of(self._path):
            raise OperationalError(problem)
        _open_what_is_beside(self._path)
        # what could not be written when it was opened stays so for as long as it is open
        self._opened, self._reads_only = _identity(self._path), not _may_write(self._path)
        try:
            return self._open(conn_params)
        except sqlite3.OperationalError as error:
            # the files beside it, which SQLite needs even to read, cannot be made: the disk is full, the
            # folder is read only. Without them all is in the file itself, and for a request it stays so.
            if error.sqlite_errorcode & 0xFF not in _CANNOT_MAKE or _has_wal(self._path):
                raise
            opened = self._open(conn_params | {"database": f"{conn_params['database']}&immutable=1"})
            self._reads_only = True
            return opened
        except sqlite3.DatabaseError as error:
            raise OperationalError(_broken(self._path, str(error))) from error

    def _open(self, conn_params: dict[str, Any]) -> sqlite3.Connection:
        opened: sqlite3.Connection = super().get_new_connection(conn_params)
        try:
            opened.execute("PRAGMA schema_version").fetchone()  # reads the header
        except sqlite3.DatabaseError:
            opened.close()
            raise
        return opened

    def close_if_unusable_or_obsolete(self) -> None:
        """Between requests: also where another file, or none, has the name now, and after an error."""
        if self.connection is not None and not self.in_atomic_block:
            other = _identity(self._path) != self._opened
            if other or self.errors_occurred or self._reads_only:
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


def _beside(path: Path) -> list[Path]:
    return [path.with_name(f"{path.name}-{end}") for end in ("wal", "shm")]


def _open_what_is_beside(path: Path) -> None:
    """SQLite makes the files beside it with its rights; those of a time when it was closed would stay so."""
    with contextlib.suppress(OSError):
        mode = stat.S_IMODE(path.stat().st_mode)
        for one in _beside(path):
            with contextlib.suppress(FileNotFoundError):
                if stat.S_IMODE(one.stat().st_mode) != mode:
                    one.chmod(mode)


def _may_write(path: Path) -> bool:
    return all(os.access(one, os.W_OK) for one in (path, *_beside(path)) if one == path or one.exists())


def _has_wal(path: Path) -> bool:
    """Whether changes are in the file beside it that are not yet in the database itself."""
    with contextlib.suppress(OSError):
        return path.with_name(f"{path.name}-wal").stat().st_size > 0
    return False


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
