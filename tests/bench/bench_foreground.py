"""What the monitor costs the monitored: pgbench's transactions a second with the loop on and off.

    python -m tests.bench.bench_foreground [SLOTS] [SECONDS]

SLOTS (30) pairs of slots of SECONDS (10), the loop on in one of each pair, in random order; prints the
median of the ratios on / off. The figure to reach: at least 0.98.
"""

from __future__ import annotations

import random
import re
import signal
import statistics
import subprocess
import sys

from tests.bench.crowd import until
from tests.support import vaults
from tests.support.loops import start_process, status
from tests.support.servers import Server, throwaway

CLIENTS = 4


def pgbench(server: Server, dsn: str, *arguments: str) -> str:
    """Run pgbench and return what it printed."""
    done = subprocess.run(
        [server.program("pgbench"), "-n", *arguments, dsn], check=True, capture_output=True, text=True
    )
    return done.stdout


def tps(server: Server, dsn: str, seconds: int) -> float:
    """Transactions a second of one slot."""
    text = pgbench(server, dsn, "-c", str(CLIENTS), "-j", "1", "-T", str(seconds), "-N")
    found = re.search(r"tps = ([\d.]+)", text)
    assert found, text
    return float(found[1])


def with_loop(server: Server, dsn: str, web: str, seconds: int) -> float:
    """One slot with the loop watching."""
    process = start_process(dsn, web)
    try:
        until(lambda: status(dsn).state == "watching", "the loop", 30)
        return tps(server, dsn, seconds)
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate()


def main() -> None:
    """Run the slots and print the median."""
    slots = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    seconds = int(sys.argv[2]) if len(sys.argv) > 2 else 10
    dice = random.Random(7)
    ratios: list[float] = []
    with throwaway() as server:
        dsn, web = server.dsn(server.create_database()), server.dsn(server.create_database())
        vaults.install(dsn)
        pgbench(server, dsn, "-i", "-q", "-s", "10")
        tps(server, dsn, seconds)
        for slot in range(slots):
            if dice.random() < 0.5:
                on = with_loop(server, dsn, web, seconds)
                off = tps(server, dsn, seconds)
            else:
                off = tps(server, dsn, seconds)
                on = with_loop(server, dsn, web, seconds)
            ratios.append(on / off)
            print(f"slot {slot + 1:2}: on {on:8.1f}  off {off:8.1f}  ratio {on / off:.3f}", flush=True)
    quarter = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else [ratios[0]] * 3
    print(
        f"on / off: median {statistics.median(ratios):.3f} (at least 0.98), quartiles {quarter[0]:.3f} "
        f"to {quarter[2]:.3f}, {len(ratios)} pairs of {seconds} s, {CLIENTS} clients"
    )


if __name__ == "__main__":
    main()
