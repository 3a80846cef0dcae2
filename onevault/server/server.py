"""The connections of one process: Tornado reads and writes them, Django answers in a few threads."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

from tornado.http1connection import HTTP1Connection, HTTP1ConnectionParameters, HTTP1ServerConnection
from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPMessageDelegate,
    HTTPServerConnectionDelegate,
    RequestStartLine,
)
from tornado.iostream import IOStream, SSLIOStream

from onevault.server import limits, wsgi
from onevault.server.exchange import Exchange
from onevault.server.visitors import Doing, House, Visitor

log = logging.getLogger("onevault.server")

Served = Callable[[dict[str, Any], wsgi.Head, float], None]


class Server(HTTPServerConnectionDelegate):
    """Serves a WSGI application on sockets that somebody else has bound. Lives in a running event loop.

    Connections are accepted here and not by Tornado's TCPServer, which takes all that wait, up to 128 in one
    go: more than there are places, so that who has just come would be sent away unheard; and a process whose
    places are all in use would take, and have to close, what the next one has room for. What is not accepted
    waits in the socket's queue, for whichever process has room first.
    """

    def __init__(
        self,
        application: wsgi.Application,
        threads: int,
        processes: int = 1,
        upload_paths: Iterable[str] = (),
        session_cookie: str = "sessionid",
        ssl_options: ssl.SSLContext | None = None,
        served: Served = lambda environ, head, seconds: None,
    ) -> None:
        """`threads` and the share of one of `processes` in all that may be kept are this process's.

        `upload_paths` take files, from whoever sends a cookie called `session_cookie`: the application says
        whether it is anybody's. `served` is told of each request that was answered, with its seconds.
        """
        self.application, self.served = application, served
        self.house = House(
            max(limits.LEAST_CONNECTIONS, limits.ALL_CONNECTIONS // processes),
            max(limits.BODY_BYTES, limits.ALL_BODIES // processes),
        )
        self.threads = ThreadPoolExecutor(threads, thread_name_prefix="web")
        self.uploads = threading.BoundedSemaphore(max(1, threads // 2))
        self._tls = ssl_options
        self.scheme = "https" if ssl_options is not None else "http"
        self.place = ("localhost", 80)
        self._parameters = HTTP1ConnectionParameters(
            chunk_size=limits.READ_BYTES,
            max_header_size=limits.HEAD_BYTES,
            header_timeout=limits.HEAD_SECONDS,
            # what is too large is counted, and answered in a sentence, by Exchange
            max_body_size=2**62,
        )
        self._upload_paths, self._session_cookie = frozenset(upload_paths), session_cookie
        self._running: set[asyncio.Task[None]] = set()
        self._listening: list[socket.socket] = []
        self._resting: asyncio.TimerHandle | None = None
        self._waited: Counter[str] = Counter()

    def listen_on(self, sockets: Iterable[socket.socket]) -> None:
        """Accept connections from these."""
        sockets = list(sockets)
        for one in sockets:
            one.setblocking(False)
            name = one.getsockname()
            if isinstance(name, tuple):
                self.place = (str(name[0]), int(name[1]))
        self._listening += sockets
        self._begin_accepting()

    async def end(self, seconds: float) -> None:
        """Accept nobody any more, close what waits, and give those who are being answered so many seconds."""
        self._stop_accepting()
        for one in self._listening:
            one.close()
        self._listening.clear()
        until = asyncio.get_running_loop().time() + seconds
        while True:
            for visitor in self.house.present():
                if visitor.doing is Doing.SENDING_HEAD:
                    visitor.stream.close()
            if not len(self.house) or asyncio.get_running_loop().time() >= until:
                break
            await asyncio.sleep(0.05)
        if self._running:
            await asyncio.wait(self._running, timeout=max(0, until - asyncio.get_running_loop().time()))
        self.threads.shutdown(wait=False, cancel_futures=True)

    def tell(self) -> None:
        """Log who was turned away since the last call, and whether there was no room for anybody new."""
        away, self.house.turned_away = self.house.turned_away, type(self.house.turned_away)()
        if away:
            reasons = ", ".join(f"{reason}: {number}" for reason, number in sorted(away.items()))
            log.warning("Requests and connections that were turned away: %s.", reasons)
        waited, self._waited = self._waited, Counter()
        for reason, number in sorted(waited.items()):
            log.warning(
                "New connections had to wait, for about %.1f seconds in all: %s.",
                number * limits.NO_ROOM_SECONDS,
                reason,
            )

    def is_upload(self, line: RequestStartLine, headers: HTTPHeaders) -> bool:
        """Whether this request's body goes to the application while it arrives."""
        if line.method != "POST" or wsgi.target(line)[0] not in self._upload_paths:
            return False
        cookies = ";".join(headers.get_list("Cookie")).split(";")
        return any(cookie.strip().startswith(f"{self._session_cookie}=") for cookie in cookies)

    def follow(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine, and keep it until it has ended."""
        task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("An answer could not be sent", exc_info=error)

    def _begin_accepting(self) -> None:
        self._resting = None
        for one in self._listening:
            asyncio.get_running_loop().add_reader(one, self._accept, one)

    def _stop_accepting(self) -> None:
        if self._resting is not None:
            self._resting.cancel()
            self._resting = None
        for one in self._listening:
            asyncio.get_running_loop().remove_reader(one)

    def _rest(self, reason: str) -> None:
        """Leave who comes now in the socket's queue for a moment."""
        self._waited[reason] += 1
        self._stop_accepting()
        self._resting = asyncio.get_running_loop().call_later(limits.NO_ROOM_SECONDS, self._begin_accepting)

    def _accept(self, listening: socket.socket) -> None:
        """Somebody is in the socket's queue."""
        try:
            for _ in range(limits.ACCEPTED_AT_ONCE):
                if not self.house.has_room():
                    if all(one.heard for one in self.house.present()):
                        self._rest("all places were taken by requests that are being answered")
                    return
                self._greet(*listening.accept())
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError as error:
            self._rest(str(error.strerror))

    def _greet(self, connection: socket.socket, address: Any) -> None:
        """A connection is there (that of a local socket has no address)."""
        sizes = {"max_buffer_size": limits.BUFFER_BYTES, "read_chunk_size": limits.READ_BYTES}
        if self._tls is None:
            stream = IOStream(connection, **sizes)
        else:
            try:
                wrapped = self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
            except OSError:
                # gone already
                connection.close()
                return
            stream = SSLIOStream(wrapped, **sizes)
        known = isinstance(address, tuple) and len(address) >= 2
        visitor = self.house.enter(stream, *((str(address[0]), int(address[1])) if known else ("", 0)))
        HTTP1ServerConnection(stream, self._parameters, visitor).start_serving(self)
        # after the step, in the loop's next turn, that reads what has been sent before
        asyncio.get_running_loop().call_soon(setattr, visitor, "heard", True)

    def start_request(self, server_conn: object, request_conn: HTTPConnection) -> HTTPMessageDelegate:
        """Tornado waits for a request's head."""
        connection = cast(HTTP1Connection, request_conn)
        return Exchange(self, connection, cast(Visitor, connection.context))

    def on_close(self, server_conn: object) -> None:
        """Nothing: the house forgets who has gone."""
