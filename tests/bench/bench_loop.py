"""What the loop's quiet tick costs, against the raw reads in the same run.

    python -m tests.bench.bench_loop

Prints, with 5,000 granted locks in 50 sessions and with 1,000 idle connections: the median of the tick,
of `count(*)` over pg_lock_status() and over pg_stat_get_activity(NULL), and the ratios. The three are
taken in turn on one connection, all prepared.
"""

from __future__ import annotations

import statistics
import time
from typing import Any

import psycopg

from lockmon.monitor.tick import QuietLook
from tests.bench.crowd import Crowd, Scenes
from tests.support import vaults
from tests.support.servers import throwaway

LOCKS = "SELECT count(*) FROM pg_lock_status()"
ACTIVITY = "SELECT count(*) FROM pg_stat_get_activity(NULL)"
ROUNDS = 600


def milliseconds(connection: psycopg.Connection[Any], statement: str) -> float:
    """Run one statement to its row; how long it took."""
    begin = time.perf_counter()
    with connection.cursor() as cursor:
        cursor.execute(statement)
        cursor.fetchone()
    return (time.perf_counter() - begin) * 1000


def measure(dsn: str, label: str) -> None:
    """Print the figures of one scene."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.prepare_threshold = 0
        look = QuietLook(connection)
        ticks: list[float] = []
        locks: list[float] = []
        sessions: list[float] = []
        for number in range(ROUNDS + 20):
            begin = time.perf_counter()
            look.look()
            tick = (time.perf_counter() - begin) * 1000
            raw_locks, raw_sessions = milliseconds(connection, LOCKS), milliseconds(connection, ACTIVITY)
            if number >= 20:
                ticks.append(tick)
                locks.append(raw_locks)
                sessions.append(raw_sessions)
    tick, raw_locks, raw_sessions = (statistics.median(values) for values in (ticks, locks, sessions))
    print(
        f"{label:36} tick {tick:.3f} ms (by {look.by}), pg_lock_status {raw_locks:.3f} ms, "
        f"activity {raw_sessions:.3f} ms: {tick / raw_locks:.2f} x locks, "
        f"{tick / min(raw_locks, raw_sessions):.2f} x the cheaper (at most 1.3)",
        flush=True,
    )


def main() -> None:
    """Run both scenes on a throwaway server."""
    with throwaway({"max_connections": "1100", "max_locks_per_transaction": "256"}, on_disk=True) as server:
        name = server.create_database()
        dsn = server.dsn(name)
        vaults.install(dsn)
        scenes = Scenes(dsn)
        try:
            with Crowd(dsn) as crowd:
                scenes.granted(crowd, 5000, 50)
                measure(dsn, "5,000 locks, 50 sessions (at most 0.5)")
            for connections in (100, 200, 1000):
                with Crowd(dsn) as crowd:
                    for _ in range(connections):
                        crowd.open()
                    measure(dsn, f"{connections:,} idle connections")
        finally:
            scenes.close()


if __name__ == "__main__":
    main()
