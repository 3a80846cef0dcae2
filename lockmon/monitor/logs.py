"""Log files that this process can read itself: a local path, an upload. One parser for all:
lock_log.ingest() in SQL.

Reading resumes where it stopped, by byte offset; a file whose beginning is not what was read before begins
anew.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from lockmon.calls import deadlocks as calls

PIECE = 1024 * 1024
"""Bytes sent at once."""
LARGEST_RECORD = 16 * 1024 * 1024
"""Bytes; a record that has not ended by then is passed over."""
HEAD = 256

_CSV = re.compile(rb"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} [^,\"\s]+,", re.MULTILINE)
_JSON = re.compile(rb'^\s*\{"timestamp":')
_STDERR = re.compile(rb"(?:LOG|ERROR|FATAL|PANIC|WARNING|DETAIL|STATEMENT|HINT):  ", re.MULTILINE)

CursorFactory = Callable[[], AbstractContextManager[Any]]


class LogFileError(Exception):
    """The file cannot be read as a PostgreSQL log; the message is one sentence."""


@dataclass(frozen=True)
class FileRead:
    """What reading a file came to. start: the byte at which it went on; read: bytes taken.

    foreign_zone: an abbreviation among its times that its time zone, as far as is known, does not have.
    heads: of stderr, lines that have the prefix, where there was anything about locks.
    claimed: of the records, those that nothing proves (lock_log.event.standing).
    """

    log_format: str
    start: int
    read: int
    records: int
    unreadable: int
    foreign_zone: str | None = None
    heads: int = 0
    claimed: int = 0

    @property
    def of_them(self) -> str:
        """What follows "3 new records about locks" where nothing proves some of them."""
        return f", {self.claimed} of them claimed," if self.claimed else ""

    @property
    def fits(self) -> bool:
        """Whether most lines that look like the beginning of a record have the prefix."""
        return self.log_format != "stderr" or self.unreadable <= self.heads


def remarks(read: FileRead, prefix_way: str, zone_way: str) -> list[str]:
    """What did not fit the file, a sentence each; the ways: how to say its prefix and its zone there."""
    said = []
    if read.claimed:
        said.append(
            "Claimed: whoever may run statements can write the same into a stderr log, so such records are"
            " shown and counted nowhere until something else proves them; the csvlog or jsonlog of that"
            " server proves itself."
        )
    if not read.fits:
        lines = read.heads + read.unreadable
        said.append(
            f"The log_line_prefix does not fit: of {lines} lines that look like the beginning of a record"
            f" {read.heads} have it. Say the one that the file was written with: {prefix_way}."
        )
    if read.foreign_zone:
        said.append(
            f'Times in "{read.foreign_zone}" are not known: the server\'s log_timezone has no such name at'
            f" that moment. Say the zone of the file: {zone_way}; what was read is not taken twice."
        )
    return said


def guess_format(name: str, beginning: bytes) -> str:
    """csvlog, jsonlog or stderr by the file's name and first bytes, or LogFileError."""
    if _JSON.match(beginning):
        return "jsonlog"
    if _CSV.search(beginning) and (name.endswith(".csv") or not _STDERR.search(beginning[:2000])):
        return "csvlog"
    if _STDERR.search(beginning):
        return "stderr"
    raise LogFileError(
        f"{name} is not a PostgreSQL log in a form that can be read"
        " (csvlog, jsonlog, or stderr with a prefix)."
    )


def newest(pattern: str) -> list[Path]:
    """The file of this name, or the two that match a name with * and changed last, the older first.

    Two, because a rotation may come between two readings. Raises LogFileError where nothing matches.
    """
    named = Path(pattern)
    if "*" not in named.name:
        return [named]
    try:
        found = sorted(named.parent.glob(named.name), key=lambda path: path.stat().st_mtime)
    except OSError as error:
        raise LogFileError(f"{pattern}: {error.strerror or error}.") from error
    if not found:
        raise LogFileError(f"No file matches {pattern}.")
    return found[-2:]


def read_file(
    path: Path,
    cursors: CursorFactory,
    log_format: str | None = None,
    prefix: str | None = None,
    time_zone: str | None = None,
) -> FileRead:
    """Read a log file from where it was left, or from its beginning.

    cursors: cursors that act as lock_admin_role; one is taken for each piece, so that each is a transaction
    of its own. prefix, time_zone: its server's log_line_prefix and log_timezone; None: as the vault's server
    has them.
    Raises LogFileError with a sentence where the file is missing, not a file, or no log.
    """
    try:
        with path.open("rb") as stream:
            return read_stream(stream, str(path.resolve()), cursors, log_format, prefix, time_zone)
    except FileNotFoundError as error:
        raise LogFileError(f"{path} does not exist.") from error
    except IsADirectoryError as error:
        raise LogFileError(f"{path} is a folder: name a file in it.") from error
    except PermissionError as error:
        raise LogFileError(f"{path} may not be read by this user.") from error


def read_stream(
    stream: IO[bytes],
    source: str,
    cursors: CursorFactory,
    log_format: str | None = None,
    prefix: str | None = None,
    time_zone: str | None = None,
) -> FileRead:
    """Read an open log (an upload). source: the name under which the position is remembered.

    With another prefix or time zone than before it is read from its beginning: what did not fit was passed
    over, and what was taken is not taken twice.
    """
    beginning = stream.read(64 * 1024)
    if not beginning.strip(b"\x00\r\n "):
        raise LogFileError(f"{source} is empty.")
    chosen = log_format or guess_format(source, beginning)
    said = [text for text in (prefix, time_zone) if text]
    source = f"{source} [{', '.join(said)}]" if said else source
    with cursors() as cursor:
        start = calls.resume_position(cursor, source, beginning[:HEAD])
    if stream.seek(0, 2) < start:
        start = 0
    position, size = start, PIECE
    records = unreadable = heads = claimed = 0
    foreign_zone = None
    while True:
        stream.seek(position)
        data = stream.read(size)
        if not data:
            break
        at_end = len(data) < size
        with cursors() as cursor:
            taken = calls.ingest_log(cursor, source, chosen, position, data, False, prefix, time_zone)
        records += taken.records
        unreadable += taken.unreadable
        heads += taken.heads
        claimed += taken.claimed
        foreign_zone = foreign_zone or taken.foreign_zone
        position += taken.consumed
        if at_end:
            break
        if taken.consumed == 0:
            if size >= LARGEST_RECORD:
                position += size
                unreadable += 1
            else:
                size *= 2
        else:
            size = PIECE
    return FileRead(chosen, start, position - start, records, unreadable, foreign_zone, heads, claimed)
