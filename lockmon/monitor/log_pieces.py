"""A log on its way into the vault: piece by piece, in bounded memory, each piece a transaction."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import IO, Any

from lockmon.calls import deadlocks as calls
from lockmon.logfiles.opening import OpenedLog
from lockmon.logfiles.streams import CHUNK, LARGEST_RECORD, Reader

PIECE = 1024 * 1024
"""Bytes sent at once."""

CursorFactory = Callable[[], AbstractContextManager[Any]]


@dataclass(frozen=True)
class FileRead:
    """What reading a file came to. start: the byte at which it went on; read: bytes taken.

    Both count log_format's bytes; came_as: what they were taken out of (gzip, syslog, json ...).
    foreign_zone: an abbreviation among its times that its time zone, as far as is known, does not have.
    heads: of stderr, lines that have the prefix, where there was anything about locks.
    waiting: bytes at the end that begin a record without its end. replaced: another file has the name now.
    claimed: of the records, those that nothing proves (lock_log.event.standing).
    """

    log_format: str
    start: int
    read: int
    records: int
    unreadable: int
    foreign_zone: str | None = None
    heads: int = 0
    came_as: tuple[str, ...] = ()
    waiting: int = 0
    replaced: bool = False
    claimed: int = 0

    @property
    def of_them(self) -> str:
        """What follows "3 new records about locks" where nothing proves some of them."""
        return f", {self.claimed} of them claimed," if self.claimed else ""

    @property
    def fits(self) -> bool:
        """Whether most lines that look like the beginning of a record have the prefix."""
        return self.log_format != "stderr" or self.unreadable <= self.heads

    @property
    def form(self) -> str:
        """The format, and what it was in."""
        return f"{self.log_format} from {', '.join(self.came_as)}" if self.came_as else self.log_format


class Reading:
    """A log on its way into the vault, piece by piece."""

    def __init__(
        self,
        log: OpenedLog,
        source: str,
        cursors: CursorFactory,
        prefix: str | None,
        time_zone: str | None,
    ) -> None:
        self._log, self._source, self._cursors = log, source, cursors
        self._prefix, self._time_zone = prefix, time_zone
        self._rest = b""
        self._size = PIECE
        self.records = self._unreadable = self._heads = self._claimed = 0
        self._foreign_zone: str | None = None
        self._reader: Reader
        self._start = self._position = 0

    def begin(self, stream: IO[bytes], start: int) -> None:
        """Go to where reading ended; to the beginning if the file is shorter than that now."""
        self._reader = self._log.reread()
        if not self._log.came_as:
            start = start if start <= stream.seek(0, 2) else 0
            stream.seek(start)
        elif not _passed_over(self._reader, start):
            start = 0
            self._reader = self._log.reread()
        self._start = self._position = start

    def piece(self, quiet: bool) -> bool:
        """Send the next piece; false where there is nothing after it. quiet: what ends here ends for good."""
        data = self._rest + _full(self._reader, self._size - len(self._rest))
        at_end = len(data) < self._size
        if not data:
            return False
        if not at_end and b"\n" not in data:
            self._longer(data)
            return True
        whole = at_end and quiet and self._log.log_format == "stderr" and data.endswith(b"\n")
        with self._cursors() as cursor:
            taken = calls.ingest_log(
                cursor,
                self._source,
                self._log.log_format,
                self._position,
                data,
                whole,
                self._prefix,
                self._time_zone,
            )
        self.records += taken.records
        self._unreadable += taken.unreadable
        self._heads += taken.heads
        self._claimed += taken.claimed
        self._foreign_zone = self._foreign_zone or taken.foreign_zone
        self._position += taken.consumed
        self._rest = data[taken.consumed :]
        if taken.consumed == 0 and not at_end:
            self._longer(data)
        elif len(self._rest) < PIECE:
            self._size = PIECE
        return not at_end

    def _longer(self, data: bytes) -> None:
        """Ask for more of a record that has not ended, or pass over one that is too long."""
        self._rest = data
        if self._size < LARGEST_RECORD:
            self._size *= 2
            return
        self._unreadable += 1
        self._position += len(data)
        self._rest = b""
        self._size = PIECE
        if b"\n" in data:
            return
        # nothing is sent of a line without end
        while chunk := self._reader.read(CHUNK):
            end = chunk.find(b"\n")
            if end >= 0:
                self._position += end + 1
                self._rest = chunk[end + 1 :]
                return
            self._position += len(chunk)

    def forget(self) -> None:
        """Begin at the beginning next time."""
        with self._cursors() as cursor:
            calls.ingest_log(
                cursor, self._source, self._log.log_format, 0, b"", False, self._prefix, self._time_zone
            )

    def outcome(self) -> FileRead:
        """What it came to."""
        return FileRead(
            self._log.log_format,
            self._start,
            self._position - self._start,
            self.records,
            self._unreadable + self._log.counted.too_long,
            self._foreign_zone,
            self._heads,
            self._log.came_as,
            len(self._rest.strip(b"\x00\r\n ")),
            claimed=self._claimed,
        )


def _full(reader: Reader, size: int) -> bytes:
    """size bytes, fewer only at the end: a file that is not buffered may give fewer at once."""
    parts = []
    while size > 0 and (part := reader.read(size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _passed_over(reader: Reader, size: int) -> bool:
    """Whether there were so many bytes to pass over."""
    while size > 0 and (part := reader.read(min(size, CHUNK))):
        size -= len(part)
    return size == 0
