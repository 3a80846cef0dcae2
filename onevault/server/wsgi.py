"""From a request to a WSGI environment, and from what the application returns to an answer that can be sent.

The rules are those of PEP 3333. A name with an underscore in a header is dropped, as gunicorn and nginx do:
"X_Forwarded_For" would become the same variable as "X-Forwarded-For".
"""

from __future__ import annotations

import asyncio
import io
import re
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Protocol
from urllib.parse import unquote_to_bytes

from tornado.httputil import HTTPHeaders, RequestStartLine

from onevault.server import limits
from onevault.server.visitors import Visitor

_PLACE = re.compile("https?://[^/?#]*", re.I)
"""What stands before the path where a request line has a whole address, as for a proxy."""

Headers = list[tuple[str, str]]
Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class GoneError(Exception):
    """Whoever asked has gone, or reads too slowly: nothing more can be sent."""


class BrokenBodyError(OSError):
    """A file stopped arriving."""


class File:
    """What the application returns for a file: it is sent piece by piece, without a thread in between."""

    def __init__(self, file: BinaryIO, block_size: int = limits.SEND_BYTES) -> None:
        self.file = file

    def __iter__(self) -> Iterator[bytes]:
        """The pieces of the file."""
        return iter(self.piece, b"")

    def piece(self) -> bytes:
        """The next piece; empty at the end."""
        return self.file.read(limits.SEND_BYTES)

    def close(self) -> None:
        """Close the file, and with it Django's answer."""
        self.file.close()


@dataclass
class Head:
    """Status and headers of an answer, as the application says them."""

    status: str = ""
    headers: Headers = field(default_factory=list)

    def start_response(self, status: str, headers: Headers, exc_info: Any = None) -> Callable[[bytes], None]:
        """WSGI's start_response; the old way of writing is refused."""
        self.status, self.headers = status, list(headers)

        def write(data: bytes) -> None:
            raise NotImplementedError("an application returns what it says")

        return write

    @property
    def code(self) -> int:
        """The status as a number."""
        return int(self.status.split(" ", 1)[0])

    @property
    def reason(self) -> str:
        """The status in words."""
        return self.status.partition(" ")[2]


@dataclass
class Answer:
    """An answer that is ready: its body, or a file, or (`sent`) one that was sent while it was made."""

    head: Head
    body: bytes = b""
    file: File | None = None
    sent: bool = False

    @property
    def has_length(self) -> bool:
        """Whether the head says how long the body is."""
        return any(name.lower() == "content-length" for name, _ in self.head.headers)


class Send(Protocol):
    """Sends a piece of an answer from a thread, and returns when it has been taken; GoneError."""

    def __call__(self, head: Head, piece: bytes) -> None:
        """Send the head first, where that has not been done."""


def call(application: Application, environ: dict[str, Any], send: Send, gone: Callable[[], bool]) -> Answer:
    """Run the application in this thread, unless whoever asked is `gone` by now: GoneError.

    An answer that is made while it is sent (an export) is sent from here: its cursor belongs to this thread.
    """
    if gone():
        raise GoneError
    head = Head()
    result = application(environ, head.start_response)
    if isinstance(result, File):
        return Answer(head, file=result)
    try:
        if not getattr(result, "streaming", False):
            return Answer(head, b"".join(result))
        if environ["REQUEST_METHOD"] == "HEAD":
            return Answer(head)
        for piece in result:
            for start in range(0, len(piece), limits.SEND_BYTES):
                send(head, piece[start : start + limits.SEND_BYTES])
        send(head, b"")
        return Answer(head, sent=True)
    finally:
        if hasattr(result, "close"):
            result.close()


def target(line: RequestStartLine) -> tuple[str, str]:
    """Path and query of a request line, the path still quoted. Whatever the line says, this is no error."""
    place = _PLACE.match(line.path)
    path, _, query = line.path[place.end() if place else 0 :].partition("?")
    return path or "/", query


def environment(
    line: RequestStartLine,
    headers: HTTPHeaders,
    visitor: Visitor,
    place: tuple[str, int],
    scheme: str,
    body: Any,
    length: int | None,
) -> dict[str, Any]:
    """The environment of one request.

    `place` is the name and port that the server listens on; `length` how long the body is, None without one.
    """
    path, query = target(line)
    environ: dict[str, Any] = {
        "REQUEST_METHOD": line.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path.encode("latin-1", "replace")).decode("latin-1"),
        "QUERY_STRING": query,
        "RAW_URI": line.path,
        "REMOTE_ADDR": visitor.address,
        "REMOTE_PORT": str(visitor.port),
        "SERVER_NAME": place[0],
        "SERVER_PORT": str(place[1]),
        "SERVER_PROTOCOL": line.version,
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scheme,
        "wsgi.input": body,
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        "wsgi.file_wrapper": File,
    }
    for name, value in headers.get_all():
        if "_" in name:
            continue
        key = name.upper().replace("-", "_")
        if key in ("CONTENT_LENGTH", "TRANSFER_ENCODING"):
            continue
        if key != "CONTENT_TYPE":
            key = f"HTTP_{key}"
        if key in environ:
            value = f"{environ[key]}{'; ' if key == 'HTTP_COOKIE' else ','}{value}"
        environ[key] = value
    if length is not None:
        environ["CONTENT_LENGTH"] = str(length)
    return environ


class Feed(io.RawIOBase):
    """A file while it arrives: the event loop adds pieces, a thread reads them; little is kept in between."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._loop = loop
        self._more = threading.Condition()
        self._pieces = bytearray()
        self._ended = self._broken = False
        self._room: asyncio.Future[None] | None = None

    def add(self, piece: bytes) -> asyncio.Future[None] | None:
        """In the event loop: add a piece. What is returned is done when there is room for another."""
        with self._more:
            if self._broken:
                return None
            self._pieces += piece
            self._more.notify()
            if len(self._pieces) < limits.UPLOAD_PIECES_BYTES:
                return None
            self._room = self._loop.create_future()
            return self._room

    def end(self) -> None:
        """In the event loop: the file is whole."""
        with self._more:
            self._ended = True
            self._more.notify()

    def stop(self) -> None:
        """In the event loop: no more will come, or nobody reads any more."""
        with self._more:
            self._broken = True
            self._pieces.clear()
            self._more.notify()
        self._make_room()

    def readable(self) -> bool:
        """A stream to read from."""
        return True

    def read(self, size: int = -1) -> bytes:
        """In a thread: what has arrived, `size` bytes at most; empty at the end. BrokenBodyError."""
        with self._more:
            arrived = self._more.wait_for(
                lambda: self._pieces or self._ended or self._broken, limits.UPLOAD_PAUSE_SECONDS
            )
            if self._broken or not arrived:
                raise BrokenBodyError("the file stopped arriving")
            number = len(self._pieces) if size < 0 else size
            piece = bytes(self._pieces[:number])
            del self._pieces[:number]
        self._loop.call_soon_threadsafe(self._make_room)
        return piece

    def _make_room(self) -> None:
        room, self._room = self._room, None
        if room is not None and not room.done():
            room.set_result(None)
