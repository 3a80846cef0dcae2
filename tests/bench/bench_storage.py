"""How fast the vault grows: an hour's worth of pgbench at 200 transactions a second, with some blocking.

    python -m tests.bench.bench_storage [SECONDS]

Runs pgbench with ten clients at 200 transactions a second for SECONDS (360), and beside it a session that
blocks two
others for eight seconds out of twenty; prints what the vault's tables and indexes grew by, extrapolated to
a day.
The figure to reach: at most 20 MB a day. Each extrapolation assumes that the growth is linear, which a
short run
overstates: first pages and indexes weigh more in it.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time

import psycopg

from tests.bench.crowd import until
from tests.support import vaults
from tests.support.loops import rows, start_process, status
from tests.support.servers import throwaway

SIZE = (
    "SELECT sum(pg_total_relation_size(c.oid))::bigint AS bytes FROM pg_class c"
    " JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE n.nspname IN ('lock_monitoring', 'lock_engine', 'lock_log', 'monitoring', 'lock_admin')"
    " AND c.relkind IN ('r', 'm')"
)
ROWS = (
    "SELECT (SELECT count(*) FROM lock_monitoring.lock_activity_s) AS locks,"
    " (SELECT count(*) FROM lock_monitoring.blocking_session_s) AS blocking"
)


def block(dsn: str, stop: threading.Event) -> None:
    """Two sessions wait behind a third, eight seconds out of twenty."""
    statement = "UPDATE pgbench_branches SET filler = 'blocked' WHERE bid = 10"
    while not stop.wait(12):
        with psycopg.connect(dsn) as holder:
            holder.execute("SELECT pg_advisory_xact_lock(4711)")
            waiters = [threading.Thread(target=wait, args=(dsn,)) for _ in range(2)]
            for waiter in waiters:
                waiter.start()
            stop.wait(8)
            holder.execute(statement)
            holder.rollback()
            for waiter in waiters:
                waiter.join()


def wait(dsn: str) -> None:
    """Wait for the blocker's lock and let go."""
    with psycopg.connect(dsn) as connection:
        connection.execute("SELECT pg_advisory_xact_lock(4711)")


def main() -> None:
    """Run it and print the growth."""
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 360
    with throwaway({"autovacuum_naptime": "10s"}) as server:
        dsn, web = server.dsn(server.create_database()), server.dsn(server.create_database())
        vaults.install(dsn)
        subprocess.run(
            [server.program("pgbench"), "-i", "-q", "-s", "10", dsn], check=True, capture_output=True
        )
        loop = start_process(dsn, web)
        stop = threading.Event()
        blocking = threading.Thread(target=block, args=(dsn, stop), daemon=True)
        try:
            until(lambda: status(dsn).state == "watching", "the loop", 30)
            before = int(str(rows(dsn, SIZE)[0]["bytes"]))
            began = time.monotonic()
            blocking.start()
            load = ["-n", "-c", "10", "-j", "1", "-R", "200", "-T", str(seconds)]
            subprocess.run([server.program("pgbench"), *load, dsn], check=True, capture_output=True)
            stop.set()
            blocking.join(30)
            lasted = time.monotonic() - began
            after, stored = int(str(rows(dsn, SIZE)[0]["bytes"])), rows(dsn, ROWS)[0]
        finally:
            loop.send_signal(signal.SIGTERM)
            loop.communicate()
    day = (after - before) / lasted * 86400 / 1e6
    print(
        f"grew {(after - before) / 1e6:.2f} MB in {lasted:.0f} s, from {before / 1e6:.2f} MB: {day:.1f} MB a day "
        f"(at most 20); rows stored: {stored}"
    )


if __name__ == "__main__":
    main()
