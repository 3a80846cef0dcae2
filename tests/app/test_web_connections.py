"""The web server's connections: what is too large, too slow or too much is refused in a sentence, and there
is always room for one more."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from onevault.server import limits, wsgi
from onevault.server.server import Server
from onevault.server.visitors import Doing
from tests.support.poll import poll
from tests.support.webserver import HOST, Strangers, chunk, exchange, head, said, status, strangers

Environ = dict[str, Any]


class Application:
    """Answers with what it was asked; `gate` holds it back, `asked` is what has reached it."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.asked: list[Environ] = []
        self.answer: Callable[[Environ], Iterable[bytes]] = lambda environ: [b"heard"]

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        assert self.gate.wait(60)
        environ["body"] = b""
        while environ["PATH_INFO"] != "/deaf" and (piece := environ["wsgi.input"].read(65536)):
            environ["body"] += piece
        self.asked.append(environ)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return self.answer(environ)


class Streaming(list[bytes]):
    """Pieces as Django's streaming answers give them."""

    streaming = True


class Place:
    """A server in a thread of this process; `listening`: the socket of others that it shares."""

    def __init__(self, application: Application, listening: socket.socket | None = None, **more: Any) -> None:
        self.application = application
        self.listening = listening or socket.create_server((HOST, 0))
        self.port = int(self.listening.getsockname()[1])
        self.server: Server
        self.loop: asyncio.AbstractEventLoop
        self._more: dict[str, Any] = {
            "threads": 2,
            "processes": 1,
            "upload_paths": ["/import/", "/deaf"],
        } | more
        self._up, self._stop = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self._thread.start()
        assert self._up.wait(30)

    async def _run(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.server = Server(self.application, **self._more)
        self.server.listen_on([self.listening])
        self._up.set()
        while not self._stop.is_set():
            await asyncio.sleep(0.01)
        await self.server.end(5)

    def close(self) -> None:
        self.application.gate.set()
        self._stop.set()
        self._thread.join(60)
        assert not self._thread.is_alive()

    def ask(self, path: str = "/", method: str = "GET", **more: Any) -> tuple[int, bytes, dict[str, str]]:
        """An ordinary request on a connection of its own."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=30)
        with contextlib.closing(connection):
            connection.request(method, path, **more)
            found = connection.getresponse()
            return found.status, found.read(), {name.lower(): value for name, value in found.getheaders()}


@pytest.fixture
def application() -> Application:
    return Application()


@pytest.fixture
def place(application: Application) -> Iterator[Place]:
    made = Place(application)
    yield made
    made.close()


@pytest.fixture
def outside(place: Place) -> Iterator[Strangers]:
    with strangers(place.port) as made:
        yield made


def test_a_request_comes_through_whole(place: Place, application: Application) -> None:
    body = b"b" * limits.BODY_BYTES
    found = place.ask(
        "/a%20b/%C3%A9?q=%20",
        "POST",
        body=body,
        headers={"Cookie": "a=1", "X-Thing": "x", "Content-Type": "t"},
    )
    assert found[:2] == (200, b"heard")
    (environ,) = application.asked
    wanted = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/a b/\xc3\xa9",
        "QUERY_STRING": "q=%20",
        "CONTENT_LENGTH": str(limits.BODY_BYTES),
        "CONTENT_TYPE": "t",
        "HTTP_COOKIE": "a=1",
        "HTTP_X_THING": "x",
        "HTTP_HOST": f"{HOST}:{place.port}",
        "REMOTE_ADDR": HOST,
        "SERVER_PORT": str(place.port),
        "wsgi.url_scheme": "http",
        "body": body,
    }
    assert {key: environ.get(key) for key in wanted} == wanted


@pytest.mark.parametrize("path", ["/", "/import/"])
@pytest.mark.parametrize("pieces", [[], [chunk(b"abc"), b"0\r\n\r\n"], [chunk(b"x" * 16384) * 100]])
def test_a_body_in_chunks_is_refused(
    place: Place, application: Application, path: str, pieces: list[bytes]
) -> None:
    text = exchange(place.port, head(path, Transfer_Encoding="chunked", Cookie="sessionid=1"), *pieces)
    assert status(text) == 411 and "must say how long its body is" in text
    assert (application.asked, place.server.house.kept) == ([], 0)


def test_crumbs_cost_next_to_nothing(place: Place, application: Application) -> None:
    with strangers(place.port) as outside:
        outside.many(400, head(Transfer_Encoding="chunked"), chunk(b"x") * 20_000)
        assert place.ask()[:2] == (200, b"heard")
        poll(lambda: len(place.server.house) == 0, what="the end of them all")


def test_a_header_that_would_pass_for_another_is_dropped(place: Place, application: Application) -> None:
    exchange(
        place.port,
        b"GET / HTTP/1.1\r\nHost: x\r\nX_Forwarded_For: 1.2.3.4\r\nCookie: a=1\r\nCookie: b=2\r\n"
        b"X-Many: 1\r\nX-Many: 2\r\nConnection: close\r\n\r\n",
    )
    environ = application.asked[0]
    assert "HTTP_X_FORWARDED_FOR" not in environ
    assert (environ["HTTP_COOKIE"], environ["HTTP_X_MANY"]) == ("a=1; b=2", "1,2")


def test_one_connection_serves_many_requests(place: Place, application: Application) -> None:
    with contextlib.closing(http.client.HTTPConnection(HOST, place.port, timeout=30)) as connection:
        for method in ("GET", "POST", "HEAD", "GET"):
            connection.request(method, "/", body=b"x" if method == "POST" else None)
            answer = connection.getresponse()
            assert (answer.status, answer.read()) == (200, b"" if method == "HEAD" else b"heard")
            assert answer.getheader("Content-Length") == "5"
            assert answer.getheader("Date")
    assert len(application.asked) == 4


@pytest.mark.parametrize("size", [0, 1, limits.SEND_BYTES, 5 * limits.SEND_BYTES + 1])
@pytest.mark.parametrize("kind", ["whole", "file", "streaming"])
def test_answers_of_each_kind_arrive(
    place: Place, application: Application, tmp_path: Path, kind: str, size: int
) -> None:
    data = bytes(number % 251 for number in range(size))
    path = tmp_path / "file"
    path.write_bytes(data)
    if kind == "whole":
        application.answer = lambda environ: [data]
    elif kind == "file":
        application.answer = lambda environ: environ["wsgi.file_wrapper"](path.open("rb"))
    else:
        application.answer = lambda environ: Streaming([data[:7], data[7:]])
    assert place.ask()[:2] == (200, data)


def test_cookies_and_odd_headers_arrive(place: Place, application: Application) -> None:
    class Headers(Application):
        def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
            cookies = [("Set-Cookie", " a=1; Path=/"), ("Set-Cookie", " b=2")]
            start_response(
                "404 Not Found", [*cookies, ("X-Empty", ""), ("X-Broken", environ["QUERY_STRING"])]
            )
            return [b"no"]

    place.server.application = Headers()
    with contextlib.closing(http.client.HTTPConnection(HOST, place.port, timeout=30)) as connection:
        connection.request("GET", "/?fine")
        answer = connection.getresponse()
        assert answer.msg.get_all("Set-Cookie") == ["a=1; Path=/", "b=2"]
        assert (answer.status, answer.reason, answer.read()) == (404, "Not Found", b"no")


def test_an_answer_that_cannot_be_sent_ends_its_connection(place: Place, application: Application) -> None:
    class Split(Application):
        def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
            start_response("200 OK", [("X-Split", "a\r\nSet-Cookie: b=1")])
            return [b"no"]

    place.server.application = Split()
    assert exchange(place.port, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n") == ""
    place.server.application = application
    assert place.ask()[:2] == (200, b"heard")


def test_an_application_that_fails_is_a_500(place: Place, application: Application) -> None:
    def fail(environ: Environ) -> Iterable[bytes]:
        raise ValueError("broken")

    application.answer = fail
    code, text, _ = place.ask()
    assert code == 500 and b"the server's log says why" in text


def test_a_body_that_says_it_is_too_large_is_refused_unread(place: Place, application: Application) -> None:
    text = exchange(place.port, head(Content_Length=limits.BODY_BYTES + 1))
    assert status(text) == 413
    assert "The request is larger than 64 kB." in text and "Connection: close" in text
    assert application.asked == []


def test_whoever_sends_it_all_the_same_hears_why(place: Place, application: Application) -> None:
    size = 3 * 1024 * 1024
    text = exchange(place.port, head(Content_Length=size), b"x" * size)
    assert status(text) == 413
    assert (application.asked, place.server.house.kept) == ([], 0)


def test_whoever_sends_fast_does_not_keep_the_others_waiting(place: Place) -> None:
    over = threading.Event()

    def send() -> None:
        with strangers(place.port) as outside:
            while not over.is_set():
                sender = outside.one(head(Content_Length=10**12))
                with contextlib.suppress(OSError):
                    while not over.is_set():
                        sender.sendall(b"x" * 2**20)

    threads = [threading.Thread(target=send) for _ in range(3)]
    for one in threads:
        one.start()
    try:
        for _ in range(5):
            assert place.ask()[:2] == (200, b"heard")
    finally:
        over.set()
        for one in threads:
            one.join()


def test_whoever_waits_for_a_go_ahead_does_not_get_one(place: Place) -> None:
    text = exchange(place.port, head(Content_Length=10**9, Expect="100-continue"))
    assert status(text) == 413 and "100" not in text.split("\r\n")[0]


def test_both_lengths_at_once_are_refused(place: Place, application: Application) -> None:
    text = exchange(
        place.port, head(Content_Length=4, Transfer_Encoding="chunked", Connection="close"), b"0\r\n\r\n"
    )
    assert status(text) == 400
    assert application.asked == []


def test_a_head_that_never_ends_is_cut_off(place: Place, application: Application) -> None:
    exchange(place.port, b"GET / HTTP/1.1\r\n", b"X-A: " + b"a" * 10 * limits.HEAD_BYTES)
    assert application.asked == []
    assert place.ask()[0] == 200


@pytest.mark.parametrize("begun", [b"", b"G", b"GET / HTTP/1.1\r\nHost: x\r\n"])
def test_a_head_must_arrive_in_time(
    application: Application, monkeypatch: pytest.MonkeyPatch, begun: bytes
) -> None:
    monkeypatch.setattr(limits, "HEAD_SECONDS", 0.3)
    place = Place(application)
    try:
        assert exchange(place.port, begun) == ""
        poll(lambda: len(place.server.house) == 0, what="the end of the connection")
    finally:
        place.close()


def test_a_body_must_arrive_in_time(
    place: Place, application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "BODY_SECONDS", 0.3)
    text = exchange(place.port, head(Content_Length=100), b"x" * 99)
    assert status(text) == 408
    assert (application.asked, place.server.house.kept) == ([], 0)


def test_a_byte_now_and_then_does_not_prolong_it(
    place: Place, outside: Strangers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "BODY_SECONDS", 1.0)
    slow = outside.one(head(Content_Length=60_000))
    slow.settimeout(0.1)
    found, sent = b"", 0
    while not found and sent < 1000:
        with contextlib.suppress(TimeoutError, ConnectionError):
            slow.send(b"x")
            sent += 1
            found = slow.recv(100)
    assert status(found.decode()) == 408


def test_the_thousandth_connection_finds_room(application: Application) -> None:
    place = Place(application, processes=100)
    try:
        assert place.server.house.most_connections == limits.LEAST_CONNECTIONS
        with strangers(place.port) as outside:
            for number in range(3 * limits.LEAST_CONNECTIONS):
                outside.one(*([head(Content_Length=100), b"x"] if number % 2 else [b"GET / HT"]))
            assert place.ask()[:2] == (200, b"heard")
            assert len(place.server.house) <= limits.LEAST_CONNECTIONS
        assert place.server.house.turned_away["made room for others"] >= 2 * limits.LEAST_CONNECTIONS
    finally:
        place.close()


def test_whoever_waits_for_his_answer_is_not_sent_away(application: Application) -> None:
    place = Place(application, processes=100)
    application.gate.clear()
    try:
        with strangers(place.port) as outside:
            first = outside.one(head(Content_Length=1, Connection="close"), b"x")
            poll(lambda: place.server.house.kept == 1, what="the first body")
            outside.many(3 * limits.LEAST_CONNECTIONS, head(Content_Length=100), b"x")
            application.gate.set()
            assert status(said(first)) == 200
    finally:
        place.close()


def test_bodies_of_all_connections_together_have_a_limit(application: Application) -> None:
    place = Place(application, processes=limits.ALL_BODIES // (4 * limits.BODY_BYTES))
    try:
        house = place.server.house
        assert house.most_bytes == 4 * limits.BODY_BYTES
        with strangers(place.port) as outside:
            for _ in range(12):
                outside.one(head(Content_Length=limits.BODY_BYTES), b"x" * (limits.BODY_BYTES - 1))
                poll(lambda: house.kept > 0, what="a body")
                assert house.kept <= house.most_bytes
            assert place.ask(method="POST", body=b"x" * limits.BODY_BYTES)[0] == 200
    finally:
        place.close()


def test_what_waits_for_a_thread_counts_though_its_sender_has_gone(application: Application) -> None:
    place = Place(application, threads=1, processes=limits.ALL_BODIES // (4 * limits.BODY_BYTES))
    application.gate.clear()
    try:
        body = b"x" * limits.BODY_BYTES
        house = place.server.house
        with strangers(place.port) as outside:
            outside.many(4, head(Content_Length=len(body)), body)
            poll(lambda: house.kept == 4 * len(body), what="the bodies")
            poll(lambda: all(one.doing is Doing.SERVED for one in house.present()), what="the queue")
        text = exchange(place.port, head(Content_Length=len(body)), body)
        assert status(text) == 503 and "try again" in text
        application.gate.set()
        poll(lambda: place.server.house.kept == 0, what="room")
        assert len(application.asked) == 1, "whoever has gone is not answered"
    finally:
        place.close()


def test_a_reader_who_does_not_read_holds_no_thread(
    application: Application, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "SEND_SECONDS", 1.0)
    large = tmp_path / "large"
    large.write_bytes(b"x" * 20 * 1024 * 1024)
    application.answer = lambda environ: environ["wsgi.file_wrapper"](large.open("rb"))
    place = Place(application)
    try:
        with strangers(place.port) as outside:
            outside.many(12, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            poll(lambda: len(application.asked) == 12, what="all twelve answers under way")
            application.answer = lambda environ: [b"heard"]
            assert place.ask()[:2] == (200, b"heard")
            poll(lambda: len(place.server.house) == 0, what="the end of who does not read")
    finally:
        place.close()


def test_a_file_goes_to_the_application_while_it_arrives(place: Place, application: Application) -> None:
    seen: list[int] = []

    def count(environ: Environ) -> Iterable[bytes]:
        return [str(sum(seen)).encode()]

    class Counted(Application):
        def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
            while piece := environ["wsgi.input"].read(65536):
                seen.append(len(piece))
            start_response("200 OK", [])
            return count(environ)

    place.server.application = Counted()
    size = 20 * 1024 * 1024
    found = place.ask("/import/", "POST", body=b"x" * size, headers={"Cookie": "sessionid=abc"})
    assert found[:2] == (200, str(size).encode())
    assert max(seen) <= 65536 and place.server.house.kept == 0


@pytest.mark.parametrize(
    ("path", "headers", "code"),
    [
        ("/import/", {"Content_Length": 10**6}, 413),
        ("/import/", {"Content_Length": 10**6, "Cookie": "other=1"}, 413),
        ("/other/", {"Content_Length": 10**6, "Cookie": "sessionid=1"}, 413),
        ("/import/?a=1", {"Content_Length": 10**6}, 413),
        ("/import/", {"Transfer_Encoding": "chunked", "Cookie": "sessionid=1"}, 411),
    ],
)
def test_files_are_taken_in_one_place_from_somebody(
    place: Place, path: str, headers: dict[str, str | int], code: int
) -> None:
    assert status(exchange(place.port, head(path, **headers), b"5\r\nhello\r\n0\r\n\r\n")) == code


def test_a_file_that_the_application_does_not_read_is_not_kept(
    place: Place, application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "LINGER_SECONDS", 0.2)
    size = 50 * 1024 * 1024
    with strangers(place.port) as outside:
        sender = outside.one(head("/deaf", Content_Length=size, Cookie="sessionid=1"))
        poll(lambda: len(application.asked) == 1, what="the application")
        with contextlib.suppress(OSError):
            sender.sendall(b"x" * size)
        assert status(said(sender)) in (200, 0)
    poll(lambda: len(place.server.house) == 0, what="the end of the connection")


def test_a_file_that_stops_arriving_lets_its_thread_go(
    application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "UPLOAD_PAUSE_SECONDS", 0.3)
    place = Place(application, threads=1)
    try:
        with strangers(place.port) as outside:
            stuck = outside.one(head("/import/", Content_Length=10**6, Cookie="sessionid=1"), b"x" * 1000)
            assert place.ask()[:2] == (200, b"heard")
            assert said(stuck) == ""
            stopped = outside.one(head("/import/", Content_Length=10**6, Cookie="sessionid=1"), b"x")
            stopped.close()
        assert place.ask()[:2] == (200, b"heard")
    finally:
        place.close()


def test_uploads_leave_threads_for_the_others(application: Application) -> None:
    place = Place(application, threads=2)
    try:
        with strangers(place.port) as outside:
            outside.one(head("/import/", Content_Length=10**6, Cookie="sessionid=1"), b"x")

            def taken() -> bool:
                if place.server.uploads.acquire(blocking=False):
                    place.server.uploads.release()
                    return False
                return True

            poll(taken, what="the upload")
            second = exchange(place.port, head("/import/", Content_Length=10**6, Cookie="sessionid=1"))
            assert status(second) == 503
            assert place.ask()[0] == 200
    finally:
        place.close()


def test_the_end_waits_for_answers_and_for_nobody_else(application: Application) -> None:
    place = Place(application)
    with strangers(place.port) as outside:
        outside.many(3, b"GET / HTTP/1.1\r\n")
        application.gate.clear()
        last = outside.one(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        poll(lambda: len(place.server.house) == 4, what="four connections")
        place._stop.set()
        application.gate.set()
        assert status(said(last)) == 200
    place.close()


def test_wsgi_read_of_a_stopped_file_is_an_error() -> None:
    loop = asyncio.new_event_loop()
    feed = wsgi.Feed(loop)
    feed.add(b"abc")
    assert feed.read(2) == b"ab"
    feed.stop()
    assert feed.add(b"more") is None
    with pytest.raises(wsgi.BrokenBodyError):
        feed.read()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
