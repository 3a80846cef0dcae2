"""How long did they wait, and how did it end? Waits of short connections against the running loop.

    python -m tests.bench.bench_endings [--granted 200] [--otherwise 40] [--log on|off] [--seed 1]

200 waits of connections that end with their statement, and 40 that end otherwise than by a grant:
lock_timeout, cancel, terminate, deadlock, a statement that fails after its wait (40001, 23505), a client that
goes away. The truth is the client's clock and error code. Without the log: the truth lies inside every
interval, no ending is wrong, and the median interval is at most 1.2 cycles wide. With it, of the waits longer
than deadlock_timeout: 99.5 % of the endings are right and their sum is right to 0.5 %. Which PostgreSQL:
LOCKMON_PG_BIN.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections import Counter

import psycopg

from tests.bench.crowd import until
from tests.support import ended_waits, vaults
from tests.support.loops import start_process, status
from tests.support.servers import throwaway
from tests.support.stored import Stored

TICK = 1.0
"""Seconds between two cycles of the loop while somebody waits."""


def run(options: argparse.Namespace) -> bool:
    """One configuration; whether its figures were reached."""
    logged = options.log == "on"
    settings = {} if logged else {"logging_collector": "off", "log_destination": "stderr"}
    with throwaway(settings, on_disk=True) as server:
        dsn = server.dsn(server.create_database())
        vaults.install(dsn)
        loop = start_process(dsn, server.dsn(server.create_database()))
        try:
            until(lambda: status(dsn).state == "watching", "the loop watching", 60)
            began = time.time()
            truths = ended_waits.make(
                dsn, options.granted, options.otherwise, lambda chance: chance.uniform(0.2, 4.0), options.seed
            )
            took = time.time() - began
            with psycopg.connect(dsn, autocommit=True) as connection:
                stored = Stored(connection)
                waiting = "SELECT count(*) FROM lock_monitoring.lock_activity_s WHERE load_end_date IS NULL"
                until(lambda: stored.value(f"{waiting} AND NOT lock_granted") == 0, "the last end", 60)
                time.sleep(3)
                stored.cycle()
                rows = stored.rows(ended_waits.STORED)
                summed = stored.rows(
                    "SELECT w.session AS pid, extract(epoch FROM w.wait_start)::float8 AS began,"
                    " w.wait_seconds::float8 AS seconds"
                    " FROM lock_engine.waits_between(NULL, to_timestamp(%s), clock_timestamp()) w",
                    began,
                )
        finally:
            loop.terminate()
            loop.wait(20)
        major = server.version
    pairs = ended_waits.pair(truths, rows)
    wrong = [(truth, row, faults) for truth, row in pairs if (faults := ended_waits.faults(truth, row))]
    for truth, row, faults in wrong:
        print(f"  {', '.join(faults)}: {truth} {row}")
    widths = sorted(row["not_seen"] - row["seen"] for _, row in pairs if row["seen"] is not None)
    width = statistics.median(widths)
    long = [(truth, row) for truth, row in pairs if truth.seconds > 1.05]
    right = [truth for truth, row in long if row["how"] == truth.ending]
    missed = Counter(f"{truth.kind}: {row['how']}" for truth, row in long if row["how"] != truth.ending)
    real = sum(truth.seconds for truth, _ in long)
    seconds = {(row["pid"], row["began"]): row["seconds"] for row in summed}
    said = sum(seconds[row["lock_pid"], row["began"]] for _, row in long)
    share = len(right) / len(long)
    print(
        f"PostgreSQL {major}, log {options.log}: {len(truths)} waits in {took:.0f} s,"
        f" {len(pairs)} seen by a look\n"
        f"  truth outside of the interval, or a wrong ending: {len(wrong)};"
        f" interval: median {width:.2f} s, largest {widths[-1]:.2f} s\n"
        f"  longer than deadlock_timeout: {len(long)}, ending right {len(right)} ({share:.1%}),"
        f" others {dict(missed)}\n"
        f"  sum of their seconds: {said:.2f} of {real:.2f} ({said / real - 1:+.2%})",
        flush=True,
    )
    reached = not wrong and width <= 1.2 * TICK
    return reached and (not logged or (share >= 0.995 and abs(said / real - 1) <= 0.005))


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--granted", type=int, default=200)
    parser.add_argument("--otherwise", type=int, default=40)
    parser.add_argument("--log", choices=("on", "off"), default="on")
    parser.add_argument("--seed", type=int, default=1)
    return 0 if run(parser.parse_args()) else 1


if __name__ == "__main__":
    sys.exit(main())
