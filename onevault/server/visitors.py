"""Who is connected to one process, what each does, and who has to go when there is no room."""

from __future__ import annotations

import enum
import time
from collections import Counter
from collections.abc import Callable

from tornado.iostream import IOStream

from onevault.server import limits


class Doing(enum.Enum):
    """What a connection is at."""

    SENDING_HEAD = "sending a head, or nothing"
    SENDING_BODY = "sending a body"
    SERVED = "waiting for its answer"
    READING = "reading its answer"


class Visitor:
    """One connection. `since`: when it began what it does (monotonic seconds); `kept`: bytes of its body;
    `read`: seconds for which it has read answers before the one that it reads now; `heard`: what it had
    sent when it was accepted has been read."""

    def __init__(self, stream: IOStream, address: str, port: int, now: float) -> None:
        self.stream, self.address, self.port = stream, address, port
        self.doing, self.since = Doing.SENDING_HEAD, now
        self.kept = 0
        self.read = 0.0
        self.heard = False


class House:
    """All connections of a process, and the bytes of their bodies.

    There is nearly always room for one more: whoever has been sending longest without an end goes first, then
    whoever has been reading an answer for too long. A request that arrives at once is never the oldest, so
    that a thousand slow ones do not keep it out; nor does anybody go before what he had sent has been read.
    Used by the event loop's thread alone.
    """

    def __init__(
        self, most_connections: int, most_bytes: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.most_connections, self.most_bytes, self.clock = most_connections, most_bytes, clock
        self.kept = 0
        self.turned_away: Counter[str] = Counter()
        self._visitors: dict[Visitor, None] = {}

    def __len__(self) -> int:
        """How many connections are open."""
        self._forget_the_gone()
        return len(self._visitors)

    def has_room(self) -> bool:
        """Whether a new connection can come in now; not while everybody waits for an answer, or reads one."""
        self._forget_the_gone()
        return len(self._visitors) < self.most_connections or self._dispensable() is not None

    def enter(self, stream: IOStream, address: str, port: int) -> Visitor:
        """Let a new connection in, where there is room (`has_room`); RuntimeError where there is none."""
        self._forget_the_gone()
        if len(self._visitors) >= self.most_connections:
            leaving = self._dispensable()
            if leaving is None:
                raise RuntimeError("no room: ask has_room() before a connection is accepted")
            self._send_away(leaving)
        visitor = Visitor(stream, address, port, self.clock())
        self._visitors[visitor] = None
        return visitor

    def turn(self, visitor: Visitor, doing: Doing) -> None:
        """A connection begins something else; the next piece of the same is no beginning."""
        if visitor.doing is not doing:
            visitor.read = self._reading(visitor)
            visitor.doing, visitor.since = doing, self.clock()

    def _reading(self, visitor: Visitor) -> float:
        """For how many seconds a connection has read answers, the present one included."""
        now = self.clock() - visitor.since if visitor.doing is Doing.READING else 0.0
        return visitor.read + now

    def keep(self, visitor: Visitor, number: int) -> bool:
        """Count bytes of a body before they are kept; False where there is no room for them."""
        while self.kept + number > self.most_bytes:
            others = [
                one
                for one in self._visitors
                if one.kept and one is not visitor and one.doing is Doing.SENDING_BODY
            ]
            if not others:
                return False
            self._send_away(min(others, key=lambda one: one.since))
        visitor.kept += number
        self.kept += number
        return True

    def release(self, visitor: Visitor) -> None:
        """A connection's body is no longer kept."""
        self.kept -= visitor.kept
        visitor.kept = 0

    def present(self) -> list[Visitor]:
        """All of them, the first to come first."""
        self._forget_the_gone()
        return list(self._visitors)

    def _forget_the_gone(self) -> None:
        # Whose request has reached a thread's queue counts until it has been dealt with, gone or not.
        for visitor in [
            one for one in self._visitors if one.stream.closed() and one.doing is not Doing.SERVED
        ]:
            self.release(visitor)
            del self._visitors[visitor]

    def _dispensable(self) -> Visitor | None:
        """Who goes next, where there is no free place."""
        sending = (Doing.SENDING_HEAD, Doing.SENDING_BODY)
        if free := [one for one in self._visitors if one.doing in sending and one.heard]:
            return min(free, key=lambda one: one.since)
        # of all its answers together: one after the other, each read in time, would hold a place for ever
        slow = max(
            (one for one in self._visitors if one.doing is Doing.READING), key=self._reading, default=None
        )
        return slow if slow is not None and self._reading(slow) > limits.SLOW_READER_SECONDS else None

    def _send_away(self, visitor: Visitor) -> None:
        self.turned_away["made room for others"] += 1
        self._visitors.pop(visitor, None)
        self.release(visitor)
        visitor.stream.close()
