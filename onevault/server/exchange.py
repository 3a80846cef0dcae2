"""One request and its answer: what arrives is counted and timed here, before any thread sees it."""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
import sys
import time
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from tornado.http1connection import HTTP1Connection
from tornado.httputil import HTTPHeaders, HTTPMessageDelegate, RequestStartLine, ResponseStartLine
from tornado.iostream import IOStream, StreamClosedError

from onevault.server import limits, wsgi
from onevault.server.visitors import Doing, Visitor

if TYPE_CHECKING:
    from onevault.server.server import Server

log = logging.getLogger("onevault.server")

_SENTENCES = {
    408: f"The request did not arrive within {limits.BODY_SECONDS:.0f} seconds.",
    411: "A request must say how long its body is (Content-Length).",
    413: f"The request is larger than {limits.BODY_BYTES // 1024} kB.",
    500: "The request could not be answered; the server's log says why.",
    503: "Too many requests or files are arriving: try again in a minute.",
}


_MOST_DIGITS = 18
"""A longer number is too large, whatever it is (Python reads 4,300 digits, a head has room for more)."""


def declared(headers: HTTPHeaders) -> int | None:
    """How long a request says that its body is; None where it does not say (a wrong number is Tornado's to
    refuse)."""
    first = headers.get("Content-Length", "").split(",")[0].strip()
    if not first.isascii() or not first.isdigit():
        return None
    return int(first) if len(first) <= _MOST_DIGITS else sys.maxsize


class Exchange(HTTPMessageDelegate):
    """From the head of a request to the end of its answer."""

    def __init__(self, server: Server, connection: HTTP1Connection, visitor: Visitor) -> None:
        self._server, self._connection, self._visitor = server, connection, visitor
        self._loop = asyncio.get_running_loop()
        self._body, self._filled = bytearray(), 0
        self._feed: wsgi.Feed | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._line = RequestStartLine("GET", "/", "HTTP/1.1")
        self._headers = HTTPHeaders()
        self._whole = False
        self._began: float = 0
        self._head_sent = self._answered = self._ended = False

    # --- what arrives

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> Awaitable[None] | None:
        """The head is there: refuse what is too large already, and begin to count."""
        assert isinstance(start_line, RequestStartLine)
        self._line, self._headers = start_line, headers
        self._began = time.monotonic()
        self._server.house.turn(self._visitor, Doing.SENDING_BODY)
        length = declared(headers)
        if length is None and "Transfer-Encoding" in headers:
            # No browser sends chunks. To be counted they must be parsed, a byte each if the sender likes.
            self._see_out(411)
        elif (length or 0) <= limits.BODY_BYTES:
            # to the page that takes files, too: a thread must not wait for what anybody may send as slowly
            self._after(limits.BODY_SECONDS, self._too_slow)
        elif self._server.is_upload(start_line, headers):
            self._begin_upload(length or 0)
        else:
            self._see_out(413)
        return None

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        """A piece of the body, which is no longer than it says: kept, given to who reads, or dropped."""
        if self._feed is not None:
            return self._feed.add(chunk)
        if self._head_sent:
            return None
        if not self._body and not self._make_room():
            self._refuse(503)
        else:
            self._body[self._filled : self._filled + len(chunk)] = chunk
            self._filled += len(chunk)
        return None

    def _make_room(self) -> bool:
        """Take all the room that the body may need at once: growing piece by piece beside a hundred others
        would cost a multiple of it in holes."""
        size = declared(self._headers) or 0
        if not self._server.house.keep(self._visitor, size):
            return False
        self._body = bytearray(size)
        return True

    def finish(self) -> None:
        """The request is whole: it is given to a thread."""
        self._whole = True
        if self._feed is not None:
            self._feed.end()
            if self._answered:
                self._end()
            return
        self._cancel()
        if self._head_sent:
            self._end()
            return
        length = declared(self._headers)
        body = io.BytesIO(memoryview(self._body)[: self._filled])
        self._body = bytearray()
        self._serve(body, length)

    def on_connection_close(self) -> None:
        """The connection ended before the request was whole."""
        self._ended = True
        self._drop()
        if self._feed is not None:
            self._feed.stop()

    def _begin_upload(self, length: int) -> None:
        if not self._server.uploads.acquire(blocking=False):
            self._see_out(503)
        else:
            self._feed = wsgi.Feed(self._loop)
            self._after(limits.UPLOAD_SECONDS, self._feed.stop)
            self._serve(self._feed, length)

    def _too_slow(self) -> None:
        self._refuse(408, linger=False)

    def _refusal(self, code: int) -> tuple[HTTPHeaders, bytes]:
        self._server.house.turned_away[HTTPStatus(code).phrase] += 1
        text = f"{_SENTENCES[code]}\n".encode()
        names = ("Content-Type", "Cache-Control", "Connection", "Content-Length", "Date")
        values = ("text/plain; charset=utf-8", "no-store", "close", str(len(text)), formatdate(usegmt=True))
        return HTTPHeaders(dict(zip(names, values, strict=True))), text

    def _see_out(self, code: int) -> None:
        """With the head alone: say why not; Tornado, which would parse the body, loses the connection."""
        self._ended = True
        headers, text = self._refusal(code)
        lines = [f"HTTP/1.1 {code} {HTTPStatus(code).phrase}"]
        lines += [f"{name}: {headers[name]}" for name in headers]
        data = "\r\n".join([*lines, "", ""]).encode()
        data += b"" if self._line.method == "HEAD" else text
        self._server.follow(self._write_and_drain(self._connection.detach(), data))

    async def _write_and_drain(self, stream: IOStream, data: bytes) -> None:
        with contextlib.suppress(StreamClosedError, TimeoutError):
            async with asyncio.timeout(limits.LINGER_SECONDS):
                await stream.write(data)
                while "100-continue" not in self._headers.get("Expect", "").lower():
                    await stream.read_bytes(limits.READ_BYTES, partial=True)
                    # there may always be something to read: let the others have their turn
                    await asyncio.sleep(0)
        stream.close()

    def _refuse(self, code: int, linger: bool = True) -> None:
        """Later: say why not, and close the connection; what still arrives is dropped."""
        if self._ended:
            return
        if self._head_sent:
            # what broke off must not end as a whole answer does: half an export would pass for all of it
            self._visitor.stream.close()
            return
        self._drop()
        headers, text = self._refusal(code)
        self._write_head(code, HTTPStatus(code).phrase, headers, text)
        if self._whole or not linger:
            self._end()
        else:
            self._linger()

    def _linger(self) -> None:
        """The answer is out, the request still arrives: whoever sends it has nothing more to wait for."""
        self._server.house.turn(self._visitor, Doing.SENDING_BODY)
        self._after(limits.LINGER_SECONDS, self._end)

    def _drop(self) -> None:
        self._cancel()
        self._body = bytearray()
        self._server.house.release(self._visitor)

    def _after(self, seconds: float, act: Callable[[], None]) -> None:
        self._cancel()
        self._timer = self._loop.call_later(seconds, act)

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # --- what is answered

    def _serve(self, body: Any, length: int | None) -> None:
        self._server.house.turn(self._visitor, Doing.SERVED)
        self._server.follow(self._answer(body, length))

    async def _answer(self, body: Any, length: int | None) -> None:
        environ: dict[str, Any] = {}
        answer: wsgi.Answer | None = None
        try:
            # here: from SERVED on whatever fails has to be undone below, or the place is lost for good
            environ |= wsgi.environment(
                self._line,
                self._headers,
                self._visitor,
                self._server.place,
                self._server.scheme,
                body,
                length,
            )
            del body
            answer = await self._loop.run_in_executor(
                self._server.threads,
                wsgi.call,
                self._server.application,
                environ,
                self._send_from_thread,
                self._visitor.stream.closed,
            )
        except (wsgi.GoneError, wsgi.BrokenBodyError):
            self._visitor.stream.close()
            return
        except Exception:
            log.exception("%s %s failed", self._line.method, wsgi.target(self._line)[0][:200])
        finally:
            environ.pop("wsgi.input", None)
            self._server.house.release(self._visitor)
            self._server.house.turn(self._visitor, Doing.READING)
            if self._feed is not None:
                self._cancel()
                self._feed.stop()
                self._server.uploads.release()
        if answer is None:
            self._refuse(500)
            return
        try:
            if not answer.sent:
                await self._send_whole(answer)
            self._answered = True
            if self._line.version == "HTTP/1.0" and not answer.has_length:
                # without chunks and without a length the end of the connection is the end of the answer
                self._visitor.stream.close()
            elif self._whole:
                self._end()
            else:
                self._linger()
        except wsgi.GoneError:
            self._visitor.stream.close()
        except Exception:
            self._visitor.stream.close()
            raise
        finally:
            if answer.file is not None:
                await self._loop.run_in_executor(self._server.threads, answer.file.close)
            self._server.served(environ, answer.head, time.monotonic() - self._began)

    async def _send_whole(self, answer: wsgi.Answer) -> None:
        if answer.file is None:
            if answer.head.code not in (204, 304) and not answer.has_length:
                answer.head.headers.append(("Content-Length", str(len(answer.body))))
            for start in range(0, max(len(answer.body), 1), limits.SEND_BYTES):
                await self._send(answer.head, answer.body[start : start + limits.SEND_BYTES])
            return
        await self._send(answer.head, b"")
        if self._bodiless(answer.head.code):
            return
        while piece := await self._loop.run_in_executor(self._server.threads, answer.file.piece):
            await self._send(answer.head, piece)

    def _send_from_thread(self, head: wsgi.Head, piece: bytes) -> None:
        asyncio.run_coroutine_threadsafe(self._send(head, piece), self._loop).result()

    async def _send(self, head: wsgi.Head, piece: bytes) -> None:
        """Send a piece, after the head if that has not been sent; GoneError where nobody takes it in time."""
        if self._ended or self._visitor.stream.closed():
            raise wsgi.GoneError
        self._server.house.turn(self._visitor, Doing.READING)
        piece = b"" if self._bodiless(head.code) else piece
        if not self._head_sent:
            headers = HTTPHeaders()
            for name, value in head.headers:
                headers.add(name, value.strip())
            if not self._whole:
                headers["Connection"] = "close"
            written = self._write_head(head.code, head.reason, headers, piece)
        elif piece:
            written = self._connection.write(piece)
        else:
            return
        try:
            await asyncio.wait_for(written, limits.SEND_SECONDS)
        except (StreamClosedError, TimeoutError) as error:
            raise wsgi.GoneError from error

    def _bodiless(self, code: int) -> bool:
        return self._line.method == "HEAD" or code in (204, 304)

    def _write_head(self, code: int, reason: str, headers: HTTPHeaders, piece: bytes) -> asyncio.Future[None]:
        self._head_sent = True
        headers.setdefault("Date", formatdate(usegmt=True))
        if self._line.method == "HEAD" and "Content-Length" not in headers:
            headers["Content-Length"] = "0"
        line = ResponseStartLine("HTTP/1.1", code, reason)
        chunk = None if self._line.method == "HEAD" or not piece else piece
        return self._connection.write_headers(line, headers, chunk)

    def _end(self) -> None:
        """The answer is out. Where the request was not whole this closes the connection."""
        if self._ended:
            return
        self._ended = True
        self._cancel()
        with contextlib.suppress(StreamClosedError):
            self._connection.finish()
        self._server.house.turn(self._visitor, Doing.SENDING_HEAD)
