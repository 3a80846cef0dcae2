"""What the monitor costs the monitored: pgbench's transactions a second with the loop on and off.

    python -m tests.bench.bench_foreground [SLOTS] [SECONDS]

One pgbench runs all the time. The loop, with its helpers, is held (SIGSTOP) and let go on (SIGCONT) in SLOTS
(30) pairs of slots of SECONDS (10), on or off first at random; the second after each change is not counted.
Prints the median of the ratios on / off, and the processor time that the loop and its sessions took, which
does not depend on what else the machine does. The figure to reach: at least 0.98.
"""

from __future__ import annotations

import contextlib
import os
import queue
import random
import re
import signal
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO

from tests.bench.crowd import until
from tests.support import vaults
from tests.support.loops import rows, start_process, status
from tests.support.servers import Server, throwaway

CLIENTS = 4
PROGRESS = re.compile(r"^progress: [\d.]+ s, ([\d.]+) tps")
OWN_SESSIONS = (
    "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
    " AND backend_type = 'client backend' AND application_name NOT IN ('pgbench', 'bench')"
)


class Load:
    """A pgbench that says each second how many transactions it did."""

    def __init__(self, server: Server, dsn: str) -> None:
        self._seconds: queue.Queue[float] = queue.Queue()
        self.process = subprocess.Popen(
            [
                server.program("pgbench"),
                "-n",
                "-c",
                str(CLIENTS),
                "-j",
                "1",
                "-N",
                "-P",
                "1",
                "-T",
                "86400",
                dsn,
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stderr is not None
        threading.Thread(target=self._read, args=(self.process.stderr,), daemon=True).start()

    def _read(self, lines: IO[str]) -> None:
        for line in lines:
            found = PROGRESS.match(line)
            if found:
                self._seconds.put(float(found[1]))

    def tps(self, seconds: int) -> float:
        """The mean of so many whole seconds from now; the one that has begun and the next are left out."""
        while not self._seconds.empty():
            self._seconds.get()
        for _ in range(2):
            self._seconds.get(timeout=60)
        return statistics.mean(self._seconds.get(timeout=60) for _ in range(seconds))

    def close(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait(30)


class ProcessorTime:
    """User and system time of the loop and of its sessions, which may come and go."""

    def __init__(self, loop: int, dsn: str) -> None:
        self._loop = loop
        self._dsn = f"{dsn} application_name=bench"
        self._seen: dict[int, int] = {}

    def seconds(self) -> float:
        """What they have taken so far; of a session that has ended what was last seen of it."""
        for pid in (self._loop, *(int(str(row["pid"])) for row in rows(self._dsn, OWN_SESSIONS))):
            with contextlib.suppress(FileNotFoundError):
                fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
                self._seen[pid] = int(fields[11]) + int(fields[12])
        return sum(self._seen.values()) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Run the slots and print the median."""
    slots = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    seconds = int(sys.argv[2]) if len(sys.argv) > 2 else 10
    dice = random.Random(7)
    ratios: list[float] = []
    busy = watched = 0.0
    with throwaway(on_disk=True) as server:
        dsn, web = server.dsn(server.create_database()), server.dsn(server.create_database())
        vaults.install(dsn)
        subprocess.run(
            [server.program("pgbench"), "-i", "-q", "-s", "10", dsn], check=True, capture_output=True
        )
        loop = start_process(dsn, web, helpers=True)
        load = Load(server, dsn)
        try:
            until(lambda: status(dsn).state == "watching", "the loop", 30)
            load.tps(seconds)
            own = ProcessorTime(loop.pid, dsn)

            def slot(on: bool) -> float:
                nonlocal busy, watched
                loop.send_signal(signal.SIGCONT if on else signal.SIGSTOP)
                before, began = own.seconds(), time.monotonic()
                found = load.tps(seconds)
                if on:
                    busy += own.seconds() - before
                    watched += time.monotonic() - began
                return found

            for number in range(slots):
                first = dice.random() < 0.5
                figures = {first: slot(first), (not first): slot(not first)}
                ratios.append(figures[True] / figures[False])
                print(
                    f"slot {number + 1:2}: on {figures[True]:8.1f}  off {figures[False]:8.1f}"
                    f"  ratio {ratios[-1]:.3f}",
                    flush=True,
                )
        finally:
            loop.send_signal(signal.SIGCONT)
            loop.send_signal(signal.SIGTERM)
            loop.communicate()
            load.close()
    quarter = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else [ratios[0]] * 3
    print(
        f"on / off: median {statistics.median(ratios):.3f} (at least 0.98), quartiles {quarter[0]:.3f} "
        f"to {quarter[2]:.3f}, {len(ratios)} pairs of {seconds} s, {CLIENTS} clients\n"
        f"processor time of the loop and its sessions: {busy / watched:.2%} of a core"
    )


if __name__ == "__main__":
    main()
