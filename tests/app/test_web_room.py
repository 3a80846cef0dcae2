"""Room in a process of the web server: nobody loses a place unheard, and who finds none waits for one."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import socket
import threading
from collections.abc import Iterable, Iterator
from typing import Any, cast

import pytest
from tornado.iostream import IOStream

from onevault.server import limits
from onevault.server.visitors import Doing, House
from tests.app.test_web_connections import Application, Environ, Place
from tests.support.poll import poll
from tests.support.webserver import HOST, Strangers, head, said, status, strangers

WHOLE = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
PLACES = limits.LEAST_CONNECTIONS


@pytest.fixture
def application() -> Application:
    return Application()


@pytest.fixture
def small(application: Application) -> Iterator[Place]:
    """A process with the fewest places and two threads."""
    made = Place(application, processes=1000)
    yield made
    made.close()


@pytest.fixture
def outside(small: Place) -> Iterator[Strangers]:
    with strangers(small.port) as made:
        yield made


@contextlib.contextmanager
def busy(place: Place) -> Iterator[None]:
    """Meanwhile the process does something else: whoever comes is in its socket's queue."""
    reached, over = threading.Event(), threading.Event()

    def hold() -> None:
        reached.set()
        over.wait(60)

    place.loop.call_soon_threadsafe(hold)
    assert reached.wait(60)
    try:
        yield
    finally:
        over.set()


def test_whoever_has_his_answer_and_sends_on_keeps_nobody_out(
    small: Place, outside: Strangers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is sent after the answer is read and dropped for a while: that is no reason to keep a place."""
    monkeypatch.setattr(limits, "LINGER_SECONDS", 60.0)
    for _ in range(PLACES):
        sender = outside.one(head("/deaf", Content_Length=10**6, Cookie="sessionid=made-up"), b"x")
        assert b"200 OK" in sender.recv(12345)
    assert small.ask()[:2] == (200, b"heard")


def test_whoever_hears_of_a_fault_and_sends_on_keeps_nobody_out(
    small: Place, application: Application, outside: Strangers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "LINGER_SECONDS", 60.0)

    class Broken(Application):
        def __call__(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
            raise ValueError("broken")

    small.server.application = Broken()
    for _ in range(PLACES):
        sender = outside.one(head("/deaf", Content_Length=10**6, Cookie="sessionid=made-up"), b"x")
        assert b" 500 " in sender.recv(12345)
    small.server.application = application
    assert small.ask()[:2] == (200, b"heard")


@pytest.mark.parametrize("taken", [0, PLACES - 1], ids=["an empty process", "a process with one place left"])
def test_a_whole_request_among_a_hundred_that_came_at_once_is_answered(
    small: Place, application: Application, outside: Strangers, taken: int
) -> None:
    application.gate.clear()
    outside.many(taken, head(Content_Length=1), b"x")
    poll(lambda: [one.doing for one in small.server.house.present()] == [Doing.SERVED] * taken, what="them")
    with busy(small):
        outside.many(2 * PLACES, b"")
        asking = outside.one(WHOLE)
        outside.many(3 * PLACES, b"")
    application.gate.set()
    assert status(said(asking)) == 200


def is_full(place: Place, outside: Strangers) -> None:
    """Take all places with requests that the application holds back."""
    outside.many(PLACES, head(Content_Length=1), b"x")
    poll(lambda: [one.doing for one in place.server.house.present()] == [Doing.SERVED] * PLACES, what="them")


def has_to_wait(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    """Wait until the log says that somebody does."""

    def said_so() -> bool:
        place.server.tell()
        return "New connections had to wait" in caplog.text

    poll(said_so, what="the line of the log")


def test_who_finds_no_room_waits_for_it(
    small: Place, application: Application, outside: Strangers, caplog: pytest.LogCaptureFixture
) -> None:
    application.gate.clear()
    is_full(small, outside)
    asking = [outside.one(WHOLE) for _ in range(3)]
    has_to_wait(small, caplog)
    application.gate.set()
    assert [status(said(one)) for one in asking] == [200, 200, 200]


def test_what_a_full_process_has_no_room_for_is_left_to_the_next(
    small: Place, application: Application, outside: Strangers, caplog: pytest.LogCaptureFixture
) -> None:
    application.gate.clear()
    is_full(small, outside)
    asking = outside.one(WHOLE)
    has_to_wait(small, caplog)
    second = Place(Application(), listening=small.listening.dup(), processes=1000)
    try:
        assert status(said(asking)) == 200
    finally:
        second.close()
    assert len(second.application.asked) == 1


def test_a_process_without_a_free_file_waits_too(
    application: Application, caplog: pytest.LogCaptureFixture
) -> None:
    class Exhausted(socket.socket):
        times = 3

        def accept(self) -> tuple[socket.socket, Any]:
            if self.times:
                self.times -= 1
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            return super().accept()

    listening = Exhausted()
    listening.bind((HOST, 0))
    listening.listen()
    place = Place(application, listening)
    try:
        assert place.ask()[:2] == (200, b"heard")
        place.server.tell()
        lines = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
        assert lines == ["New connections had to wait, for about 0.2 seconds in all: Too many open files."]
    finally:
        place.close()


class Stream:
    """A connection that the house can close."""

    gone = False

    def closed(self) -> bool:
        return self.gone

    def close(self) -> None:
        self.gone = True


def test_nobody_goes_before_he_was_heard() -> None:
    now = [0.0]
    house = House(2, 100, clock=lambda: now[0])
    first, second = (house.enter(cast(IOStream, Stream()), HOST, number) for number in range(2))
    assert not house.has_room()
    with pytest.raises(RuntimeError, match="no room"):
        house.enter(cast(IOStream, Stream()), HOST, 3)
    second.heard = True
    assert house.has_room() and not second.stream.closed(), "to ask sends nobody away"
    third = house.enter(cast(IOStream, Stream()), HOST, 4)
    assert second.stream.closed() and not first.stream.closed()
    assert house.present() == [first, third]
