"""What a monitoring cycle costs, as a multiple of reading locks and sessions raw in the same run.

    python -m tests.bench.bench_cycle [row] [trees] [ddl] [locks] [linear]

Prints, for each scene, run_lock_monitoring() against `count(*)` of pg_lock_status() plus of
pg_stat_get_activity(NULL): with nothing changed since the last cycle (and the WAL it wrote), with 5
% changed, and a first capture of everything; of 5,000 locks also what the rows of a first capture cost
when two plain INSERTs write them again, which no capture can undercut: keys and indexes alone.
Measurements are taken in turn on one connection; the figure is the ratio of the medians. On a busy
machine the larger one suffers more: run it on a quiet one.
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
    "TRUNCATE lock_monitoring.lock_activity_h, lock_monitoring.lock_activity_s,"
    " lock_monitoring.blocking_session_h, lock_monitoring.blocking_session_s, lock_monitoring.lock_blocking_l"
    " CASCADE; UPDATE lock_engine.cycle_state SET digest = NULL"
)


def milliseconds(connection: psycopg.Connection[Any], statement: str) -> tuple[float, Any]:
    """Run one statement; how long it took and its first value."""
    begin = time.perf_counter()
    row = connection.execute(statement).fetchone()
    took = (time.perf_counter() - begin) * 1000
    assert row is not None
    return took, row[0]


class Bench:
    """One connection like the loop's, and what is measured on it."""

    def __init__(self, dsn: str, label: str) -> None:
        self.label = label
        self.connection = psycopg.connect(dsn, autocommit=True)
        self.connection.prepare_threshold = 0
        for _ in range(8):
            milliseconds(self.connection, RAW)
            milliseconds(self.connection, CYCLE)

    def close(self) -> None:
        """End the connection."""
        self.connection.close()

    def raw(self) -> float:
        """One raw reading, in milliseconds: the median of three."""
        return statistics.median(milliseconds(self.connection, RAW)[0] for _ in range(3))

    def wal(self) -> int:
        """Position in the WAL, in bytes."""
        return int(milliseconds(self.connection, "SELECT pg_current_wal_insert_lsn() - '0/0'")[1])

    def report(
        self, what: str, tooks: list[float], raws: list[float], limit: float | None, more: str
    ) -> None:
        """Print one line."""
        took, raw = statistics.median(tooks), statistics.median(raws)
        wanted = f"at most {limit}" if limit else "no limit given"
        print(
            f"{self.label:30} {what:14} {took / raw:6.2f} x raw ({wanted});"
            f" {took:.1f} ms, raw {raw:.2f} ms{more}"
        )

    def unchanged(self, limit: float, pairs: int = 60) -> None:
        """Cycles that found nothing new."""
        tooks: list[float] = []
        raws: list[float] = []
        wals: list[int] = []
        end = time.monotonic() + 90
        while len(tooks) < pairs and time.monotonic() < end:
            raw, _ = milliseconds(self.connection, RAW)
            before = self.wal()
            took, summary = milliseconds(self.connection, CYCLE)
            after = self.wal()
            if "unchanged" in summary:
                tooks.append(took)
                raws.append(raw)
                wals.append(after - before)
        wal = f"; WAL median {statistics.median(wals):.0f} B, most {max(wals)} B (at most 2048)"
        self.report("unchanged", tooks, raws, limit, wal)

    def changed(self, limit: float, change: Callable[[], None], rounds: int = 15) -> None:
        """Cycles after `change`."""
        tooks: list[float] = []
        raws: list[float] = []
        for _ in range(rounds):
            change()
            raws.append(self.raw())
            took, summary = milliseconds(self.connection, CYCLE)
            assert "unchanged" not in summary, summary
            tooks.append(took)
        self.report("5 % changed", tooks, raws, limit, "")

    def into_empty(
        self, what: str, limit: float | None, empty: Callable[[], None], write: Callable[[], float]
    ) -> None:
        """What `write` takes, in milliseconds, into a vault that was emptied."""
        tooks: list[float] = []
        raws: list[float] = []
        for _ in range(9):
            empty()
            raws.append(self.raw())
            tooks.append(write())
        self.report(what, tooks, raws, limit, "")

    def first(self, limit: float | None, empty: Callable[[], None]) -> None:
        """First captures into an empty vault."""
        self.into_empty("first capture", limit, empty, lambda: milliseconds(self.connection, CYCLE)[0])

    def rows_alone(self, empty: Callable[[], None]) -> None:
        """Write what the last first capture stored again, from a copy."""
        self.into_empty("its rows alone", None, empty, Rows(self.connection).write)


class Rows:
    """A copy of what is stored of the locks, to be written again by two plain INSERTs."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection = connection
        for table in ("lock_activity_h", "lock_activity_s"):
            connection.execute(
                f"CREATE TEMP TABLE {table}_copy AS"
                f" SELECT * FROM lock_monitoring.{table} ORDER BY lock_activity_hk"
            )
        connection.execute("ALTER TABLE lock_activity_s_copy DROP COLUMN satellite_id")
        columns = ", ".join(
            name
            for (name,) in connection.execute(
                "SELECT attname FROM pg_attribute WHERE attrelid = 'lock_activity_s_copy'::regclass"
                " AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
            )
        )
        self.inserts = (
            "INSERT INTO lock_monitoring.lock_activity_h SELECT * FROM lock_activity_h_copy RETURNING 1",
            f"INSERT INTO lock_monitoring.lock_activity_s ({columns})"
            " SELECT * FROM lock_activity_s_copy RETURNING 1",
        )

    def write(self) -> float:
        """Write them into an emptied vault; milliseconds."""
        return sum(
            milliseconds(self.connection, f"WITH x AS ({insert}) SELECT count(*) FROM x")[0]
            for insert in self.inserts
        )


def empty_vault(scenes: Scenes) -> Callable[[], None]:
    """What empties the vault."""

    def empty() -> None:
        scenes.admin.execute(EMPTY)

    return empty


def replace_waiters(
    scenes: Scenes, crowd: Crowd, waiters: int, start: Callable[[int], None]
) -> Callable[[], None]:
    """What replaces 5 % of the waiters by new ones."""

    def replace() -> None:
        waiting = crowd.waiting()
        for number in range(max(1, waiters // 20)):
            crowd.leave(waiting[-1 - number * 7])
            start(number)
        until(lambda: scenes.waiting() >= waiters, "the new waiters wait")

    return replace


def other_locks(scenes: Scenes, crowd: Crowd) -> Callable[[], None]:
    """What replaces the locks of three of the 50 transactions by new ones."""

    def replace() -> None:
        for member in crowd.members[:3]:
            crowd.run(member, "ROLLBACK")
            scenes.hold(crowd, member, 100)
        time.sleep(1.1)

    return replace


def waiting_scene(
    scenes: Scenes,
    label: str,
    waiters: int,
    make: Callable[[Crowd], None],
    more: Callable[[Crowd, int], None],
    limit: float,
) -> None:
    """One scene in which sessions wait."""
    with Crowd(scenes.dsn) as crowd:
        make(crowd)
        until(lambda: scenes.waiting() >= waiters, label)
        begun = time.monotonic()
        bench = Bench(scenes.dsn, label)
        bench.first(None, empty_vault(scenes))
        # past the step at one minute, so that only what really changes is written again
        until(lambda: time.monotonic() - begun > 62, "a minute")
        bench.unchanged(limit)
        bench.changed(15, replace_waiters(scenes, crowd, waiters, lambda number: more(crowd, number)))
        bench.close()
    empty_vault(scenes)()


def granted_scene(scenes: Scenes, limit: float) -> None:
    """5,000 granted locks in 50 transactions, nobody waiting."""
    with Crowd(scenes.dsn) as crowd:
        scenes.granted(crowd, 5000, 50)
        time.sleep(1.2)  # older than the second from which granted locks are kept
        bench = Bench(scenes.dsn, "5,000 granted locks")
        bench.first(45, empty_vault(scenes))
        bench.rows_alone(empty_vault(scenes))
        bench.unchanged(limit)
        bench.changed(15, other_locks(scenes, crowd))
        bench.close()
    empty_vault(scenes)()


def linear(scenes: Scenes) -> None:
    """What a waiter costs among 125 and among 1,000."""
    a_waiter: list[float] = []
    for waiters in (125, 250, 500, 1000):
        with Crowd(scenes.dsn) as crowd:
            scenes.one_row(crowd, waiters)
            until(lambda wanted=waiters: scenes.waiting() >= wanted, "all wait")  # type: ignore[misc]
            bench = Bench(scenes.dsn, f"{waiters} waiters on one row")
            tooks = []
            for _ in range(7):
                empty_vault(scenes)()
                tooks.append(milliseconds(bench.connection, CYCLE)[0])
            reading = "SELECT count(*) FROM lock_catalog.waits_for()"
            graph = statistics.median(milliseconds(bench.connection, reading)[0] for _ in range(7))
            took = statistics.median(tooks)
            a_waiter.append(took / waiters)
            print(
                f"{bench.label:30} first capture {took:7.1f} ms, graph alone {graph:6.1f} ms,"
                f" {took / waiters * 1000:.0f} us a waiter"
            )
            bench.close()
    print(f"cost a waiter at 1,000 against 125: {a_waiter[-1] / a_waiter[0]:.2f} x (linear: about 1)")


def chain(scenes: Scenes) -> None:
    """A chain of 1,000, each behind the one before."""
    with Crowd(scenes.dsn) as crowd:
        scenes.chain(crowd, 999)
        until(lambda: scenes.waiting() >= 999, "all wait")
        bench = Bench(scenes.dsn, "a chain of 1,000")
        tooks = []
        for _ in range(5):
            empty_vault(scenes)()
            tooks.append(milliseconds(bench.connection, CYCLE)[0])
        reading = "SELECT count(*) FROM lock_catalog.waits_for()"
        graph = statistics.median(milliseconds(bench.connection, reading)[0] for _ in range(5))
        took = statistics.median(tooks)
        print(f"{bench.label:30} first capture {took:7.1f} ms, graph alone {graph:6.1f} ms (at most 1000)")
        bench.close()


def main() -> None:
    """Run the scenes named on the command line, or all."""
    chosen = set(sys.argv[1:]) or {"row", "trees", "ddl", "locks", "linear", "chain"}
    with throwaway({"max_connections": "1200", "max_locks_per_transaction": "512"}, on_disk=True) as server:
        dsn = server.dsn(server.create_database())
        vaults.install(dsn)
        server.execute("ALTER SYSTEM SET autovacuum_naptime = '5s'")
        server.execute("SELECT pg_reload_conf()")
        scenes = Scenes(dsn)
        limit = 2.5 if server.version >= 14 else 3.5
        print(f"PostgreSQL {server.version}")
        if "row" in chosen:
            waiting_scene(
                scenes,
                "200 waiters on one row",
                200,
                lambda crowd: scenes.one_row(crowd, 200),
                lambda crowd, number: scenes.one_more(crowd, 1),
                limit,
            )
        if "trees" in chosen:
            waiting_scene(
                scenes,
                "10 trees of 20",
                200,
                lambda crowd: scenes.trees(crowd, 10, 20),
                lambda crowd, number: scenes.one_more(crowd, 1 + number),
                limit,
            )
        if "ddl" in chosen:
            waiting_scene(
                scenes,
                "queued ALTER with 300 readers",
                301,
                lambda crowd: scenes.queued_ddl(crowd, 300),
                lambda crowd, number: crowd.start(crowd.open(), "SELECT count(*) FROM account"),
                limit,
            )
        if "locks" in chosen:
            granted_scene(scenes, limit)
        if "linear" in chosen:
            linear(scenes)
        if "chain" in chosen:
            chain(scenes)
        scenes.close()


if __name__ == "__main__":
    main()
