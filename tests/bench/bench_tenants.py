"""How long the application waits for its tenants' rows because of the monitor.

    python -m tests.bench.bench_tenants

A storm: 20 tenants, 200 sessions; half of them come anew all the time, so that every cycle has hubs to
write for every tenant. Beside it cycles one after the other, without a rest, and an application that
takes one tenant after the other with SELECT .. FOR UPDATE and gives it back at once. Prints how long that
took (p50, p99, longest) with the cycles and without, and how long a cycle took.
"""

from __future__ import annotations

import itertools
import threading
import time
from typing import Any

import psycopg

from tests.bench.crowd import Crowd, Scenes
from tests.support import vaults
from tests.support.servers import throwaway

TENANTS = 20
SECONDS = 60.0
CYCLE = "SELECT * FROM lock_monitoring.run_lock_monitoring()"


def quantiles(values: list[float]) -> str:
    """The distribution in words; milliseconds."""
    ordered = sorted(values)
    return (
        f"p50 {ordered[len(ordered) // 2]:.1f} ms, p99 {ordered[int(len(ordered) * 0.99)]:.1f} ms,"
        f" longest {ordered[-1]:.1f} ms, {len(ordered):,} times"
    )


def take_tenants(dsn: str, seconds: float) -> list[float]:
    """Take and give back one tenant after the other; how long each taking took, in milliseconds."""
    took: list[float] = []
    end = time.monotonic() + seconds
    with psycopg.connect(dsn) as connection:
        for number in itertools.count():
            if time.monotonic() > end:
                return took
            began = time.perf_counter()
            connection.execute(
                "SELECT * FROM auth.tenant_h WHERE tenant_bk = %s FOR UPDATE", [f"T{number % TENANTS}"]
            )
            took.append((time.perf_counter() - began) * 1000)
            connection.commit()
            time.sleep(0.002)
    raise AssertionError("unreachable")


class Beside:
    """Something done again and again in a thread of its own until told to end."""

    def __init__(self, once: Any) -> None:
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, args=[once])
        self.took: list[float] = []
        self._thread.start()

    def _run(self, once: Any) -> None:
        while not self._ended.is_set():
            began = time.perf_counter()
            once()
            self.took.append((time.perf_counter() - began) * 1000)

    def end(self) -> list[float]:
        """How long each time took, in milliseconds."""
        self._ended.set()
        self._thread.join()
        return self.took


def main() -> None:
    """Run the benchmark on a throwaway server."""
    with throwaway({"max_connections": "320"}, on_disk=True) as server:
        dsn = server.dsn(server.create_database())
        vaults.install(dsn)
        scenes = Scenes(dsn)
        scenes.admin.execute(
            "INSERT INTO auth.tenant_h (tenant_hk, tenant_bk, record_source)"
            f" SELECT int4send(n), 'T' || n, 'bench' FROM generate_series(0, {TENANTS - 1}) n"
        )
        with Crowd(dsn) as crowd:
            numbers = itertools.count()

            def one_more() -> None:
                number = next(numbers)
                member = crowd.open()
                crowd.run(member, f"SET application_name = 'tenant=T{number % TENANTS}'")
                crowd.start(member, f"UPDATE account SET balance = 0 WHERE id = {number % 5 + 1}")

            for row in range(1, 6):
                root = crowd.open()
                crowd.run(root, "BEGIN")
                crowd.run(root, f"UPDATE account SET balance = 0 WHERE id = {row}")
            for _ in range(200):
                one_more()
            roots = 5

            def churn() -> None:
                crowd.leave(crowd.members[roots + 100])
                one_more()
                time.sleep(0.01)

            coming = Beside(churn)
            print(f"without cycles: {quantiles(take_tenants(dsn, SECONDS / 4))}", flush=True)
            watcher = psycopg.connect(dsn, autocommit=True)
            watcher.prepare_threshold = 0
            cycles = Beside(lambda: watcher.execute(CYCLE).fetchone())
            time.sleep(1)
            print(f"with cycles:    {quantiles(take_tenants(dsn, SECONDS))} (p99 at most 50)", flush=True)
            print(f"a cycle took:   {quantiles(cycles.end())}", flush=True)
            coming.end()
            aside = watcher.execute("SELECT count(*) FROM lock_engine.aside_lock_activity_h").fetchone()
            print(f"aside at the end: {aside and aside[0]} hubs", flush=True)
            watcher.close()
        scenes.close()


if __name__ == "__main__":
    main()
