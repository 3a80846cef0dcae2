"""Where Django's own tables are when DATABASE_URL does not say: a word in a file of ONEVAULT_LOCAL.

sqlite HOST     the file web.sqlite3 beside it, for processes of that host alone
embedded HOST   the embedded PostgreSQL that `make run` starts on that host
vault           the schema onevault_web beside the vault; so, too, where there is no such file

`manage.py migrate` and `make run` write it (onevault/web_choice.py), settings and every other process read
it, and nobody asks a database for that. Folder and files are their owner's alone.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import sqlite3
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

SQLITE, EMBEDDED, VAULT = "sqlite", "embedded", "vault"
URL = "url"
"""Not in the file: DATABASE_URL says it."""
FILE = "web_database"
SQLITE_FILE = "web.sqlite3"
SET_URL = "DATABASE_URL=postgresql://user:password@host/name"
_ONE_HOST = (SQLITE, EMBEDDED)


class PlaceError(ImproperlyConfigured):
    """Where Django's tables are cannot be told, or be made; the message is one sentence."""


def sqlite_file(local: Path) -> Path:
    """The web database, where it is a file."""
    return local / SQLITE_FILE


def read(local: Path) -> str | None:
    """The word of the file; None where there is none.

    Raises PlaceError for a file that cannot be read or says something else, for another host's, and where
    the file is gone and its database is not.
    """
    file = local / FILE
    try:
        said = file.read_text(encoding="utf-8").split()
    except (FileNotFoundError, NotADirectoryError):
        if has_tables(sqlite_file(local)):
            raise PlaceError(
                f"{sqlite_file(local)} is there, and {file}, which says where Django's tables are, is not: "
                f"put '{SQLITE} {socket.gethostname()}' or '{VAULT}' into it."
            ) from None
        return None
    except OSError as error:
        raise PlaceError(
            f"{file} cannot be read ({error.strerror}): start as the user whose file it is, or set {SET_URL}."
        ) from error
    except UnicodeDecodeError:
        said = []
    word, host = said[0] if said else "", said[1] if len(said) == 2 else ""
    if word not in (*_ONE_HOST, VAULT) or bool(host) != (word in _ONE_HOST) or len(said) > 2:
        raise PlaceError(
            f"{file} does not say where Django's tables are: put '{SQLITE} {socket.gethostname()}' or "
            f"'{VAULT}' into it, or set {SET_URL}."
        )
    if host and host != socket.gethostname():
        _refuse_host(file, word, host)
    return word


def _refuse_host(file: Path, word: str, host: str) -> None:
    raise PlaceError(
        f"The web database beside {file} is for the host {host} alone, and this is {socket.gethostname()}: "
        f"set {SET_URL} on both, and on {host} run 'manage.py lockmon_move_users' with it; "
        f"if this is {host} under a new name, put '{word} {socket.gethostname()}' into {file}."
    )


def has_tables(path: Path) -> bool:
    """Whether there is a database with something in it; what is no database, or closed to us, counts."""
    if not path.exists():
        return False
    try:
        with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as opened:
            return opened.execute("SELECT 1 FROM sqlite_master").fetchone() is not None
    except sqlite3.Error:
        return True


def make(local: Path, word: str) -> str:
    """Write the word, and make the empty database that it names; returns the word that holds.

    Another process may have been quicker: then its word holds. Raises PlaceError; then nothing has changed.
    """
    folder = private_folder(local)
    with alone(folder):
        if (said := read(folder)) is not None:
            return said
        if word == SQLITE and not has_tables(sqlite_file(folder)):
            # one that is empty was left by somebody who was killed, or had no room
            sqlite_file(folder).unlink(missing_ok=True)
            make_sqlite(sqlite_file(folder))
        with _written(folder, word) as file:
            try:
                os.link(file, folder / FILE)
            except FileExistsError:
                return read(folder) or word
            except OSError as error:
                raise _cannot(folder, error) from error
    return word


@contextlib.contextmanager
def alone(folder: Path, *, wait: bool = True) -> Iterator[None]:
    """Nobody else decides meanwhile where Django's tables are. PlaceError where somebody does and `wait` is
    False."""
    try:
        number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise _cannot(folder, error) from error
    try:
        try:
            fcntl.flock(number, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            raise PlaceError(
                f"Another migrate or lockmon_move_users is at work in {folder}: nothing was changed."
            ) from None
        except OSError:
            pass  # a file system without locks; the word is written whole all the same
        yield
    finally:
        os.close(number)


def change(local: Path, word: str) -> None:
    """Replace the word that was there. Raises PlaceError; then nothing has changed."""
    folder = private_folder(local)
    with _written(folder, word) as file:
        try:
            file.replace(folder / FILE)
        except OSError as error:
            raise _cannot(folder, error) from error


@contextlib.contextmanager
def _written(folder: Path, word: str) -> Iterator[Path]:
    """A file beside, with the whole content."""
    line = f"{word} {socket.gethostname()}\n" if word in _ONE_HOST else f"{word}\n"
    try:
        number, name = tempfile.mkstemp(prefix=f".{FILE}.", dir=folder)
    except OSError as error:
        raise _cannot(folder, error) from error
    try:
        try:
            with os.fdopen(number, "w", encoding="utf-8") as opened:
                opened.write(line)
                opened.flush()
                os.fsync(opened.fileno())
            as_folder(Path(name))
        except OSError as error:
            raise _cannot(folder, error) from error
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def private_folder(local: Path) -> Path:
    """The folder, made if need be, and closed to others. Raises PlaceError."""
    try:
        local.mkdir(mode=0o700, parents=True, exist_ok=True)
        if local.stat().st_uid == os.geteuid():
            # as make run does: root's PostgreSQL must be able to pass through
            local.chmod(0o711 if os.geteuid() == 0 else 0o700)
        elif stat.S_IMODE(local.stat().st_mode) & (stat.S_IWGRP | stat.S_IWOTH):
            raise PlaceError(f"Others may write in {local}: run 'chmod go-w {local}' as its owner.")
    except OSError as error:
        raise _cannot(local, error) from error
    return local


def make_sqlite(path: Path) -> None:
    """Make an empty database in WAL mode that only its owner may read. Raises PlaceError."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        with contextlib.closing(sqlite3.connect(path)) as opened:
            # the header remembers it; without shared memory (some network file systems) it stays "delete"
            (mode,) = opened.execute("PRAGMA journal_mode = WAL").fetchone()
        as_folder(path)
    except FileExistsError:
        return
    except (OSError, sqlite3.Error) as error:
        path.unlink(missing_ok=True)
        raise _cannot(path.parent, error) from error
    if mode != "wal":
        path.unlink()
        raise PlaceError(
            f"{path.parent} is on a file system without what a web database needs: set {SET_URL}."
        )


def settle(path: Path) -> None:
    """Bring what was written last into the file itself, so that it can be renamed. Raises PlaceError."""
    try:
        with contextlib.closing(sqlite3.connect(path)) as opened:
            (busy, _pages, _done) = opened.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.Error as error:
        raise _cannot(path.parent, error) from error
    if busy:
        raise PlaceError(f"{path} is used by somebody else: nothing was changed.")


def as_folder(path: Path) -> None:
    """What root makes in somebody's folder is that person's."""
    if os.geteuid() == 0:
        owner = path.parent.stat()
        os.chown(path, owner.st_uid, owner.st_gid)


def _cannot(folder: Path, error: Exception) -> PlaceError:
    why = getattr(error, "strerror", None) or error
    return PlaceError(
        f"The web database cannot be made in {folder} ({why}): name a folder of this user in ONEVAULT_LOCAL, "
        f"or set {SET_URL}."
    )
