"""Random scenes of real sessions that stand still while every place is asked, and what is true of them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

import psycopg
from psycopg import pq
from psycopg.pq.abc import PGconn

from tests.support.poll import poll
from tests.support.stored import Row, Stored

TURNS = 8
"""So many turns of a queue are played to their end."""
TABLES = """
CREATE TABLE account (id integer PRIMARY KEY, balance integer NOT NULL);
INSERT INTO account SELECT i, 0 FROM generate_series(1, 40) AS i;
CREATE TABLE ledger (id integer);
"""


@dataclass
class Member:
    """One session. app: a name of its own where it is a root, else that of the crowd."""

    link: PGconn
    app: str

    @property
    def pid(self) -> int:
        return self.link.backend_pid

    def run(self, statement: str) -> None:
        """Run a statement to its end."""
        result = self.link.exec_(statement.encode())
        if result.status not in (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK):
            raise RuntimeError(result.get_error_message())

    def start(self, statement: str) -> None:
        """Send a statement and leave it."""
        self.link.send_query(statement.encode())
        self.link.flush()

    def finish(self) -> None:
        """Read what became of the statement that it was left with."""
        while self.link.get_result() is not None:
            pass


@dataclass(frozen=True)
class Truth:
    """What PostgreSQL says of a moment. blockers: pg_blocking_pids() of everybody who waits, a prepared
    transaction as minus its xid; starts: when those waits began, on 14 and later."""

    at: datetime
    blockers: dict[int, frozenset[int]]
    starts: dict[int, datetime]

    @property
    def waiters(self) -> set[int]:
        return set(self.blockers)

    def ahead(self, pid: int) -> set[int]:
        """Everybody whom this one waits for, directly or through others."""
        found: set[int] = set()
        steps = list(self.blockers.get(pid, ()))
        while steps:
            step = steps.pop()
            if step not in found:
                found.add(step)
                steps.extend(self.blockers.get(step, ()))
        return found

    @property
    def behind(self) -> dict[int, set[int]]:
        """Who stands behind each blocker."""
        found: dict[int, set[int]] = {}
        for pid in self.blockers:
            for node in self.ahead(pid):
                found.setdefault(node, set()).add(pid)
        return found

    @property
    def roots(self) -> set[int]:
        return {node for node in self.behind if node not in self.blockers}


@dataclass
class Scene:
    """A crowd, what stands before it, and what was true at each look."""

    dsn: str
    stored: Stored
    chance: random.Random
    members: list[Member] = field(default_factory=list)
    truths: list[Truth] = field(default_factory=list)
    apps: dict[int, str] = field(default_factory=dict)
    queues: list[tuple[int, list[Member]]] = field(default_factory=list)
    prepared: int | None = None
    number: int = 0

    def open(self, app: str = "crowd") -> Member:
        """One more session."""
        link = pq.PGconn.connect(f"{self.dsn} application_name={app}".encode())
        if link.status != pq.ConnStatus.OK:
            raise RuntimeError(link.get_error_message())
        member = Member(link, app)
        member.run("SET deadlock_timeout = '10min'")
        self.members.append(member)
        self.apps[member.pid] = app
        return member

    def root(self, statement: str) -> Member:
        """A session that has run this in a transaction which it leaves open."""
        self.number += 1
        member = self.open(f"root{self.number}")
        member.run("BEGIN")
        member.run(statement)
        return member

    def wait(self, statement: str, first: str = "SELECT 1") -> Member:
        """A session that waits in a transaction of its own, in which it has run another statement first."""
        member = self.open()
        member.run("BEGIN")
        member.run(first)
        before = self.waiting()
        member.start(statement)
        poll(lambda: self.waiting() > before, 30, f"{member.pid} waits")
        return member

    def waiting(self) -> int:
        """Sessions that wait for a lock now."""
        return int(self.stored.value("SELECT count(*) FROM pg_locks WHERE NOT granted AND pid IS NOT NULL"))

    def build(self, waiters: int) -> None:
        """Make a scene of about so many waiters behind several roots, with looks in between."""
        shapes: list[Callable[[int], None]] = [
            self.queue,
            self.rows,
            self.two_holders,
            self.mixed,
            self.ddl,
            self.chain,
            self.prepare,
        ]
        self.chance.shuffle(shapes)
        left = waiters
        for shape in shapes[: self.chance.randint(3, len(shapes))]:
            size = max(1, min(left, self.chance.randint(1, max(1, waiters // 3))))
            shape(size)
            left -= size
            if self.chance.random() < 0.5:
                self.look()
            if left <= 0:
                return
        self.queue(left)

    def key(self) -> int:
        self.number += 1
        return self.number

    def queue(self, size: int) -> None:
        """One exclusive lock, and those who want it."""
        key = self.key()
        self.root(f"SELECT pg_advisory_xact_lock({key})")
        self.queues.append((key, self.crowd(size, f"SELECT pg_advisory_xact_lock({key})")))

    def crowd(self, size: int, statement: str) -> list[Member]:
        """So many who wait for one thing."""
        come: list[Member] = []
        before = self.waiting()
        for _ in range(size):
            member = self.open()
            member.run("BEGIN")
            member.start(statement)
            come.append(member)
        poll(lambda: self.waiting() >= before + size, 60, f"{size} wait")
        return come

    def rows(self, size: int) -> None:
        """One row, and those who update it."""
        row = self.chance.randint(1, 20)
        self.root(f"UPDATE account SET balance = 1 WHERE id = {row}")
        for _ in range(min(size, 12)):
            self.wait(f"UPDATE account SET balance = 2 WHERE id = {row}")
        self.crowd(max(0, size - 12), f"UPDATE account SET balance = 2 WHERE id = {row}")

    def two_holders(self, size: int) -> None:
        """A lock that two sessions share, and those who want it alone."""
        key = self.key()
        for _ in range(2):
            self.root(f"SELECT pg_advisory_xact_lock_shared({key})")
        self.crowd(size, f"SELECT pg_advisory_xact_lock({key})")

    def mixed(self, size: int) -> None:
        """A queue of readers and writers, in an order that is known."""
        key = self.key()
        self.root(f"SELECT pg_advisory_xact_lock_shared({key})")
        for place in range(min(size, 10)):
            how = "_shared" if place and self.chance.random() < 0.6 else ""
            self.wait(f"SELECT pg_advisory_xact_lock{how}({key}), pg_sleep(0)", "SELECT pg_sleep(0.03)")

    def ddl(self, size: int) -> None:
        """A change of a table that waits for a reader, and readers that wait for it."""
        self.root("SELECT count(*) FROM ledger")
        self.wait("ALTER TABLE ledger ADD COLUMN more integer", "SELECT pg_sleep(0.03)")
        for _ in range(min(size - 1, 8)):
            self.wait("SELECT count(*) FROM ledger", "SELECT pg_sleep(0.03)")

    def chain(self, size: int) -> None:
        """Each waits for the one before."""
        key = self.key()
        self.root(f"SELECT pg_advisory_xact_lock({key})")
        for _ in range(min(size, 6)):
            own = self.key()
            self.wait(f"SELECT pg_advisory_xact_lock({key})", f"SELECT pg_advisory_xact_lock({own})")
            key = own

    def prepare(self, size: int) -> None:
        """A prepared transaction, and those who wait for its row."""
        row = self.chance.randint(21, 40)
        member = self.open("prepares")
        member.run("BEGIN")
        member.run(f"UPDATE account SET balance = 1 WHERE id = {row}")
        member.run("PREPARE TRANSACTION 'left over'")
        self.prepared = -int(self.stored.value("SELECT transaction::text::bigint FROM pg_prepared_xacts"))
        self.crowd(size, f"UPDATE account SET balance = 2 WHERE id = {row}")

    def look(self) -> Truth:
        """Let the monitor look once, at a moment at which nothing moves, and note what is true of it."""
        self.stored.cycle()
        truth = self.truth()
        if self.truths and self.truths[-1].at == truth.at:
            # nothing had changed, so nothing was stored
            self.truths.pop()
        self.truths.append(truth)
        return truth

    def truth(self) -> Truth:
        """What PostgreSQL says now, as of the monitor's last look."""
        at = self.stored.value("SELECT greatest(stored_at, checked_at) FROM lock_engine.cycle_state")
        blocking = self.stored.rows(
            "SELECT DISTINCT ON (l.pid) l.pid, pg_blocking_pids(l.pid) AS blockers,"
            " (to_jsonb(l) ->> 'waitstart')::timestamptz AS began"
            " FROM pg_locks AS l WHERE NOT l.granted AND l.pid IS NOT NULL"
        )
        return Truth(
            at,
            {
                row["pid"]: frozenset(self.prepared if pid == 0 else pid for pid in row["blockers"])  # type: ignore[misc]
                for row in blocking
            },
            {row["pid"]: row["began"] for row in blocking if row["began"] is not None},
        )

    def release(self, node: int) -> None:
        """Let a root end its transaction."""
        if node < 0:
            self.stored.connection.execute("COMMIT PREPARED 'left over'")
            return
        self.member(node).run("COMMIT")

    def member(self, pid: int) -> Member:
        return next(one for one in self.members if one.pid == pid)

    def cancel(self, pid: int) -> None:
        """Cancel a waiter's statement and end its transaction."""
        member = self.member(pid)
        member.link.get_cancel().cancel()
        member.finish()
        member.run("ROLLBACK")

    def replace_oldest(self) -> None:
        """Let the first of a plain queue leave and another one come: as many stand there as before."""
        queues = [one for one in self.queues if one[1]]
        if queues:
            key, queue = self.chance.choice(queues)
            waiting = [one for one in queue if one.pid in self.truth().blockers]
            if waiting:
                self.cancel(waiting[0].pid)
                queue.append(self.wait(f"SELECT pg_advisory_xact_lock({key})"))
                self.settle()

    def settle(self) -> None:
        """Wait until everybody who does not wait any more has read his answer: nothing moves then.

        Who has his lock keeps it, in a transaction that stays open.
        """

        def still() -> bool:
            blocked = self.truth().blockers
            for member in self.members:
                if (
                    member.pid not in blocked
                    and member.link.transaction_status == pq.TransactionStatus.ACTIVE
                ):
                    member.link.consume_input()
                    if member.link.is_busy():
                        return False
                    member.finish()
            return blocked == self.truth().blockers

        poll(still, 30, "that nothing moves")

    def end(self) -> None:
        """Let the roots end, and those who are roots then, for some turns with looks in between; who waits
        still then gives up."""
        for _ in range(TURNS):
            truth = self.truth()
            if not truth.waiters:
                break
            for node in truth.roots:
                self.release(node)
            self.settle()
            if self.chance.random() < 0.5:
                self.look()
        for pid in self.truth().waiters:
            self.cancel(pid)
        self.settle()
        self.look()

    def close(self) -> None:
        """End all sessions, the last to come first, and what is prepared."""
        for member in reversed(self.members):
            member.link.get_cancel().cancel()
            member.link.finish()
        for row in self.stored.rows("SELECT gid FROM pg_prepared_xacts WHERE database = current_database()"):
            self.stored.connection.execute(f"ROLLBACK PREPARED '{row['gid']}'")

    def waits(self) -> dict[int, list[Row]]:
        """The stored rows of waits by pid, the oldest first."""
        found: dict[int, list[Row]] = {}
        for row in self.stored.rows(
            "SELECT * FROM lock_monitoring.lock_activity_s WHERE NOT lock_granted ORDER BY load_date"
        ):
            found.setdefault(row["lock_pid"], []).append(row)
        return found

    def lost(self, until: datetime) -> dict[int, float]:
        """What was lost behind each blocker by a moment: the stored waits, cut where the truth of the looks
        says that others stood ahead of them. Reckoned from nothing of the vault but when its waits began and
        ended."""
        lost: dict[int, float] = {}
        looks = [truth for truth in self.truths if truth.at <= until]
        for pid, rows in self.waits().items():
            for index, look in enumerate(looks):
                row = next(
                    (
                        one
                        for one in rows
                        if one["load_date"] <= look.at
                        and (one["load_end_date"] is None or one["load_end_date"] > look.at)
                    ),
                    None,
                )
                if row is None or pid not in look.blockers:
                    continue
                same = [
                    one
                    for one in rows
                    if one["lock_activity_hk"] == row["lock_activity_hk"]
                    and one["wait_start"] == row["wait_start"]
                ]
                seen_before = index and same[0]["load_date"] < look.at
                begin = look.at if seen_before else row["wait_start"]
                following = looks[index + 1].at if index + 1 < len(looks) else until
                last = same[-1]
                over = last["log_end_at"] or last["last_seen_at"] or last["load_end_date"] or until
                seconds = (min(following, over, until) - begin).total_seconds()
                for node in look.ahead(pid):
                    lost[node] = lost.get(node, 0.0) + max(0.0, seconds)
        return lost


@contextmanager
def scene(dsn: str, stored: Stored, seed: int) -> Iterator[Scene]:
    """A scene's crowd, gone at the end."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(TABLES)
    made = Scene(dsn, stored, random.Random(seed))
    try:
        yield made
    finally:
        made.close()
