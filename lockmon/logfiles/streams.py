"""Bytes in, bytes out, in bounded memory: lines, unpacking, and reading on where nobody can seek."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from typing import Protocol

from lockmon.logfiles import LogFileError

LARGEST_RECORD = 16 * 1024 * 1024
"""Bytes; a record, a line or an entry that has not ended by then is passed over and counted."""
CHUNK = 256 * 1024
LARGEST_RATIO = 300
"""Unpacked bytes for each packed one. Logs of one statement over and over reach some 150."""
FREE_RATIO_BYTES = 64 * 1024 * 1024
"""Unpacked bytes that any ratio may come to."""
_GZIP = 16 + zlib.MAX_WBITS


class Reader(Protocol):
    """What each step reads from."""

    def read(self, size: int, /) -> bytes:
        """At most size bytes; fewer only where the file ends."""
        ...


class Counted:
    """How many lines or entries were longer than anything that is read."""

    def __init__(self) -> None:
        self.too_long = 0


def lines(reader: Reader, counted: Counted, keep_tail: bool) -> Iterator[bytes]:
    """Lines without their line feeds. keep_tail: whether what follows the last line end is a line, too."""
    parts: list[bytes] = []
    size = 0
    passing_over = False
    while chunk := reader.read(CHUNK):
        *whole, tail = chunk.split(b"\n")
        for piece in whole:
            if passing_over or size + len(piece) > LARGEST_RECORD:
                counted.too_long += 1
            else:
                yield b"".join([*parts, piece])
            parts, size, passing_over = [], 0, False
        size += len(tail)
        if size > LARGEST_RECORD:
            parts, passing_over = [], True
        elif tail:
            parts.append(tail)
    if passing_over:
        counted.too_long += 1
    elif parts and keep_tail:
        yield b"".join(parts)


class Joined:
    """Lines as a reader, each with its end."""

    def __init__(self, source: Iterable[bytes]) -> None:
        self._source = iter(source)
        self._rest = b""

    def read(self, size: int, /) -> bytes:
        """At most size bytes; fewer only at the end."""
        parts = [self._rest]
        length = len(self._rest)
        while length < size:
            line = next(self._source, None)
            if line is None:
                break
            parts += [line, b"\n"]
            length += len(line) + 1
        data = b"".join(parts)
        self._rest = data[size:]
        return data[:size]


class Unpacked:
    """What is in a gzip file, one or several members. Raises LogFileError where it is damaged, or unpacks to
    so much that it is no log."""

    def __init__(self, packed: Reader, name: str, limit: int | None) -> None:
        self._packed, self._name, self._limit = packed, name, limit
        self._gzip = zlib.decompressobj(_GZIP)
        self._waiting = b""
        self._taken = self._given = 0
        self._begun = False

    def read(self, size: int, /) -> bytes:
        """At most size bytes; fewer only at the end."""
        parts: list[bytes] = []
        length = 0
        while length < size:
            piece = self._some(size - length)
            if not piece:
                break
            parts.append(piece)
            length += len(piece)
        return b"".join(parts)

    def _some(self, size: int) -> bytes:
        while True:
            if self._gzip.eof:
                # members may follow each other, and zeros may fill a block up
                self._waiting = (self._gzip.unused_data or self._waiting).lstrip(b"\x00")
                self._gzip = zlib.decompressobj(_GZIP)
                self._begun = False
            if not self._waiting:
                self._waiting = self._packed.read(CHUNK)
                self._taken += len(self._waiting)
                if not self._begun:
                    self._waiting = self._waiting.lstrip(b"\x00")
            if not self._waiting:
                if self._begun:
                    raise LogFileError(
                        f"{self._name} is cut short: its compressed data has no end. Copy it again."
                    )
                return b""
            try:
                piece = self._gzip.decompress(self._waiting, size)
            except zlib.error as error:
                raise LogFileError(
                    f"{self._name} is damaged: it cannot be unpacked. Copy it again."
                ) from error
            self._begun = True
            self._waiting = self._gzip.unconsumed_tail if not self._gzip.eof else b""
            self._given += len(piece)
            self._check()
            if piece:
                return piece

    def _check(self) -> None:
        if self._limit is not None and self._given > self._limit:
            raise LogFileError(
                f"{self._name} unpacks to more than {self._limit // 1024**2:,} MB: on a machine that has the"
                " file, manage.py lockmon_read_log FILE takes more."
            )
        if self._given > max(FREE_RATIO_BYTES, LARGEST_RATIO * self._taken):
            raise LogFileError(
                f"{self._name} unpacks to more than {LARGEST_RATIO} times its size, as no log does: unpack it"
                " yourself and look at it first."
            )


def read_through(reader: Reader) -> int:
    """Read to the end, which raises what is wrong with it; returns the bytes."""
    total = 0
    while chunk := reader.read(CHUNK):
        total += len(chunk)
    return total
