"""Real deadlocks, made on purpose: sessions in a ring, each holding what the one before it wants."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg

KINDS = ("row", "table", "advisory", "mixed")


@dataclass
class Ring:
    """What really happened: the truth a capture is compared with. Moments are time.time() of the client."""

    pids: tuple[int, ...]
    kind: str
    delay: float
    victim: int | None = None
    failed_at: float | None = None
    others_failed: list[str] = field(default_factory=list)


class Arena:
    """Sessions and objects of their own for one ring after the other. At most five sessions take part."""

    def __init__(self, dsn: str, number: int, size: int = 5) -> None:
        self.dsn = dsn
        self.number = number
        self.connections: list[psycopg.Connection[Any]] = []
        for _ in range(size):
            self.connections.append(psycopg.connect(dsn, application_name=f"ring-{number}", autocommit=True))
        with psycopg.connect(dsn, autocommit=True) as setup:
            for i in range(size):
                setup.execute(f"DROP TABLE IF EXISTS ring_{number}_{i}")
                setup.execute(f"CREATE TABLE ring_{number}_{i} (id int PRIMARY KEY, n int NOT NULL)")
                setup.execute(f"INSERT INTO ring_{number}_{i} SELECT g, 0 FROM generate_series(1, 20) g")

    def take(self, kind: str, resource: int) -> str:
        """The statement that takes a resource exclusively."""
        if kind == "row":
            return f"UPDATE ring_{self.number}_{resource} SET n = n + 1 WHERE id = {resource + 1}"
        if kind == "table":
            return f"LOCK TABLE ring_{self.number}_{resource} IN EXCLUSIVE MODE"
        return f"SELECT pg_advisory_xact_lock({self.number}, {resource})"

    def deadlock(self, members: int, kind: str, delay: float, chance: random.Random) -> Ring:
        """Make one: the first wait begins, `delay` seconds later the closing one; returns when it is over."""
        order = chance.sample(range(len(self.connections)), members)
        people = [self.connections[i] for i in order]
        kinds = [chance.choice(KINDS[:3]) if kind == "mixed" else kind for _ in people]
        ring = Ring(tuple(c.info.backend_pid for c in people), kind, delay)
        for i, one in enumerate(people):
            one.execute("BEGIN")
            one.execute(self.take(kinds[i], i))
        starts = [0.0, *sorted(chance.uniform(0, delay) for _ in range(members - 2)), delay]
        lock = threading.Lock()
        zero = time.monotonic()

        def want(i: int) -> None:
            target = (i + 1) % members
            time.sleep(max(0.0, starts[i] - (time.monotonic() - zero)))
            try:
                people[i].execute(self.take(kinds[target], target))
            except psycopg.errors.DeadlockDetected:
                with lock:
                    ring.victim, ring.failed_at = people[i].info.backend_pid, time.time()
            except psycopg.Error as error:
                with lock:
                    ring.others_failed.append(str(error))
            people[i].execute("ROLLBACK")

        self._together(want, members)
        return ring

    def resolved_otherwise(self, delay: float) -> Ring:
        """A ring that a lock_timeout ends before PostgreSQL finds it: not a deadlock."""
        people = self.connections[:2]
        ring = Ring(tuple(c.info.backend_pid for c in people), "row", delay)
        for i, one in enumerate(people):
            one.execute("BEGIN")
            one.execute(f"SET LOCAL lock_timeout = '{int(delay * 1000) + 1}ms'" if i else "SELECT 1")
            one.execute(self.take("row", i))

        def want(i: int) -> None:
            try:
                people[i].execute(self.take("row", 1 - i))
            except psycopg.errors.DeadlockDetected:
                ring.victim = people[i].info.backend_pid
            except psycopg.errors.LockNotAvailable:
                ring.others_failed.append("lock timeout")
            people[i].execute("ROLLBACK")

        self._together(want, 2)
        return ring

    @staticmethod
    def _together(work: Any, members: int) -> None:
        threads = [threading.Thread(target=work, args=(i,)) for i in range(members)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def close(self) -> None:
        """End the sessions."""
        for one in self.connections:
            one.close()


def convoys(dsn: str, wanted: int, seed: int, groups: int = 4) -> int:
    """Make so many waits in chains, row queues and convoys behind queued DDL, none of them in a ring.

    One hold in five outlasts ``deadlock_timeout``, so that PostgreSQL's own check runs and finds nothing.
    Returns how many waits there were.
    """
    waits = 0
    lock = threading.Lock()

    def work(number: int) -> None:
        nonlocal waits
        chance = random.Random(seed * 100 + number)
        arena = Arena(dsn, 90 + number, 8)
        while True:
            size = chance.randint(3, 8)
            with lock:
                if waits >= wanted:
                    break
                waits += size - 1
            people = arena.connections[:size]
            hold = chance.uniform(1.1, 1.4) if chance.random() < 0.2 else chance.uniform(0.05, 0.5)
            chance.choice((_chain, _queue, _convoy))(arena, people, hold)
        arena.close()

    threads = [threading.Thread(target=work, args=(i,)) for i in range(groups)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return waits


def _chain(arena: Arena, people: Sequence[psycopg.Connection[Any]], hold: float) -> None:
    """Each holds one lock and wants the one of the session before it."""
    for i, one in enumerate(people):
        one.execute("BEGIN")
        one.execute(f"SELECT pg_advisory_xact_lock({arena.number}, {i})")

    def want(i: int) -> None:
        if i == 0:
            time.sleep(hold)
        else:
            people[i].execute(f"SELECT pg_advisory_xact_lock({arena.number}, {i - 1})")
        people[i].execute("COMMIT")

    Arena._together(want, len(people))


def _queue(arena: Arena, people: Sequence[psycopg.Connection[Any]], hold: float) -> None:
    """All want the row that the first one holds, each holding a row of its own."""
    for i, one in enumerate(people):
        one.execute("BEGIN")
        if i:
            one.execute(f"UPDATE ring_{arena.number}_1 SET n = n + 1 WHERE id = {i}")
    people[0].execute(arena.take("row", 0))

    def want(i: int) -> None:
        if i == 0:
            time.sleep(hold)
        else:
            people[i].execute(arena.take("row", 0))
        people[i].execute("COMMIT")

    Arena._together(want, len(people))


def _convoy(arena: Arena, people: Sequence[psycopg.Connection[Any]], hold: float) -> None:
    """Readers queue behind a strong lock that waits for a reader: soft blocks."""
    for one in people:
        one.execute("BEGIN")
    table = f"ring_{arena.number}_2"
    people[0].execute(f"SELECT count(*) FROM {table}")

    def want(i: int) -> None:
        if i == 0:
            time.sleep(hold)
        elif i == 1:
            people[i].execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        else:
            time.sleep(0.02)
            people[i].execute(f"SELECT count(*) FROM {table}")
        people[i].execute("COMMIT")

    Arena._together(want, len(people))
