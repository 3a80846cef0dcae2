"""Log files that this process can read itself: a local path, an upload. One parser for all:
lock_log.ingest() in SQL; lockmon.logfiles turns what comes from elsewhere into one of its three forms.

Reading resumes where it stopped, by the byte of what lock_log.ingest() is given; a file whose beginning is
not what was read before begins anew.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import tzinfo
from pathlib import Path
from typing import IO
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from lockmon.calls import deadlocks as calls
from lockmon.logfiles import LogFileError, kinds
from lockmon.logfiles.opening import OpenedLog, Settings, open_log, until
from lockmon.monitor.log_pieces import PIECE, CursorFactory, FileRead, Reading

__all__ = [
    "PIECE",
    "CursorFactory",
    "FileRead",
    "LogFileError",
    "Progress",
    "Ways",
    "guess_format",
    "newest",
    "read_file",
    "read_stream",
    "remarks",
]

HEAD = 256
QUIET_SECONDS = 10
"""A file that nobody has written to for so long ends where it ends."""

Progress = Callable[[int, int], None]
"""Called with the bytes of the file that have been read, and its size."""


@dataclass(frozen=True)
class Ways:
    """How to say the prefix, the zone and the format, where the reader is asked for them."""

    prefix: str = "its log_line_prefix"
    zone: str = "its log_timezone"


def remarks(read: FileRead, ways: Ways) -> list[str]:
    """What did not fit the file, a sentence each."""
    said = []
    if read.claimed:
        said.append(
            "Claimed: whoever may run statements can write the same into a stderr log, so such records are"
            " shown and counted nowhere until something else proves them; the csvlog or jsonlog of that"
            " server proves itself."
        )
    if not read.fits:
        said.append(_misfit(read.heads + read.unreadable, read.heads, ways))
    if read.foreign_zone:
        said.append(
            f'Times in "{read.foreign_zone}" are not known: the server\'s log_timezone has no such name at'
            f" that moment. Say the zone of the file: {ways.zone}; what was read is not taken twice."
        )
    if read.waiting:
        said.append(
            f"Its last {read.waiting:,} bytes begin a record without its end, or without a line end:"
            " they are read with the rest."
        )
    if read.replaced:
        said.append(
            "Another file was given its name meanwhile: this was read to its end, read the new one now."
        )
    return said


def _misfit(lines: int, heads: int, ways: Ways) -> str:
    return (
        f"The log_line_prefix does not fit: of {lines} lines that look like the beginning of a record"
        f" {heads} have it. Say the one that the file was written with: {ways.prefix}."
    )


def guess_format(name: str, beginning: bytes) -> str:
    """What a file looks like by its first bytes: csvlog, jsonlog, stderr, or a kind of lockmon.logfiles.
    LogFileError where it looks like none."""
    found = kinds.kind_of(name, beginning)
    if found == "text" and not kinds.STDERR_HEAD.search(beginning):
        raise kinds.not_a_log(name)
    return "stderr" if found == "text" else found


def newest(pattern: str) -> list[Path]:
    """The file of this name, or the two that match a name with * and changed last, the older first.

    Two, because a rotation may come between two readings; none that is compressed, which was read before.
    Raises LogFileError where nothing matches.
    """
    named = Path(pattern)
    if "*" not in named.name:
        return [named]
    packed = {".gz", ".xz", ".bz2", ".zst", ".lz4"}
    try:
        found = sorted(
            (path for path in named.parent.glob(named.name) if path.suffix not in packed),
            key=lambda path: path.stat().st_mtime,
        )
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
    ways: Ways | None = None,
    progress: Progress | None = None,
    follows: bool = False,
) -> FileRead:
    """Read a log file from where it was left, or from its beginning.

    cursors: cursors that act as lock_admin_role; one is taken for each piece, so that each is a transaction
    of its own. prefix, time_zone: its server's log_line_prefix and log_timezone; None: as the vault's server
    has them. follows: it is read again soon, so that a record at its end may wait for the rest.
    Raises LogFileError with a sentence where the file is missing, not a file, no log, or is cut while it is
    read.
    """
    try:
        # a pipe would be waited for
        opened = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(opened, "rb") as stream:
            facts = os.fstat(opened)
            if not stat.S_ISREG(facts.st_mode):
                what = (
                    "a folder: name a file in it" if stat.S_ISDIR(facts.st_mode) else _special(facts.st_mode)
                )
                raise LogFileError(f"{path} is {what}.")
            read = read_stream(
                stream,
                str(path.resolve()),
                cursors,
                log_format,
                prefix,
                time_zone,
                ways=ways,
                progress=progress,
                modified=facts.st_mtime,
                grows=True,
                follows=follows,
            )
            return replace(read, replaced=_replaced(path, facts))
    except FileNotFoundError as error:
        raise LogFileError(f"{path} does not exist.") from error
    except IsADirectoryError as error:
        raise LogFileError(f"{path} is a folder: name a file in it.") from error
    except PermissionError as error:
        raise LogFileError(f"{path} may not be read by this user.") from error
    except OSError as error:
        raise LogFileError(f"{path} cannot be read: {error.strerror or error}.") from error


def _special(mode: int) -> str:
    kind = "a pipe" if stat.S_ISFIFO(mode) else "a socket" if stat.S_ISSOCK(mode) else "a device"
    return f"{kind}, not a file: write it to a file, and read that"


def _replaced(path: Path, facts: os.stat_result) -> bool:
    try:
        now = path.stat()
    except FileNotFoundError:
        return False
    return (now.st_dev, now.st_ino) != (facts.st_dev, facts.st_ino)


def read_stream(
    stream: IO[bytes],
    source: str,
    cursors: CursorFactory,
    log_format: str | None = None,
    prefix: str | None = None,
    time_zone: str | None = None,
    *,
    ways: Ways | None = None,
    progress: Progress | None = None,
    modified: float | None = None,
    unpacked_limit: int | None = None,
    grows: bool = False,
    follows: bool = False,
) -> FileRead:
    """Read an open log (an upload). source: the name under which the position is remembered.

    With another prefix or time zone than before it is read from its beginning: what did not fit was passed
    over, and what was taken is not taken twice. grows: more may be written to it; modified: when that was
    last done; follows: it is read again soon. unpacked_limit: bytes that a compressed file may come to.
    """
    ways = ways or Ways()
    settings = Settings(log_format, unpacked_limit, until(modified), lambda: _zone(time_zone, cursors), grows)
    first = _first_bytes(stream)
    log = open_log(stream, source, settings)
    used = prefix
    if log.log_format == "stderr":
        if log.synthetic and not _has_time(prefix):
            used = f"%m [%p] {prefix or ''}"
        _require_fit(cursors, source, log, used, ways)
    said = [text for text in (prefix, time_zone) if text]
    key = f"{source} [{', '.join(said)}]" if said else source
    reading = Reading(log, key, cursors, used, time_zone)
    with cursors() as cursor:
        start = 0 if log.moved else calls.resume_position(cursor, key, log.sample[:HEAD])
    size = stream.seek(0, 2)
    reading.begin(stream, start)
    quiet = not follows or modified is None or time.time() - modified > QUIET_SECONDS
    more = True
    while more:
        more = reading.piece(quiet)
        place = stream.tell()
        if progress is not None:
            progress(min(place, size), size)
        if grows and os.fstat(stream.fileno()).st_size < place:
            raise LogFileError(
                f"{source} was cut while it was read, after {place:,} bytes; {reading.records} new records of"
                " those are stored. Read it again."
            )
    if _first_bytes(stream)[: len(first)] != first:
        raise LogFileError(
            f"{source} was written anew while it was read; {reading.records} new records are stored."
            " Read it again."
        )
    read = reading.outcome()
    if not read.records and (not read.fits or read.foreign_zone):
        # an import that took nothing is no reason to go on from its end
        reading.forget()
        raise LogFileError(f"{source} was not read. {' '.join(remarks(read, ways))}")
    if not read.start and not read.read and not follows:
        raise LogFileError(
            f"{source} holds the beginning of one record, without its end: read it when it is whole (a last"
            " line needs a line end)."
        )
    return read


def _first_bytes(stream: IO[bytes]) -> bytes:
    stream.seek(0)
    return stream.read(HEAD)


def _has_time(prefix: str | None) -> bool:
    return prefix is not None and any(letter in prefix for letter in ("%m", "%t", "%n"))


def _zone(name: str | None, cursors: CursorFactory) -> tzinfo:
    if name is None:
        with cursors() as cursor:
            name = calls.server_time_zone(cursor)
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise LogFileError(
            f'Time zone "{name}" is unknown: say a name as in pg_timezone_names, for example Europe/Berlin.'
        ) from error


def _require_fit(cursors: CursorFactory, source: str, log: OpenedLog, prefix: str | None, ways: Ways) -> None:
    """LogFileError where no line of its beginning has the prefix."""
    with cursors() as cursor:
        fitting, heads = calls.prefix_fit(cursor, log.sample, prefix)
    if not fitting and heads:
        raise LogFileError(f"{source} was not read. {_misfit(heads, 0, ways)}")
    if not fitting:
        raise kinds.not_a_log(source)
