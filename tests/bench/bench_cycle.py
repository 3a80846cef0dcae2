"""What a monitoring cycle costs, as a multiple of reading locks and sessions raw in the same run.

    python -m tests.bench.bench_cycle [SCENE ...]

Prints, for each scene, run_lock_monitoring() against `count(*)` of pg_lock_status() plus pg_stat_get_activity(NULL):
with nothing changed since the last cycle (and the WAL it wrote), with 5 % changed, and a first capture of everything.
Pairs are taken in turn on one connection; the median of the ratios is the figure.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import psycopg

from tests.bench.crowd import Crowd, Scenes, until
from tests.support import vaults
from tests.support.servers import throwaway

RAW = "SELECT (SELECT count(*) FROM pg_lock_status()) + (SELECT count(*) FROM pg_stat_get_activity(NULL))"
CYCLE = "SELECT monitoring_summary FROM lock_monitoring.run_lock_monitoring()"
EMPTY = (
    "TRUNCATE lock_monitoring.lock_activity_h, lock_monitoring.lock_activity_s, lock_monitoring.blocking_session_h,"
    " lock_monitoring.blocking_session_s, lock_monitoring.lock_blocking_l CASCADE;"
    " UPDATE lock_engine.cycle_state SET digest = NULL"
)


def milliseconds(connection: psycopg.Connection[Any], statement: str) -> tuple[float, Any]:
    """Run one statement; how long it took and its first value."""
    begin = time.perf_counter()
    row = connection.execute(statement).fetchone()  # type: ignore[call-overload]
    return (time.perf_counter() - begin) * 1000, row[0]


class Bench:
    """One connection like the loop's, and the pairs measured on it."""

    def __init__(self, dsn: str) -> None:
        self.connection = psycopg.connect(dsn, autocommit=True)
        self.connection.prepare_threshold = 0
        for _ in range(8):
            milliseconds(self.connection, RAW)
            milliseconds(self.connection, CYCLE)

    def wal(self) -> int:
        """Position in the WAL, in bytes."""
        return int(milliseconds(self.connection, "SELECT pg_current_wal_insert_lsn() - '0/0'")[1])

    def unchanged(self, label: str, limit: float, pairs: int = 40) -> None:
        """The ratio of cycles that found nothing new."""
        ratios: list[float] = []
        wals: list[int] = []
        raws: list[float] = []
        end = time.monotonic() + 90
        while len(ratios) < pairs and time.monotonic() < end:
            raw, _ = milliseconds(self.connection, RAW)
            before = self.wal()
            took, summary = milliseconds(self.connection, CYCLE)
            after = self.wal()
            if "unchanged" in summary:
                ratios.append(took / raw)
                raws.append(raw)
                wals.append(after - before)
        print(
            f"{label:34} unchanged      {statistics.median(ratios):6.2f} x raw (at most {limit})"
            f"   raw {statistics.median(raws):.2f} ms, {len(ratios)} pairs, WAL median {statistics.median(wals):.0f} B"
            f" max {max(wals)} B (at most 2048)"
        )

    def changed(self, label: str, limit: float, change: Callable[[], None], rounds: int = 12) -> None:
        """The ratio of cycles after `change`."""
        ratios: list[float] = []
        tooks: list[float] = []
        for _ in range(rounds):
            change()
            raw = statistics.median(milliseconds(self.connection, RAW)[0] for _ in range(3))
            took, summary = milliseconds(self.connection, CYCLE)
            assert "unchanged" not in summary, summary
            ratios.append(took / raw)
            tooks.append(took)
        print(
            f"{label:34} 5 % changed    {statistics.median(ratios):6.2f} x raw (at most {limit})"
            f"   {statistics.median(tooks):.1f} ms"
        )

    def first(self, label: str, limit: float | None, empty: Callable[[], None], rounds: int = 6) -> None:
        """The ratio of a first capture into an empty vault."""
        ratios: list[float] = []
        tooks: list[float] = []
        for _ in range(rounds):
            empty()
            raw = statistics.median(milliseconds(self.connection, RAW)[0] for _ in range(3))
            took, _ = milliseconds(self.connection, CYCLE)
            ratios.append(took / raw)
            tooks.append(took)
        wanted = f"(at most {limit})" if limit else "(no limit given)"
        print(
            f"{label:34} first capture  {statistics.median(ratios):6.2f} x raw {wanted}"
            f"   {statistics.median(tooks):.1f} ms"
        )


def main() -> None:
    """Run the scenes named on the command line, or all."""
    chosen = set(sys.argv[1:])
    settings = {"max_connections": "1200", "max_locks_per_transaction": "512"}
    with throwaway(settings) as server:
        name = server.create_database()
        dsn = server.dsn(name)
        vaults.install(dsn)
        server.execute("ALTER SYSTEM SET autovacuum_naptime = '5s'")
        server.execute("SELECT pg_reload_conf()")
        scenes = Scenes(dsn)
        unchanged = 2.5 if server.version >= 14 else 3.5
        print(f"PostgreSQL {server.version}")

        def empty() -> None:
            scenes.admin.execute(EMPTY)

        def grow(crowd: Crowd, waiters: int, rows: int) -> Callable[[], None]:
            def replace() -> None:
                for number in range(max(1, waiters // 20)):
                    crowd.leave(crowd.members[-1 - number * 7])
                    scenes.one_more(crowd, 1 + number % rows)
                until(lambda: scenes.waiting() >= waiters, "the new waiters wait")

            return replace

        def scene(key: str, label: str, waiters: int, make: Callable[[Crowd], None], rows: int = 1) -> None:
            if chosen and key not in chosen:
                return
            with Crowd(dsn) as crowd:
                make(crowd)
                until(lambda: scenes.waiting() >= waiters, label)
                begun = time.monotonic()
                bench = Bench(dsn)
                bench.first(label, None, empty)
                # past the step at one minute, so that only what really changes is written again
                until(lambda: time.monotonic() - begun > 62, "a minute")
                bench.unchanged(label, unchanged)
                if key != "ddl":
                    bench.changed(label, 15, grow(crowd, waiters, rows))
                else:

                    def other_readers() -> None:
                        for number in range(waiters // 20):
                            crowd.leave(crowd.members[-1 - number * 7])
                            crowd.start(crowd.open(), "SELECT count(*) FROM account")
                        until(lambda: scenes.waiting() >= waiters, "the new readers wait")

                    bench.changed(label, 15, other_readers)
                bench.connection.close()
            empty()

        scene("row", "200 waiters on one row", 200, lambda c: scenes.one_row(c, 200))
        scene("trees", "10 trees of 20", 200, lambda c: scenes.trees(c, 10, 20), rows=10)
        scene("ddl", "queued ALTER with 300 readers", 301, lambda c: scenes.queued_ddl(c, 300))
        if not chosen or "locks" in chosen:
            label = "5,000 granted locks"
            with Crowd(dsn) as crowd:
                scenes.granted(crowd, 5000, 50)
                time.sleep(1.2)  # older than the second from which granted locks are kept
                bench = Bench(dsn)
                bench.first(label, 45, empty)
                bench.unchanged(label, unchanged)

                def other_locks() -> None:
                    for member in crowd.members[:3]:
                        crowd.run(member, "ROLLBACK")
                        scenes.hold(crowd, member, 100)
                    time.sleep(1.1)

                bench.changed(label, 15, other_locks)
                bench.connection.close()
            empty()
        if not chosen or "linear" in chosen:
            per_waiter: list[float] = []
            for waiters in (125, 250, 500, 1000):
                with Crowd(dsn) as crowd:
                    scenes.one_row(crowd, waiters)
                    until(lambda: scenes.waiting() >= waiters, "all wait")
                    bench = Bench(dsn)
                    tooks = []
                    for _ in range(7):
                        empty()
                        tooks.append(milliseconds(bench.connection, CYCLE)[0])
                    graph = statistics.median(
                        milliseconds(bench.connection, "SELECT count(*) FROM lock_catalog.waits_for()")[0] for _ in range(7)
                    )
                    per_waiter.append(statistics.median(tooks) / waiters)
                    print(
                        f"{waiters:5} waiters on one row: full cycle {statistics.median(tooks):7.1f} ms,"
                        f" graph alone {graph:6.1f} ms, {per_waiter[-1] * 1000:.0f} us a waiter"
                    )
                    bench.connection.close()
            print(f"cost a waiter at 1,000 against 125: {per_waiter[-1] / per_waiter[0]:.2f} x (linear: about 1)")
        scenes.close()


if __name__ == "__main__":
    main()
