"""What a monitoring cycle costs in instructions, which no noise of the machine touches.

    python -m tests.bench.bench_instructions

The scene is that of `bench_cycle locks`: 5,000 granted locks in 50 transactions, nobody waiting. The server
runs under valgrind's callgrind (Debian's package valgrind), some fifty times slower, which counts the
instructions in user space of the session that looks: of one raw reading (`count(*)` of pg_lock_status()
plus of pg_stat_get_activity(NULL)), of a first capture, of that capture's rows alone, written again by two
plain INSERTs, of a cycle with nothing changed and of one with 5 % changed; then of the waits-for graph,
and of a first capture with it, where 100 to 250 sessions wait. The figures repeat to 1 % on one
machine, however busy it is. The ratio of the times, of bench_cycle, has been seen 30 % below these and 15 %
above them: what a processor makes of writing against reading differs. Takes three to five minutes.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import psycopg

from onevault.embedded import account as accounts
from tests.bench.bench_cycle import CYCLE, RAW, Rows, empty_vault, milliseconds, other_locks
from tests.bench.crowd import Crowd, Scenes, until
from tests.support import vaults
from tests.support.servers import Server, throwaway

MARK = "pg_jit_available"
"""A function of PostgreSQL that nothing else calls: callgrind writes its counts whenever it is entered."""


def restart_under_valgrind(server: Server, counts: Path) -> None:
    """Restart the server so that each of its processes counts its instructions into `counts`."""
    start = accounts.start
    valgrind = [
        "valgrind",
        "--tool=callgrind",
        f"--dump-before={MARK}",
        f"--callgrind-out-file={counts}/%p",
    ]

    def start_counting(command: list[str], **more: Any) -> Any:
        return start([*valgrind, *command], **more)

    server.cluster.stop()
    with mock.patch.object(accounts, "start", start_counting):
        server.cluster.start(deadline_seconds=180)


class Counter:
    """One connection like the loop's, and the instructions of what it runs."""

    def __init__(self, dsn: str, counts: Path) -> None:
        self.connection = psycopg.connect(dsn, autocommit=True)
        self.connection.prepare_threshold = 0
        self.counts = counts
        self.raw = 0

    def mark(self) -> None:
        """Have what was counted so far written down, and begin at 0."""
        milliseconds(self.connection, f"SELECT {MARK}()")

    def of(self, call: Callable[[], object]) -> int:
        """Instructions that the session's server process executed for `call`."""
        self.mark()
        call()
        self.mark()
        files = self.counts.glob(f"{self.connection.info.backend_pid}.*")
        last = max(files, key=lambda path: int(path.suffix[1:]))
        found = re.search(r"^(?:summary|totals): (\d+)", last.read_text(errors="replace"), re.MULTILINE)
        assert found is not None, f"callgrind wrote no sum into {last}"
        return int(found[1])

    def report(self, what: str, call: Callable[[], object], limit: float | None) -> None:
        """Measure, and print one line."""
        self.print(what, self.of(call), limit)

    def print(self, what: str, instructions: int, limit: float | None) -> None:
        """Print one line."""
        wanted = f"at most {limit}" if limit else "no limit given"
        print(
            f"{what:16} {instructions / self.raw:6.2f} x raw ({wanted});"
            f" {instructions / 1e6:.1f} million instructions",
            flush=True,
        )


def written(connection: psycopg.Connection[Any]) -> int:
    """Rows of the satellite that were ever written."""
    return int(
        milliseconds(
            connection, "SELECT coalesce(max(satellite_id), 0) FROM lock_monitoring.lock_activity_s"
        )[1]
    )


def count(dsn: str, counts: Path, limit: float) -> None:
    """Print the instructions of everything in the scene."""
    scenes = Scenes(dsn)
    with Crowd(dsn) as crowd:
        scenes.granted(crowd, 5000, 50)
        time.sleep(1.2)  # older than the second from which granted locks are kept
        counter = Counter(dsn, counts)
        connection = counter.connection
        empty, change = empty_vault(scenes), other_locks(scenes, crowd)

        def cycle() -> None:
            milliseconds(connection, CYCLE)

        for _ in range(2):
            milliseconds(connection, RAW)
            empty()
            cycle()
        counter.raw = counter.of(lambda: milliseconds(connection, RAW))
        print(f"raw: {counter.raw / 1e6:.1f} million instructions", flush=True)
        empty()
        counter.report("first capture", cycle, 45)
        rows = Rows(connection)
        empty()
        counter.report("its rows alone", rows.write, None)
        cycles: tuple[tuple[str, float, Callable[[], None], int], ...] = (
            ("unchanged", limit, lambda: None, 0),
            ("5 % changed", 15, change, 1000),
        )
        for what, wanted, prepare, most in cycles:
            for _ in range(5):
                # under valgrind a minute is soon over, after which every row that still holds is due again
                empty()
                cycle()
                prepare()
                cycle()
                prepare()
                before = written(connection)
                found = counter.of(cycle)
                if written(connection) - before <= most:
                    counter.print(what, found, wanted)
                    break
            else:
                print(f"{what}: not measured, this machine is too slow: the rows came due meanwhile")
        connection.close()
    scenes.close()


DELETED = (
    "DELETE FROM lock_monitoring.lock_blocking_l; DELETE FROM lock_monitoring.blocking_session_s;"
    " DELETE FROM lock_monitoring.blocking_session_h; DELETE FROM lock_monitoring.lock_activity_s;"
    " DELETE FROM lock_monitoring.lock_activity_h; UPDATE lock_engine.cycle_state SET digest = NULL"
)
"""Empties the vault as EMPTY does, but leaves every session its plans."""


def graphs(dsn: str, counts: Path) -> None:
    """Print the instructions of the waits-for graph alone, of a cycle that stores it, and of one that plans
    all of its statements, too, of four scenes."""
    scenes = Scenes(dsn)
    makers: tuple[tuple[str, int, Callable[[Crowd], None]], ...] = (
        ("200 on one row", 200, lambda crowd: scenes.one_row(crowd, 200)),
        ("10 trees of 10", 100, lambda crowd: scenes.trees(crowd, 10, 10)),
        ("DDL, 100 behind", 101, lambda crowd: scenes.queued_ddl(crowd, 100)),
        ("chain of 250", 250, lambda crowd: scenes.chain(crowd, 250)),
    )
    for label, waiters, make in makers:
        with Crowd(dsn) as crowd:
            make(crowd)
            until(lambda waiters=waiters: scenes.waiting() >= waiters, label, 600)  # type: ignore[misc]
            counter = Counter(dsn, counts)
            connection, empty = counter.connection, empty_vault(scenes)
            graph = "SELECT count(*) FROM lock_catalog.waits_for()"

            def delete() -> None:
                scenes.admin.execute(DELETED)

            for what, call, clear in (
                ("graph", graph, delete),
                ("cycle", CYCLE, delete),
                ("cycle and its plans", CYCLE, empty),
            ):
                # the names of all tenants are due every ten minutes, which is what the loop has a thread for
                scenes.admin.execute("SELECT lock_engine.ask_site()")
                for _ in range(3):
                    clear()
                    milliseconds(connection, call)
                clear()
                found = counter.of(partial(milliseconds, connection, call))
                print(f"{label}: {what} {found / 1e6:.1f} million instructions", flush=True)
            connection.close()
    scenes.close()


def main() -> None:
    """Run the benchmark on a throwaway server."""
    if shutil.which("valgrind") is None:
        print("skipped: this benchmark needs valgrind, install it (Debian: apt-get install valgrind)")
        return
    settings = {"max_connections": "290", "max_locks_per_transaction": "512", "autovacuum": "off"}
    # the folder outlives the server, whose processes write into it until their end
    with (
        tempfile.TemporaryDirectory(prefix="onevault-counts-") as folder,
        throwaway(settings, on_disk=True) as server,
    ):
        dsn = server.dsn(server.create_database())
        vaults.install(dsn)
        print(f"PostgreSQL {server.version}")
        counts = Path(folder)
        accounts.give(counts, server.cluster.account)
        restart_under_valgrind(server, counts)
        count(dsn, counts, 2.5 if server.version >= 14 else 3.5)
        graphs(dsn, counts)


if __name__ == "__main__":
    main()
