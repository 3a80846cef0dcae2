"""Waits of short connections that end in every way, and the truth: the client's clock and error code."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import pq

from tests.support.poll import poll
from tests.support.stored import Row

GRANTED = ("row", "table", "advisory")
OTHERWISE = ("lock_timeout", "cancel", "terminate", "deadlock", "40001", "23505", "gone")

ENDINGS = {
    "": "granted",
    "40001": "granted",
    "23505": "granted",
    "55P03": "lock timeout",
    "57014": "cancelled",
    "40P01": "deadlock",
    "57P01": "terminated",
}
"""What a client's error says of its wait: a statement that failed for another reason had its lock."""
WITHOUT_THE_LOCK = {"cancelled", "lock timeout", "deadlock", "terminated", "session gone"}
"""What may be said of a wait that ended without its lock where no log tells how."""
CLOCK = 0.002
"""Seconds: PostgreSQL logs milliseconds."""


@dataclass(frozen=True)
class Truth:
    """One wait. Moments are time.time(): it began at `began` or a moment later, and ended within a span."""

    kind: str
    pid: int
    began: float
    ended_from: float
    ended_until: float
    code: str

    @property
    def seconds(self) -> float:
        """What the client waited."""
        return self.ended_until - self.began

    @property
    def ending(self) -> str:
        """What it was."""
        return ENDINGS[self.code]


class Lane:
    """One holder, and one short connection after the other that waits for it."""

    def __init__(self, dsn: str, number: int, chance: random.Random) -> None:
        self.dsn = dsn
        self.table = f"lane_{number}"
        self.number = number
        self.chance = chance
        self.admin = psycopg.connect(dsn, autocommit=True, application_name="lane-admin")
        self.holder = psycopg.connect(dsn, autocommit=True, application_name="lane-holder")
        self.admin.execute(f"CREATE TABLE {self.table} (id int PRIMARY KEY, n int NOT NULL)")
        self.admin.execute(f"INSERT INTO {self.table} SELECT g, 0 FROM generate_series(1, 9) g")
        self._next = 100
        self._thread = ThreadPoolExecutor(max_workers=2)

    def close(self) -> None:
        """End its sessions."""
        self._thread.shutdown(wait=True)
        self.admin.close()
        self.holder.close()

    def wait(self, kind: str, seconds: float) -> list[Truth]:
        """Make one wait of about so many seconds, of a deadlock both; returns when all is over."""
        if kind == "gone":
            return [self._gone(seconds)]
        what = kind if kind in GRANTED else self.chance.choice(GRANTED)
        if kind in ("40001", "deadlock"):
            what = "row"
        take = {
            "row": f"UPDATE {self.table} SET n = n + 1 WHERE id = 1",
            "table": f"LOCK TABLE {self.table} IN EXCLUSIVE MODE",
            "advisory": f"SELECT pg_advisory_xact_lock({self.number}, 1)",
        }[what]
        if kind == "23505":
            self._next += 1
            take = f"INSERT INTO {self.table} VALUES ({self._next}, 0)"
        self._hold(take)
        waiter = psycopg.connect(self.dsn, application_name="lane-waiter")
        pid = waiter.info.backend_pid
        if kind == "lock_timeout":
            waiter.execute(f"SET lock_timeout = '{int(seconds * 1000)}ms'")
        if kind == "40001":
            waiter.rollback()
            waiter.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            waiter.execute(f"SELECT n FROM {self.table} WHERE id = 1")
        if kind == "deadlock":
            waiter.execute(f"UPDATE {self.table} SET n = n + 1 WHERE id = 2")
        outcome = self._start(waiter, take)
        self._until_blocked(pid)
        if kind != "lock_timeout":
            time.sleep(seconds)
        caused = time.time()
        truths: list[Truth] = []
        if kind in ("cancel", "terminate"):
            self.admin.execute(f"SELECT pg_{kind}_backend(%s)", [pid])
        elif kind == "deadlock":
            began = time.time()
            code, until = self._run(self.holder, f"UPDATE {self.table} SET n = n + 1 WHERE id = 2")
            truths.append(Truth(kind, self.holder.info.backend_pid, began, began, until, code))
            caused = began
            self._release(rollback=code != "")
        elif kind != "lock_timeout":
            self._release(rollback=False)
        began, code, until = outcome.result(60)
        truths.append(
            Truth(kind, pid, began, began + seconds if kind == "lock_timeout" else caused, until, code)
        )
        if kind in ("lock_timeout", "cancel", "terminate"):
            # whether the way is free by the next look, or not
            time.sleep(self.chance.choice((0.0, 0.0, 1.5)))
            self._release(rollback=True)
        return truths

    def _hold(self, take: str) -> None:
        self.holder.execute("BEGIN")
        self.holder.execute(take)

    def _release(self, *, rollback: bool) -> None:
        self.holder.execute("ROLLBACK" if rollback else "COMMIT")

    def _start(self, waiter: psycopg.Connection[Any], take: str) -> Future[tuple[float, str, float]]:
        """Run the statement, end its session at once; when the statement began, its code, when it ended."""

        def work() -> tuple[float, str, float]:
            began = time.time()
            code, until = self._run(waiter, take)
            waiter.close()
            return began, code, until

        return self._thread.submit(work)

    @staticmethod
    def _run(one: psycopg.Connection[Any], statement: str) -> tuple[str, float]:
        try:
            one.execute(statement)
        except psycopg.Error as error:
            return error.sqlstate or "57P01", time.time()
        return "", time.time()

    def _until_blocked(self, pid: int) -> None:
        blocked = "SELECT cardinality(pg_blocking_pids(%s)) > 0"
        poll(lambda: self.admin.execute(blocked, [pid]).fetchone() == (True,), 10, "a wait", 0.005)

    def _gone(self, seconds: float) -> Truth:
        """A client that goes away while it waits: its server process waits on until it has the lock."""
        take = f"UPDATE {self.table} SET n = n + 1 WHERE id = 1"
        self._hold(take)
        client = pq.PGconn.connect(self.dsn.encode())
        assert client.status == pq.ConnStatus.OK, client.get_error_message()
        pid, began = client.backend_pid, time.time()
        client.send_query(take.encode())
        client.flush()
        self._until_blocked(pid)
        time.sleep(seconds / 2)
        client.finish()
        time.sleep(seconds / 2)
        caused = time.time()
        self._release(rollback=False)
        gone = "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = %s)"
        poll(lambda: self.admin.execute(gone, [pid]).fetchone() == (True,), 10, "its end", 0.002)
        return Truth("gone", pid, began, caused, time.time(), "")


def make(
    dsn: str,
    granted: int,
    otherwise: int,
    seconds: Callable[[random.Random], float],
    seed: int,
    lanes: int = 4,
) -> list[Truth]:
    """So many waits of both sorts, in a random order, several at once."""
    chance = random.Random(seed)
    kinds = [GRANTED[i % len(GRANTED)] for i in range(granted)]
    kinds += [OTHERWISE[i % len(OTHERWISE)] for i in range(otherwise)]
    chance.shuffle(kinds)
    found: list[Truth] = []
    failed: list[BaseException] = []
    lock = threading.Lock()

    def work(number: int) -> None:
        lane = Lane(dsn, number, random.Random(seed * 100 + number))
        try:
            while True:
                with lock:
                    if not kinds or failed:
                        return
                    kind = kinds.pop()
                truths = lane.wait(kind, seconds(lane.chance))
                with lock:
                    found.extend(truths)
        except BaseException as error:  # whoever called looks at it
            failed.append(error)
        finally:
            lane.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(lanes)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]
    return found


STORED = (
    "SELECT s.lock_pid, extract(epoch FROM s.wait_start)::float8 AS began, s.wait_start_is_bound AS bound,"
    " extract(epoch FROM s.last_seen_at)::float8 AS seen,"
    " extract(epoch FROM s.not_seen_at)::float8 AS not_seen,"
    " extract(epoch FROM s.log_end_at)::float8 AS log_end, s.waited_ms::float8 / 1000 AS waited,"
    " s.resolution_action AS how FROM lock_monitoring.lock_activity_s s"
    " WHERE NOT s.lock_granted AND s.resolution_action IS NOT NULL"
)
"""The ends of the stored waits."""


def pair(truths: Sequence[Truth], stored: Sequence[Row]) -> list[tuple[Truth, Row]]:
    """Each wait that a look has seen with its row."""
    found = []
    for truth in truths:
        fits = [
            row
            for row in stored
            if row["lock_pid"] == truth.pid
            and truth.began - 1 <= row["began"] <= truth.ended_until
            and (row["seen"] is None or row["seen"] >= truth.began)
        ]
        if fits:
            found.append((truth, min(fits, key=lambda row: abs(row["began"] - truth.began))))
    return found


def faults(truth: Truth, row: Row) -> list[str]:
    """What the row says that is not so."""
    wrong = []
    if row["seen"] is None or row["not_seen"] is None:
        wrong.append("no interval")
    elif row["seen"] > truth.ended_until + CLOCK or row["not_seen"] < truth.ended_from - CLOCK:
        wrong.append("ended outside of its interval")
    if row["log_end"] is not None and not (
        truth.ended_from - CLOCK <= row["log_end"] <= truth.ended_until + CLOCK
    ):
        wrong.append("the log's end is another")
    allowed = {truth.ending, "unknown"} | (WITHOUT_THE_LOCK if truth.ending in WITHOUT_THE_LOCK else set())
    if row["log_end"] is not None:
        allowed = {truth.ending}
    if row["how"] not in allowed or (truth.ending in WITHOUT_THE_LOCK and row["how"] == "granted"):
        wrong.append("wrong ending")
    return wrong
