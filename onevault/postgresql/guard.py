"""Nobody waits for a PostgreSQL that says nothing at all: a page has two seconds, and TCP has hours.

A server whose processes are frozen, or that is behind a line that is cut, takes connections and statements
and never answers; no timeout of its own fires then, and libpq's for connecting is two seconds at the least.
So where this is switched on (the web process), whoever has waited for PATIENCE asks, by a connection of its
own, whether anybody speaks PostgreSQL at that address (PostgreSQL's SSLRequest: eight bytes, one byte back,
no login, no place among max_connections, no line in the log). If somebody does, the statement may go on: long
questions to history are right, and have their own limit. If nobody does within HEARING, the wait ends with an
OperationalError, and all that follow fail at once, until the one thread that goes on asking is answered.

A pooler speaks PostgreSQL whatever the server behind it does. So where it is not known that the server itself
answers (`learn`), the question is a login and SELECT 1, for which the pooler needs one session more.

Switched off (the loop, the queue, commands) a wait is as psycopg has it.
"""

from __future__ import annotations

import errno
import ipaddress
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import psycopg
from psycopg import pq
from psycopg.conninfo import make_conninfo

T = TypeVar("T")
Row = TypeVar("Row")

PATIENCE = 0.5
"""Seconds without a word before the server is asked whether it is there."""
HEARING = 0.8
"""Seconds that it has to say so: with PATIENCE what a page can lose before it can say what is wrong."""
STEPS = 0.05
"""Seconds for which a wait looks after the question instead of the statement, ten times a second."""
AGAIN = 2.0
"""Seconds between two questions while somebody waits, or while the server is silent."""
FORGOTTEN = 60.0
"""Seconds after which a silent server that no page wants any more is not asked any more."""

_SSL_REQUEST = struct.pack("!ii", 8, 80_877_103)
_LATER = (errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EAGAIN, errno.EALREADY)

Address = tuple[str, str]
"""Host (an address, a name, or a socket's folder) and port."""
Place = tuple[str, str, str]
"""The same as a connection's parameters have them, and the database: a pooler has another server for each."""

_lock = threading.Lock()
_on = False
# where a place's last connection led to: it can be asked there without asking for the name's address first
_addresses: dict[Place, Address] = {}
# how to log in where the server itself may not be what answers
_ways: dict[Place, bytes] = {}
_direct: set[Place] = set()
_silent: dict[Place, _Silence] = {}


class SilentServerError(psycopg.OperationalError):
    """Nobody answers at the server's address, although something takes the connection."""


@dataclass
class _Silence:
    """since: seconds since 1970. wanted: when a page last asked for this server, by the monotonic clock."""

    since: float
    wanted: float = field(default_factory=time.monotonic)


def switch_on() -> None:
    """From now on no wait of this process outlasts a server that is silent."""
    global _on
    _on = True


def switch_off() -> None:
    """Wait as psycopg does."""
    global _on
    _on = False


class Question:
    """One question to an address, never blocking: does anybody speak PostgreSQL there?"""

    def __init__(self, address: Address, hearing: float = HEARING) -> None:
        """Ask an address or a socket's folder; `hearing`: for how many seconds an answer is waited for."""
        self._until = time.monotonic() + hearing
        self._asked = False
        host, port = address
        target: Any
        family, target = socket.AF_INET6 if ":" in host else socket.AF_INET, (host, int(port))
        if host.startswith(("/", "@")):
            named = f"{host}/.s.PGSQL.{port}"
            family, target = socket.AF_UNIX, f"\0{named[1:]}" if host.startswith("@") else named
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        self._socket.setblocking(False)
        # a refusal is an answer: what waits will be told the same
        self._heard = self._socket.connect_ex(target) not in (0, *_LATER)

    def answer(self) -> bool | None:
        """True: somebody is there, if only to refuse. False: nobody has answered in time. None: not yet."""
        if not self._heard:
            try:
                self._step(self._socket)
            except OSError as error:
                self._heard = error.errno not in (*_LATER, errno.ENOTCONN)
        if self._heard:
            return True
        return False if time.monotonic() >= self._until else None

    def _step(self, asking: socket.socket) -> None:
        readable, writable, _ = select.select([asking], [] if self._asked else [asking], [], 0)
        if writable:
            asking.send(_SSL_REQUEST)
            self._asked = True
        if readable:
            asking.recv(1)
            self._heard = True

    def close(self) -> None:
        """End the connection."""
        self._socket.close()

    def __enter__(self) -> Question:
        """Itself, closed at the end."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()


class Login(Question):
    """The same of a server behind a pooler: can anybody log in there, and is a statement answered?"""

    def __init__(self, way: bytes, hearing: float = HEARING) -> None:
        """Ask by a connection string, in which the host is an address or a socket's folder."""
        self._until = time.monotonic() + hearing
        self._connection = pq.PGconn.connect_start(way)
        self._wanted = pq.PollingStatus.WRITING
        # a refusal is an answer, here too
        self._heard = self._connection.status == pq.ConnStatus.BAD

    def answer(self) -> bool | None:
        """True: a statement was answered, or refused. False: nobody has answered in time. None: not yet.

        A login is many short steps: so it waits for each of them, for STEPS seconds at most.
        """
        until = time.monotonic() + STEPS
        try:
            while not self._heard and self._ready(until - time.monotonic()):
                self._advance()
        except (psycopg.Error, OSError):
            self._heard = True  # whatever ends it is an answer
        if self._heard:
            return True
        return False if time.monotonic() >= self._until else None

    def _ready(self, seconds: float) -> bool:
        """Whether the next step can be taken now, or within so many seconds."""
        if seconds <= 0:
            return False
        number = self._connection.socket
        writes = self._wanted == pq.PollingStatus.WRITING
        readable, writable, _ = select.select(
            [] if writes else [number], [number] if writes else [], [], seconds
        )
        return bool(readable or writable)

    def _advance(self) -> None:
        connection = self._connection
        if self._wanted == pq.PollingStatus.OK:
            connection.consume_input()
            self._heard = not connection.is_busy()
            return
        self._wanted = pq.PollingStatus(connection.connect_poll())
        self._heard = self._wanted == pq.PollingStatus.FAILED
        if self._wanted == pq.PollingStatus.OK:
            connection.send_query(b"SELECT 1")

    def close(self) -> None:
        """End the connection."""
        self._connection.finish()


def place_of(parameters: Mapping[str, Any]) -> Place:
    """What tells one server from another among the parameters of connections."""
    host = parameters.get("hostaddr") or parameters.get("host")
    return (str(host or ""), str(parameters.get("port") or ""), str(parameters.get("dbname") or ""))


def learn(connection: psycopg.Connection[Any], pid: int) -> None:
    """Remember whether the server itself answers there. pid: by which the server knows this session."""
    place = getattr(connection, "place", None)
    if place is None:
        return
    if pid == connection.info.backend_pid:
        _direct.add(place)
        _ways.pop(place, None)
    else:
        _direct.discard(place)
        _ways[place] = _way(connection)


def _way(connection: psycopg.Connection[Any]) -> bytes:
    """The connection string of this very connection, without asking for a name's address again."""
    known = {one.keyword.decode(): one.val.decode() for one in connection.pgconn.info if one.val is not None}
    info = connection.info
    known |= {"host": info.host, "port": str(info.port)}
    if info.hostaddr and not info.host.startswith(("/", "@")):
        known["hostaddr"] = info.hostaddr
    return make_conninfo("", **known).encode()


def _question(place: Place, hearing: float = HEARING) -> Question | None:
    """The question that tells whether a server is there; None where there is no address to ask."""
    if (way := _ways.get(place)) is not None:
        return Login(way, hearing)
    address = _address(place)
    return None if address is None else Question(address, hearing)


def _address(place: Place) -> Address | None:
    """Where a question can be asked; None where only connecting would tell (a name, several hosts)."""
    host, port, _database = place
    if not host.startswith(("/", "@")):
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return _addresses.get(place)
    return (host, port or "5432") if "," not in host + port else _addresses.get(place)


def silent_since(place: Place) -> float | None:
    """Since when a server is known to be silent, in seconds since 1970; None where it is not known to be."""
    if not _silent:
        return None
    with _lock:
        found = _silent.get(place)
        if found is not None:
            found.wanted = time.monotonic()
        return None if found is None else found.since


def _refuse_if_silent(place: Place) -> None:
    if silent_since(place) is not None:
        raise SilentServerError("the server does not answer: it takes connections and says nothing")


def _is_silent(place: Place) -> SilentServerError:
    """Note that nobody answers there, and have it asked until somebody does; the error to raise."""
    with _lock:
        if place not in _silent:
            _silent[place] = _Silence(time.time())
            threading.Thread(target=_ask_on, args=(place,), name="silent-server", daemon=True).start()
    return SilentServerError("the server does not answer: it takes connections and says nothing")


def _ask_on(place: Place) -> None:
    """Ask until there is an answer, or nobody wants one: then the next page finds out."""
    while True:
        answered = _answers(place)
        with _lock:
            if answered or time.monotonic() - _silent[place].wanted > FORGOTTEN:
                del _silent[place]
                return


def _answers(place: Place) -> bool:
    """Whether somebody answers within AGAIN; True after it where there is nowhere to ask: a page will see."""
    asking = _question(place, AGAIN)
    if asking is None:
        time.sleep(AGAIN)
        return True
    with asking as question:
        while (answer := question.answer()) is None:
            time.sleep(0.1)
    return answer


def _watched(steps: Generator[Any, Any, T], place: Place, begun: float) -> Generator[Any, Any, T]:
    """The steps of a wait, as psycopg makes them; SilentServerError where the server says nothing."""
    question: Question | None = None
    ask_at = begun + PATIENCE
    try:
        wanted = next(steps)
        while True:
            ready = yield wanted
            if not ready:  # psycopg looks up every tenth of a second
                now = time.monotonic()
                if question is None and now >= ask_at:
                    question = _question(place)
                if question is not None and (answer := question.answer()) is not None:
                    question.close()
                    question, ask_at = None, now + AGAIN
                    if not answer:
                        raise _is_silent(place)
            wanted = steps.send(ready)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    finally:
        if question is not None:
            question.close()


class Connection(psycopg.Connection[Row]):
    """A connection of psycopg on which nobody waits for a server that is silent, where that is on."""

    place: Place | None = None

    @classmethod
    def connect(cls, conninfo: str = "", **keywords: Any) -> Any:
        """Connect as psycopg does. Raises SilentServerError after PATIENCE and HEARING, or at once."""
        if not _on:
            return super().connect(conninfo, **keywords)
        place = place_of(keywords)
        _refuse_if_silent(place)
        opened = _connecting(lambda: super(Connection, cls).connect(conninfo, **keywords), place)
        opened.place = place
        info = opened.info
        _addresses[place] = (info.hostaddr or info.host, str(info.port))
        if place not in _direct:
            _ways[place] = _way(opened)
        return opened

    def wait(self, gen: Any, *how: Any, **more: Any) -> Any:
        """Wait for an answer as psycopg does, but not longer than there is somebody who may give it."""
        if not _on or self.place is None:
            return super().wait(gen, *how, **more)
        try:
            _refuse_if_silent(self.place)
            return super().wait(_watched(gen, self.place, time.monotonic()), *how, **more)
        except SilentServerError:
            # what was sent may be answered some day: nobody may take that for the answer to the next one
            self.close()
            raise


def _connecting(connect: Callable[[], Any], place: Place) -> Any:
    """Connect in a thread: psycopg has no deadline below two seconds. Given up, it closes what comes late."""
    done = threading.Event()
    state = threading.Lock()
    found: list[Any] = []
    failed: list[BaseException] = []
    given_up = False

    def run() -> None:
        try:
            opened = connect()
        except BaseException as error:
            failed.append(error)
        else:
            with state:
                if given_up:
                    opened.close()
                else:
                    found.append(opened)
        done.set()

    threading.Thread(target=run, name="connecting", daemon=True).start()
    if not done.wait(PATIENCE) and not _answers_while(done, place):
        with state:
            given_up = not found
        if given_up and not failed:
            raise _is_silent(place)
    done.wait()
    if failed:
        raise failed[0]
    return found[0]


def _answers_while(done: threading.Event, place: Place) -> bool:
    """Whether somebody is there, or the connecting has ended one way or the other."""
    address = _address(place)
    if address is None or place in _ways:
        return done.wait(HEARING)
    with Question(address) as question:
        while (answer := question.answer()) is None:
            if done.wait(0.05):
                return True
    return answer
