"""A page's connection to a server that says nothing: the wait ends, the next ones fail at once, and all is
right again when somebody answers; a long statement of a server that lives is left alone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from lockmon import session
from onevault.postgresql import guard
from tests.support import outage
from tests.support.poll import poll
from tests.support.pooler import pooler
from tests.support.servers import Server, throwaway


@pytest.fixture(autouse=True)
def on() -> Iterator[None]:
    guard.switch_on()
    yield
    guard.switch_off()


@pytest.fixture(scope="module")
def own() -> Iterator[Server]:
    """A server that may be frozen: the one of all tests may not."""
    with throwaway() as running:
        yield running


def place(server: Server) -> dict[str, Any]:
    return {
        "host": str(server.socket_directory),
        "port": server.port,
        "user": "postgres",
        "dbname": "postgres",
        "connect_timeout": 600,
        "autocommit": True,
    }


class Asked(threading.Thread):
    """Something that may wait, in a thread of its own."""

    def __init__(self, work: Callable[[], Any]) -> None:
        super().__init__(daemon=True)
        self.work = work
        self.found: Any = None
        self.error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self.found = self.work()
        except BaseException as error:
            self.error = error

    def ended(self) -> BaseException | bool:
        """What it raised, or True; False while it runs."""
        return not self.is_alive() and (self.error or True)


def test_a_statement_does_not_outlast_a_frozen_server(own: Server) -> None:
    connection = guard.Connection.connect(**place(own))
    with outage.frozen(own):
        waiting = Asked(lambda: connection.execute("SELECT 1"))
        poll(waiting.ended, 2, "the end of the wait")
        assert isinstance(waiting.error, guard.SilentServerError)
        assert connection.closed
        assert guard.silent_since(guard.place_of(place(own)))
        # nobody waits for it any more
        with pytest.raises(guard.SilentServerError):
            guard.Connection.connect(**place(own))

    def back() -> bool:
        try:
            with guard.Connection.connect(**place(own)) as again:
                return bool(again.execute("SELECT 1").fetchone() == (1,))
        except psycopg.OperationalError:
            return False

    poll(back, 5, "the server, answering again")
    assert guard.silent_since(guard.place_of(place(own))) is None


def test_connecting_does_not_outlast_a_frozen_server(own: Server) -> None:
    with outage.frozen(own):
        waiting = Asked(lambda: guard.Connection.connect(**place(own)))
        poll(waiting.ended, 2, "the end of the wait")
        assert isinstance(waiting.error, guard.SilentServerError)
    poll(lambda: guard.silent_since(guard.place_of(place(own))) is None, 5, "an answer")
    # the thread that was given up has been let in by now; it has closed what it got
    poll(lambda: "connecting" not in [one.name for one in threading.enumerate()], 10, "its end")
    with psycopg.connect(own.dsn()) as looking:
        assert looking.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
        ).fetchone() == (1,)


def test_a_line_that_delays_is_silent_until_it_does_not(server: Server) -> None:
    with outage.line_to(server) as line:
        where = place(server) | {"host": outage.HOST, "port": line.port}
        connection = guard.Connection.connect(**where)
        assert connection.execute("SELECT 1").fetchone() == (1,)
        line.delay = 30
        waiting = Asked(lambda: connection.execute("SELECT 2"))
        poll(waiting.ended, 2, "the end of the wait")
        assert isinstance(waiting.error, guard.SilentServerError)
        line.delay = 0
        poll(lambda: guard.silent_since(guard.place_of(where)) is None, 5, "an answer")
        guard.Connection.connect(**where).close()


def test_a_long_statement_of_a_living_server_goes_on(server: Server) -> None:
    with guard.Connection.connect(**place(server)) as connection:
        found = connection.execute("SELECT 7 FROM pg_sleep(%s)", [guard.PATIENCE + guard.HEARING + 0.5])
        assert found.fetchone() == (7,)


def test_a_question_costs_no_place_and_no_line_of_the_log(server: Server) -> None:
    where = (str(server.socket_directory), str(server.port))
    before = {path: path.read_bytes() for path in server.log_directory.glob("*.log")}
    with guard.Question(where, 60) as question:
        assert poll(lambda: question.answer(), 5, "an answer") is True
    with guard.Question((where[0], "1"), 60) as question:
        assert question.answer() is True, "a refusal is an answer"
    after = {path: path.read_bytes().removeprefix(before[path]) for path in before}
    assert not any(b"packet" in text or b"SSL" in text for text in after.values())


def test_switched_off_a_wait_is_psycopg_s_own(server: Server) -> None:
    guard.switch_off()
    with guard.Connection.connect(**place(server)) as connection:
        assert connection.place is None
        assert connection.execute("SELECT 1").fetchone() == (1,)


def told(server: Server, **more: Any) -> psycopg.Connection[Any]:
    """A connection as pages and the door have it: it is known whose session it is."""
    where = place(server) | more
    opened, pid = session.connect(
        lambda options: guard.Connection.connect(**where), session.place(where), session.Session.of()
    )
    guard.learn(opened, pid)
    return opened


def test_what_is_known_to_be_the_server_is_asked_without_a_login(server: Server) -> None:
    with told(server):
        asked = guard._question(guard.place_of(place(server)))
    assert type(asked) is guard.Question
    asked.close()


@pytest.mark.parametrize("known", [True, False])
def test_a_statement_does_not_outlast_a_frozen_server_behind_a_pooler(own: Server, known: bool) -> None:
    """The pooler lives and speaks PostgreSQL; before it is known to be one, it is asked the same."""
    with pooler(own.socket_directory, own.port) as port:
        way: dict[str, Any] = {"host": outage.HOST, "port": port}
        connection = told(own, **way) if known else guard.Connection.connect(**place(own) | way)
        with outage.frozen(own):
            waiting = Asked(lambda: connection.execute("SELECT 1"))
            poll(waiting.ended, 2, "the end of the wait")
            assert isinstance(waiting.error, guard.SilentServerError)
            with pytest.raises(guard.SilentServerError):
                guard.Connection.connect(**place(own) | way)
        poll(lambda: guard.silent_since(guard.place_of(place(own) | way)) is None, 5, "an answer")
        with told(own, **way) as again:
            assert again.execute("SELECT 1").fetchone() == (1,)


def test_a_long_statement_goes_on_behind_a_pooler(server: Server) -> None:
    with pooler(server.socket_directory, server.port) as port:
        with told(server, host=outage.HOST, port=port) as connection:
            found = connection.execute("SELECT 7 FROM pg_sleep(%s)", [guard.PATIENCE + guard.HEARING + 0.5])
        assert found.fetchone() == (7,)


def test_a_refused_login_is_an_answer(server: Server) -> None:
    way = f"host={server.socket_directory} port={server.port} user=nobody_of_this_name dbname=postgres"
    with guard.Login(way.encode(), 60) as question:
        assert poll(lambda: question.answer(), 5, "an answer") is True
