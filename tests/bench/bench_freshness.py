"""How long after its beginning a lock's row can be read.

    python -m tests.bench.bench_freshness [SECONDS]

Two runs of SECONDS (300) each on a throwaway server, in which sessions wait, block and hold locks: with
nothing but a django-q cluster, whose tasks hand over from minute to minute; then with two loop processes
beside it, of which the leading one is killed (kill -9) after a third of the time, and the queue's master
after two thirds. Prints p50, p99 and the maximum for waiting, blocking and other granted locks, what the
loop says it could not sample, and the gaps on record. Each wait lasts six seconds and each other lock
eight, so that one that was not seen counts as missed.
"""

from __future__ import annotations

import os
import random
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import psycopg

from tests.bench.crowd import until
from tests.support import vaults
from tests.support.loops import ROOT, rows, start_process, status, url
from tests.support.servers import Server, throwaway

WAIT_LASTS = 6.0
HOLD_LASTS = 8.0
POLL = 0.025
NEW_ROWS = (
    "SELECT satellite_id, lock_pid, lock_granted, coalesce(blocking_count, 0), lock_type, relation_name"
    " FROM lock_monitoring.lock_activity_s WHERE satellite_id > %s ORDER BY satellite_id"
)


@dataclass
class Book:
    """What is awaited, and what was seen. Keys: kind and pid; one event a session at a time."""

    awaited: dict[tuple[str, int], float] = field(default_factory=dict)
    delays: dict[str, list[float]] = field(
        default_factory=lambda: {"waiting": [], "blocking": [], "granted": []}
    )
    missed: dict[str, int] = field(default_factory=lambda: {"waiting": 0, "blocking": 0, "granted": 0})
    lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, kind: str, pid: int) -> None:
        """Something begins now."""
        with self.lock:
            self.awaited[kind, pid] = time.monotonic()

    def seen(self, kind: str, pid: int) -> None:
        """Its row could be read."""
        with self.lock:
            began = self.awaited.pop((kind, pid), None)
            if began is not None:
                self.delays[kind].append(time.monotonic() - began)

    def end(self, kind: str, pid: int) -> None:
        """It is over; whoever has not been seen by now was missed."""
        with self.lock:
            if self.awaited.pop((kind, pid), None) is not None:
                self.missed[kind] += 1


def read(dsn: str, book: Book, stop: threading.Event) -> None:
    """Poll the vault for new rows."""
    last = 0
    with psycopg.connect(dsn, autocommit=True, application_name="bench-reader") as connection:
        while not stop.wait(POLL):
            for number, pid, granted, blocking, kind, relation in connection.execute(NEW_ROWS, [last]):
                last = number
                if not granted:
                    book.seen("waiting", pid)
                elif blocking:
                    book.seen("blocking", pid)
                elif kind == "relation" and str(relation or "").endswith("thing"):
                    book.seen("granted", pid)


def pair(dsn: str, number: int, book: Book, stop: threading.Event) -> None:
    """One session waits behind another for a row, again and again."""
    dice = random.Random(number)
    with (
        psycopg.connect(dsn, application_name="bench-holder") as holder,
        psycopg.connect(dsn, application_name="bench-waiter") as waiter,
    ):
        update = f"UPDATE account SET balance = balance + 1 WHERE id = {number}"
        while not stop.wait(dice.uniform(0.5, 3.0)):
            holder.execute(update)
            time.sleep(dice.uniform(0, 2))
            waiting = threading.Thread(target=waiter.execute, args=(update,))
            book.begin("waiting", waiter.info.backend_pid)
            book.begin("blocking", holder.info.backend_pid)
            waiting.start()
            if not stop.wait(WAIT_LASTS):
                book.end("waiting", waiter.info.backend_pid)
                book.end("blocking", holder.info.backend_pid)
            holder.rollback()
            waiting.join()
            waiter.rollback()


def hold(dsn: str, number: int, book: Book, stop: threading.Event) -> None:
    """One session holds a lock that nobody waits for, again and again."""
    dice = random.Random(1000 + number)
    with psycopg.connect(dsn, application_name="bench-quiet") as connection:
        while not stop.wait(dice.uniform(0.5, 3.0)):
            book.begin("granted", connection.info.backend_pid)
            connection.execute("LOCK TABLE thing IN ACCESS SHARE MODE")
            if not stop.wait(HOLD_LASTS):
                book.end("granted", connection.info.backend_pid)
            connection.rollback()


@contextmanager
def cluster(server: Server, vault: str, web: str) -> Iterator[subprocess.Popen[bytes]]:
    """A django-q cluster on these databases; its whole process group is ended."""
    environment = dict(os.environ) | {
        "DJANGO_SETTINGS_MODULE": "onevault.settings",
        "SECRET_KEY": "only-for-the-benchmark-" * 2,
        "VAULT_DATABASE_URL": url(vault),
        "DATABASE_URL": url(web),
    }
    manage = [sys.executable, "manage.py"]
    subprocess.run([*manage, "migrate", "-v0"], cwd=ROOT, env=environment, check=True)
    process = subprocess.Popen([*manage, "qcluster"], cwd=ROOT, env=environment, start_new_session=True)
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def kill_leader(dsn: str) -> None:
    """kill -9 the leading loop, and say how soon another one leads."""
    before = status(dsn)
    assert before.leader_process is not None
    os.kill(before.leader_process, signal.SIGKILL)
    began = time.monotonic()
    until(lambda: status(dsn).leader_pid not in (None, before.leader_pid), "another leader", 120)
    print(f"killed loop {before.leader_process}; replaced after {time.monotonic() - began:.2f} s", flush=True)


def figure(kind: str, book: Book, limit: str) -> str:
    """One line of the result."""
    delays = sorted(book.delays[kind])
    if not delays:
        return f"{kind:9} nothing seen"
    p99 = delays[min(len(delays) - 1, int(len(delays) * 0.99))]
    return (
        f"{kind:9} {len(delays):5} locks  p50 {statistics.median(delays):.2f} s  p99 {p99:.2f} s  "
        f"max {delays[-1]:.2f} s  missed {book.missed[kind]}   ({limit})"
    )


def observe(dsn: str, seconds: float, events: list[Callable[[], object]]) -> None:
    """Let sessions wait, block and hold for so long, with these events between; print the figures."""
    book, stop = Book(), threading.Event()
    jobs: list[tuple[Any, tuple[Any, ...]]] = [(read, (dsn, book, stop))]
    jobs += [(pair, (dsn, number, book, stop)) for number in range(1, 9)]
    jobs += [(hold, (dsn, number, book, stop)) for number in range(1, 7)]
    threads = [threading.Thread(target=job, args=arguments, daemon=True) for job, arguments in jobs]
    (before,) = rows(dsn, "SELECT clock_timestamp() AS now")
    for thread in threads:
        thread.start()
    for event in events:
        time.sleep(seconds / (len(events) + 1))
        event()
    time.sleep(seconds / (len(events) + 1))
    stop.set()
    for thread in threads:
        thread.join(20)
    print(figure("waiting", book, "p99 at most 2 s, never over 5 s"))
    print(figure("blocking", book, "p99 at most 2 s, never over 5 s"))
    print(figure("granted", book, "never over 5 s"))
    since = f"WHERE period_start > '{before['now']}'"
    question = (
        "SELECT sum(finished_transactions) AS finished, sum(unsampled_transactions) AS unsampled,"
        " sum(cycles_run) AS cycles, sum(busy_ms) AS busy_ms, max(largest_gap_ms) AS largest_gap_ms"
        f" FROM lock_engine.coverage {since}"
    )
    gaps = f"SELECT * FROM lock_engine.coverage_gap WHERE gap_end > '{before['now']}'"
    print("coverage:", rows(dsn, question)[0], [*rows(dsn, gaps)], flush=True)


def main() -> None:
    """Run it and print the figures."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 300.0
    with throwaway(on_disk=True) as server:
        vault_dsn, web_dsn = server.dsn(server.create_database()), server.dsn(server.create_database())
        vaults.install(vault_dsn)
        with psycopg.connect(vault_dsn, autocommit=True) as connection:
            connection.execute("CREATE TABLE account (id integer PRIMARY KEY, balance integer)")
            connection.execute("INSERT INTO account SELECT g, 0 FROM generate_series(1, 100) AS g")
            connection.execute("CREATE TABLE thing (id integer)")
        with cluster(server, vault_dsn, web_dsn) as queue:
            until(lambda: status(vault_dsn).state == "watching", "the schedule starting the loop", 120)
            print("with nothing but a queue:")
            observe(vault_dsn, seconds, [])
            loops = [start_process(vault_dsn, web_dsn, helpers=True) for _ in range(2)]
            try:
                mine = [loop.pid for loop in loops]
                until(lambda: status(vault_dsn).leader_process in mine, "a process leading", 60)
                until(lambda: status(vault_dsn).standby_pid is not None, "a standby", 60)
                print("with two loop processes:")
                observe(vault_dsn, seconds, [lambda: kill_leader(vault_dsn), queue.kill])
            finally:
                for loop in loops:
                    loop.kill()
                    loop.communicate()


if __name__ == "__main__":
    main()
