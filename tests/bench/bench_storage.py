"""How fast the vault grows: an hour's worth of pgbench at 200 transactions a second, with some blocking.

    python -m tests.bench.bench_storage [SECONDS]

Runs pgbench with ten clients at 200 transactions a second for SECONDS (360), and beside it a session that
blocks two others for ten seconds every two and a half minutes; prints what the vault's tables and indexes
grew by, extrapolated to a day. The figure to reach: at most 20 MB a day. Pages are allocated eight kilobytes
at a time, which a short run overstates; so the rows of the run are copied a hundred times afterwards, and
a hundredth of what that adds is taken as their size.
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

WARM_UP = 60
COPIES = 100
COVERAGE_A_DAY = 0.7e6
"""Bytes of lock_engine.coverage, a row of about 240 bytes each half minute whatever happens."""
COPIED = (
    "lock_activity_h",
    "lock_activity_s",
    "blocking_session_h",
    "blocking_session_s",
    "lock_blocking_l",
)
SIZE = (
    "SELECT n.nspname || '.' || c.relname AS name, pg_total_relation_size(c.oid) AS bytes FROM pg_class c"
    " JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE n.nspname IN ('lock_monitoring', 'lock_engine', 'lock_log', 'monitoring', 'lock_admin')"
    " AND c.relkind IN ('r', 'm')"
)
ROWS = (
    "SELECT (SELECT count(*) FROM lock_monitoring.lock_activity_s) AS locks,"
    " (SELECT count(*) FROM lock_monitoring.blocking_session_s) AS blocking"
)


def block(dsn: str, stop: threading.Event) -> None:
    """Two sessions wait behind a third, ten seconds every two and a half minutes."""
    while not stop.wait(140):
        with psycopg.connect(dsn) as holder:
            holder.execute("SELECT pg_advisory_xact_lock(4711)")
            waiters = [threading.Thread(target=wait, args=(dsn,)) for _ in range(2)]
            for waiter in waiters:
                waiter.start()
            stop.wait(10)
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
    with throwaway({"autovacuum_naptime": "10s"}, on_disk=True) as server:
        dsn, web = server.dsn(server.create_database()), server.dsn(server.create_database())
        vaults.install(dsn)
        subprocess.run(
            [server.program("pgbench"), "-i", "-q", "-s", "50", dsn], check=True, capture_output=True
        )
        loop = start_process(dsn, web)
        stop = threading.Event()
        blocking = threading.Thread(target=block, args=(dsn, stop), daemon=True)
        try:
            until(lambda: status(dsn).state == "watching", "the loop", 30)
            blocking.start()
            load = [server.program("pgbench"), "-n", "-c", "10", "-j", "1", "-R", "200", dsn, "-T"]
            # the first pages of every table and index are there after this
            subprocess.run([*load, str(WARM_UP)], check=True, capture_output=True)
            before, rows_before = sizes(dsn), rows(dsn, ROWS)[0]
            began_at = str(rows(dsn, "SELECT clock_timestamp()::text AS now")[0]["now"])
            began = time.monotonic()
            subprocess.run([*load, str(seconds)], check=True, capture_output=True)
            lasted = time.monotonic() - began
            after, rows_after = sizes(dsn), rows(dsn, ROWS)[0]
        finally:
            stop.set()
            loop.send_signal(signal.SIGTERM)
            loop.communicate()
        copied = sum(copy_growth(dsn, table, began_at) for table in COPIED)
    grown = {name: size - before.get(name, 0) for name, size in after.items() if size > before.get(name, 0)}
    for name, size in sorted(grown.items(), key=lambda one: -one[1]):
        print(f"  {name:45} {size / 1024:8.0f} kB")
    total = sum(grown.values())
    stored = {kind: int(str(rows_after[kind])) - int(str(rows_before[kind])) for kind in rows_after}
    print(
        f"grew {total / 1e6:.2f} MB of pages in {lasted:.0f} s; rows stored meanwhile: {stored}; "
        f"they take {copied / 1e6:.3f} MB with their indexes"
    )
    a_day = copied / lasted * 86400 + COVERAGE_A_DAY
    print(f"{a_day / 1e6:.1f} MB a day (at most 20)")


def copy_growth(dsn: str, table: str, since: str) -> float:
    """Bytes that the rows stored since then take with their indexes: what a hundred copies of each add,
    over a
    hundred, because a few rows fill no page of their own."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        columns = [
            str(name)
            for (name,) in connection.execute(
                "SELECT column_name FROM information_schema.columns WHERE table_schema = 'lock_monitoring'"
                " AND table_name = %s AND is_identity = 'NO' ORDER BY ordinal_position",
                [table],
            )
        ]

        def value(name: str) -> str:
            if name.endswith("_hk") and name != "tenant_hk":
                return f"sha256(t.{name} || int4send(g))"
            return f"left(t.{name}, 240) || '#' || g" if name.endswith("_bk") else f"t.{name}"

        size = "SELECT pg_total_relation_size(%s::regclass)"
        place = f"lock_monitoring.{table}"
        (before,) = connection.execute(size, [place]).fetchone() or (0,)
        connection.execute(
            f"INSERT INTO {place} ({', '.join(columns)}) SELECT {', '.join(map(value, columns))}"
            f" FROM {place} t, generate_series(1, {COPIES}) g WHERE t.load_date >= '{since}'"
        )
        (after,) = connection.execute(size, [place]).fetchone() or (0,)
        return float(after - before) / COPIES


def sizes(dsn: str) -> dict[str, int]:
    """Bytes of each table with its indexes, by name."""
    return {str(row["name"]): int(str(row["bytes"])) for row in rows(dsn, SIZE)}


if __name__ == "__main__":
    main()
