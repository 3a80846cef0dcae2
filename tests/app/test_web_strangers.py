"""The web server and requests that nobody's browser sends: none costs a place, a thread or a whole answer."""

from __future__ import annotations

import contextlib
import http.client
import logging
from collections.abc import Iterable, Iterator
from typing import Any, cast

import pytest
from tornado.iostream import IOStream

from onevault.server import limits, wsgi
from onevault.server.visitors import Doing, House
from tests.app.test_web_connections import Application, Environ, Place, Streaming
from tests.support.poll import poll
from tests.support.webserver import HOST, exchange, head, status, strangers

ODD = (
    "http://[", "http://[::1", "https://]/", "http://", "HTTP://h", "http://h?a=[", "http://h#[", "//",
    "*", "x:1", "?", "#", "http://[x]/a", "http://a:b:c@d:99999/", "[", "%", "%zz", "/%ff/../..", "/\xff",
)  # fmt: skip
"""What can stand in a request line in an address's place."""


@pytest.fixture
def application() -> Application:
    return Application()


@pytest.fixture
def small(application: Application) -> Iterator[Place]:
    """A process with the fewest places and one thread."""
    made = Place(application, threads=1, processes=1000)
    assert made.server.house.most_connections == limits.LEAST_CONNECTIONS
    yield made
    made.close()


@pytest.mark.parametrize("method", ["GET", "POST", "CONNECT", "OPTIONS", "x"])
def test_no_address_costs_a_place(
    small: Place, application: Application, method: str, caplog: pytest.LogCaptureFixture
) -> None:
    for target in ODD * 2:
        line = f"{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx"
        assert status(exchange(small.port, line.encode("latin-1"))) == 200, target
    poll(lambda: len(small.server.house) == 0, what="everybody's end")
    assert small.server.house.kept == 0
    assert small.ask()[:2] == (200, b"heard")
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("/a?b=http://c", "/a", "b=http://c"),
        ("http://h/a?b", "/a", "b"),
        ("https://h:1?b", "/", "b"),
        ("HTTP://h", "/", ""),
        ("http://[", "/", ""),
        ("ftp://h/a", "ftp://h/a", ""),
    ],
)
def test_path_and_query_of_an_address(
    small: Place, application: Application, target: str, path: str, query: str
) -> None:
    exchange(small.port, f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    assert [(one["PATH_INFO"], one["QUERY_STRING"]) for one in application.asked] == [(path, query)]


def test_whatever_fails_before_the_thread_is_a_500_and_costs_no_place(
    small: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*anything: Any) -> Environ:
        raise ValueError("no environment")

    with monkeypatch.context() as changed:
        changed.setattr(wsgi, "environment", fail)
        for _ in range(2 * limits.LEAST_CONNECTIONS):
            assert status(exchange(small.port, head(Content_Length=1, Connection="close"), b"x")) == 500
    poll(lambda: len(small.server.house) == 0, what="everybody's end")
    assert small.server.house.kept == 0
    assert small.ask()[:2] == (200, b"heard")


@pytest.mark.parametrize(
    ("length", "code"),
    [
        ("9" * 5000, 413),
        ("0" * 5000 + "5", 413),
        ("9" * 19, 413),
        ("-1", 400),
        ("+5", 400),
        ("5x", 400),
        ("5, 6", 400),
    ],
)
@pytest.mark.parametrize("path", ["/", "/import/"])
def test_a_length_of_any_kind_is_answered(
    small: Place,
    application: Application,
    path: str,
    length: str,
    code: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    text = exchange(small.port, head(path, Content_Length=length, Connection="close"), b"hello")
    assert status(text) == code
    assert application.asked == []
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_two_lengths_or_two_codings_are_one_request_or_none(small: Place, application: Application) -> None:
    """What a proxy may read otherwise than we do ends the connection: nothing is smuggled in behind it."""
    hidden = b"GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n"
    start = b"POST / HTTP/1.1\r\nHost: x\r\n"
    for headers in (
        b"Content-Length: 0\r\nContent-Length: 33\r\n",
        b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        b"Transfer-Encoding: identity\r\n",
        b"Transfer-Encoding:\x0bchunked\r\n",
        b"Transfer-Encoding: xchunked\r\nContent-Length: 0\r\n",
        b"Content-Length : 0\r\n",
        b"Content-Length: 0x0\r\n",
        b"Content-Length: 1_0\r\n",
        b" Content-Length: 0\r\n",
        b"X: a\r\n\tTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    ):
        text = exchange(small.port, start + headers + b"\r\n0\r\n\r\n" + hidden)
        assert status(text) in (400, 411), headers
        assert [one["PATH_INFO"] for one in application.asked] == [], headers


@pytest.mark.parametrize("cookie", ["sessionid=1", "sessionid=1; csrftoken=" + "a" * 32])
def test_a_small_body_to_the_page_that_takes_files_holds_no_thread(
    small: Place, application: Application, cookie: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "UPLOAD_PAUSE_SECONDS", 600.0)
    with strangers(small.port) as outside:
        outside.many(4, head("/import/", Content_Length=limits.BODY_BYTES, Cookie=cookie), b"x")
        outside.many(4, head("/import/", Content_Length=2, Cookie=cookie), b"x")
        assert small.ask()[:2] == (200, b"heard")
    body = b"x" * limits.BODY_BYTES
    assert small.ask("/import/", "POST", body=body, headers={"Cookie": cookie})[:2] == (200, b"heard")
    assert application.asked[-1]["body"] == body


class Stream:
    """A connection that the house can close."""

    def __init__(self) -> None:
        self.gone = False

    def closed(self) -> bool:
        return self.gone

    def close(self) -> None:
        self.gone = True


@pytest.mark.parametrize(
    "answers", [1, 4], ids=["one answer, a piece now and then", "one answer after the other"]
)
def test_whoever_reads_a_little_all_the_time_makes_room_too(answers: int) -> None:
    now = [0.0]
    house = House(2, 100, clock=lambda: now[0])
    readers = [house.enter(cast(IOStream, Stream()), HOST, number) for number in range(2)]
    for step in range(12):
        now[0] = step * 0.5
        for one in readers:
            assert one is not None
            if step % (12 // answers) == 0:
                house.turn(one, Doing.SERVED)
            house.turn(one, Doing.READING)
    newcomer = house.enter(cast(IOStream, Stream()), HOST, 3)
    assert len(house) == 2 and newcomer in house.present()
    assert readers[0] is not None and readers[0].stream.closed()
    assert readers[1] is not None and not readers[1].stream.closed()


def test_an_answer_that_breaks_off_does_not_look_whole(small: Place, application: Application) -> None:
    class Breaking(Application):
        def __call__(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
            start_response("200 OK", [("Content-Type", "text/csv")])
            return Broken([b"a,b\r\n" * 10_000])

    class Broken(Streaming):
        def __iter__(self) -> Iterator[bytes]:
            yield from super().__iter__()
            raise RuntimeError("the database went away")

    small.server.application = Breaking()
    with contextlib.closing(http.client.HTTPConnection(HOST, small.port, timeout=30)) as connection:
        connection.request("GET", "/")
        with pytest.raises((http.client.IncompleteRead, ConnectionError)):
            connection.getresponse().read()
    poll(lambda: len(small.server.house) == 0, what="the end of it")
    small.server.application = application
    assert small.ask()[:2] == (200, b"heard")


def test_requests_in_a_row_are_answered_in_order(small: Place, application: Application) -> None:
    application.answer = lambda environ: [environ["PATH_INFO"].encode()]
    asked = b"".join(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % number for number in range(40))
    text = exchange(small.port, asked + b"GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert text.count("HTTP/1.1 200 OK") == 41
    assert [one["PATH_INFO"] for one in application.asked] == [
        *(f"/{number}" for number in range(40)),
        "/last",
    ]


@pytest.mark.parametrize("keep", ["keep-alive", "close"])
@pytest.mark.parametrize("streaming", [False, True])
def test_an_old_client_learns_where_an_answer_ends(
    small: Place, application: Application, keep: str, streaming: bool
) -> None:
    """HTTP/1.0 knows no chunks: there is a length, or the connection ends at once."""
    application.answer = lambda environ: (
        Streaming([b"a" * 40_000, b"b"]) if streaming else [b"a" * 40_000, b"b"]
    )
    with strangers(small.port) as outside:
        connection = outside.one(f"GET / HTTP/1.0\r\nConnection: {keep}\r\n\r\n".encode(), timeout=5)
        with http.client.HTTPResponse(connection) as answer:
            answer.begin()
            assert answer.status == 200 and len(answer.read()) == 40_001
