"""Retention with one day to go, cycles beside it, and killed in the middle; then nights of the guide's cron.

    python -m tests.bench.bench_retention [ROWS]        (or the environment's ROWS; 1,000,000)

Fills a vault with ROWS locks of 31 days, each a hub with one row, starts the loop and sessions that block
each other, and runs `manage.py lockmon_cleanup --days 30`, which it ends with kill -9 in the middle and
starts again. Prints the longest time between two stored looks, between two stored cycles with and without the
cleanup, what the loop skipped, seconds for 100,000 hubs (on the clock, and of the processor, which a busy
machine does not change as much), and what is half or left. Then three nights of
`SELECT * FROM lock_monitoring.cleanup_old_data(30)`, with as many rows more expired before each as came in a
day. It is kept in memory: ten million take about 16 GB of /dev/shm.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg

from tests.bench.crowd import until
from tests.support import vaults
from tests.support.history import fill
from tests.support.loops import ROOT, rows, start_process, status, url
from tests.support.servers import throwaway

DAYS = 31
NIGHTS = 3
A_NIGHT = 100_000
EXPIRED = (
    "SELECT (SELECT count(*) FROM lock_monitoring.lock_activity_s"
    "  WHERE load_date < {0} AND load_end_date < {0})"
    " + (SELECT count(*) FROM lock_monitoring.blocking_session_s"
    "  WHERE load_date < {0} AND load_end_date < {0})"
    " AS n"
)
HALF = (
    "SELECT (SELECT count(*) FROM lock_monitoring.lock_activity_h h WHERE h.lock_activity_bk LIKE '4711|%'"
    "  AND h.load_date < {0} + interval '1 hour'"
    "  AND NOT EXISTS (SELECT FROM lock_monitoring.lock_activity_s s"
    "                   WHERE s.lock_activity_hk = h.lock_activity_hk))"
    " + (SELECT count(*) FROM lock_monitoring.lock_activity_s s WHERE s.load_date < {0} + interval '1 hour'"
    "  AND NOT EXISTS (SELECT FROM lock_monitoring.lock_activity_h h"
    "                   WHERE h.lock_activity_hk = s.lock_activity_hk))"
    " + (SELECT count(*) FROM lock_monitoring.lock_blocking_l l WHERE l.load_date < {0} + interval '1 hour'"
    "  AND (NOT EXISTS (SELECT FROM lock_monitoring.lock_activity_h h"
    "                    WHERE h.lock_activity_hk = l.lock_activity_hk)"
    "   OR NOT EXISTS (SELECT FROM lock_monitoring.blocking_session_h h"
    "                   WHERE h.blocking_session_hk = l.blocking_session_hk))) AS n"
)


def processor_seconds(pid: int) -> float:
    """What a process has had of the processor; 0 if it is gone."""
    try:
        times = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[11:13]
    except OSError:
        return 0.0
    return sum(map(int, times)) / os.sysconf("SC_CLK_TCK")


@dataclass
class Watcher:
    """Reads what the loop stored, every 50 ms. Longest times in seconds since the last `reset`; work: of the
    processor, by the cleanups' sessions."""

    dsn: str
    look: float = 0.0
    cycle: float = 0.0
    work: dict[int, float] = field(default_factory=dict)
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Poll until stopped."""
        seen: tuple[Any, Any] = (None, None)
        with psycopg.connect(self.dsn, autocommit=True, application_name="bench-reader") as connection:
            while not self.stop.wait(0.05):
                now = connection.execute(
                    "SELECT w.last_look_at, c.stored_at FROM lock_engine.watch_state w,"
                    " lock_engine.cycle_state c"
                ).fetchone()
                if now is None:
                    continue
                if seen[0] and now[0] != seen[0]:
                    self.look = max(self.look, (now[0] - seen[0]).total_seconds())
                if seen[1] and now[1] != seen[1]:
                    self.cycle = max(self.cycle, (now[1] - seen[1]).total_seconds())
                seen = (now[0], now[1])
                for (pid,) in connection.execute(
                    "SELECT pid FROM pg_stat_activity WHERE application_name LIKE '%cleanup%'"
                    " AND pid <> pg_backend_pid()"
                ):
                    self.work[pid] = processor_seconds(pid) or self.work.get(pid, 0.0)

    def reset(self) -> tuple[float, float]:
        """The longest times until now; count anew."""
        longest = self.look, self.cycle
        self.look = self.cycle = 0.0
        return longest


def store(dsn: str, size: int, day: int, mark: int) -> None:
    """So many locks of the day that ended so many days ago, with keys as long as real ones."""
    ended = datetime.now().astimezone() - timedelta(days=day, minutes=5)
    with psycopg.connect(dsn, autocommit=True) as dba:
        dba.execute("SET synchronous_commit = off")
        fill(
            dba,
            size,
            (ended - timedelta(hours=23, minutes=50)).isoformat(),
            ended.isoformat(),
            f"4711|17644000000000{mark:02}|relation|16384|16432|RowExclusiveLock",
        )


@contextmanager
def without_indexes(dsn: str) -> Iterator[None]:
    """Without the indexes that are no constraint's; they are made again at the end, which is quicker."""
    with psycopg.connect(dsn, autocommit=True) as dba:
        made = [
            str(row[0])
            for row in dba.execute(
                "SELECT pg_get_indexdef(i.indexrelid) FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid"
                " WHERE c.relnamespace = 'lock_monitoring'::regnamespace"
                " AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid)"
            )
        ]
        for definition in made:
            dba.execute("DROP INDEX lock_monitoring." + definition.split(" INDEX ")[1].split(" ")[0])
        yield
        dba.execute("SET maintenance_work_mem = '1GB'")
        for definition in made:
            dba.execute(definition)


def quarrel(dsn: str, stop: threading.Event) -> None:
    """Two sessions that wait for each other in turn, so that each cycle has something to store."""
    with psycopg.connect(dsn, autocommit=True) as one, psycopg.connect(dsn, autocommit=True) as other:
        turn = 0
        one.execute("SELECT pg_advisory_lock(0)")
        while not stop.is_set():
            turn += 1
            holder, waiter = (one, other) if turn % 2 else (other, one)
            asks = threading.Thread(target=waiter.execute, args=(f"SELECT pg_advisory_lock({turn - 1})",))
            asks.start()
            stop.wait(0.7)
            holder.execute("SELECT pg_advisory_unlock_all()")
            asks.join()
            waiter.execute(f"SELECT pg_advisory_lock({turn})")


def cleanup(dsn: str, web: str) -> subprocess.Popen[str]:
    """Start the command."""
    environment = dict(os.environ) | {
        "DJANGO_SETTINGS_MODULE": "onevault.settings",
        "SECRET_KEY": "only-for-benchmarks-" * 4,
        "VAULT_DATABASE_URL": url(dsn),
        "DATABASE_URL": url(web),
    }
    return subprocess.Popen(
        [sys.executable, "manage.py", "lockmon_cleanup", "--days", str(DAYS - 1)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )


def number(dsn: str, question: str) -> int:
    """One figure."""
    return int(str(rows(dsn, question)[0]["n"]))


def skipped(dsn: str) -> str:
    """What the loop's own books say, and the gaps on record."""
    books = rows(
        dsn,
        "SELECT coalesce(sum(cycles_run), 0) AS run, coalesce(sum(cycles_skipped), 0) AS skipped,"
        " coalesce(sum(cycles_failed), 0) AS failed, (SELECT count(*) FROM lock_engine.coverage_gap) AS gaps"
        " FROM lock_engine.coverage",
    )[0]
    return ", ".join(f"{name} {value}" for name, value in books.items())


def one_day(dsn: str, web: str, size: int) -> None:
    """The command, killed once, with the loop beside it."""
    before = rows(dsn, f"SELECT (clock_timestamp() - interval '{DAYS - 1} days')::text AS at")[0]["at"]
    edge = f"'{before}'::timestamptz"
    expired = number(dsn, EXPIRED.format(edge))
    loop = start_process(dsn, web)
    watcher, stop = Watcher(dsn), threading.Event()
    threads = [
        threading.Thread(target=watcher.run, daemon=True),
        threading.Thread(target=quarrel, args=(dsn, stop), daemon=True),
    ]
    try:
        until(lambda: status(dsn).state == "watching", "the loop", 60)
        for thread in threads:
            thread.start()
        time.sleep(5)
        watcher.reset()
        time.sleep(30)
        look, cycle = watcher.reset()
        print(f"30 s without: looks at most {look:.2f} s apart, cycles {cycle:.2f} s", flush=True)

        began = time.perf_counter()
        first = cleanup(dsn, web)
        until(lambda: number(dsn, EXPIRED.format(edge)) < expired * 0.6, "the middle", 600)
        first.send_signal(signal.SIGKILL)
        first.wait()
        until(
            lambda: (
                number(
                    dsn,
                    "SELECT count(*) AS n FROM pg_stat_activity WHERE application_name LIKE '%cleanup%'"
                    " AND pid <> pg_backend_pid()",
                )
                == 0
            ),
            "the killed one's session to end",
            60,
        )
        part, left = time.perf_counter() - began, number(dsn, EXPIRED.format(edge))
        print(
            f"killed with {left:,} of {expired:,} expired rows left; half: {number(dsn, HALF.format(edge))}",
            flush=True,
        )
        began = time.perf_counter()
        second = cleanup(dsn, web)
        said, _ = second.communicate(timeout=3600)
        rest = time.perf_counter() - began
        look, cycle = watcher.reset()
    finally:
        stop.set()
        watcher.stop.set()
        for thread in threads:
            thread.join(10)
        loop.send_signal(signal.SIGTERM)
        loop.communicate()
    hubs = size / DAYS * 1.1
    work = sum(watcher.work.values())
    print(
        f"cleanup {part + rest:.1f} s with two starts of Python: {(part + rest) / hubs * 1e5:.1f} s for"
        f" 100,000 hubs, of the processor {work / hubs * 1e5:.1f} s;"
        f" {hubs:,.0f} hubs\nlooks at most {look:.2f} s apart (2), cycles {cycle:.2f} s (2.5)"
        f"; the loop's books: {skipped(dsn)}"
        f"\nexpired rows left {number(dsn, EXPIRED.format(edge))}, half {number(dsn, HALF.format(edge))}"
        f"\nlast line: {said.strip().splitlines()[-1] if said.strip() else 'nothing'}",
        flush=True,
    )


def nights(dsn: str) -> None:
    """Three nights of the guide's cron line at a site that grows by 100,000 locks a day."""
    for night in range(1, NIGHTS + 1):
        store(dsn, A_NIGHT, DAYS - 1, 60 + night)
        store(dsn, A_NIGHT, 0, 70 + night)
        with psycopg.connect(dsn, autocommit=True) as dba:
            began = time.perf_counter()
            *_, last = dba.execute("SELECT * FROM lock_monitoring.cleanup_old_data(30)").fetchall()
            lasted = time.perf_counter() - began
            work = processor_seconds(dba.info.backend_pid)
        left = number(dsn, EXPIRED.format(f"now() - interval '{DAYS - 1} days'"))
        print(
            f"night {night}: {lasted:.1f} s of 20, of the processor {work:.1f} s;"
            f" expired rows left {left}; {last[0]}",
            flush=True,
        )


def main() -> None:
    """Fill, measure, print."""
    size = int((sys.argv[1] if len(sys.argv) > 1 else os.environ.get("ROWS", "1000000")).replace("_", ""))
    with throwaway({"autovacuum_naptime": "10s", "max_wal_size": "2GB"}) as server:
        dsn, web = server.dsn(server.create_database()), server.dsn(server.create_database())
        vaults.install(dsn)
        began = time.perf_counter()
        with without_indexes(dsn):
            for day in range(DAYS):
                store(dsn, size // DAYS, day, day)
        with psycopg.connect(dsn, autocommit=True) as dba:
            dba.execute("ANALYZE")
        with os.popen("uptime") as load:
            print(
                f"{size:,} locks of {DAYS} days in {time.perf_counter() - began:.0f} s;{load.read().strip()}",
                flush=True,
            )
        one_day(dsn, web, size)
        nights(dsn)


if __name__ == "__main__":
    main()
