"""The rescue plan against brute force in graphs made by chance, and its price beside the reading of a graph.

    python -m tests.bench.bench_plan [graphs]

First real sessions wait, as in bench_cycle: the graph is read and planned in turn in one session, and the
figures are what that backend had of a processor (/proc, so that a busy machine counts little), medians of 15.
Then 1,000 graphs of up to 1,000 waiters: the plan has to be, step by step, the one that trying every stop and
every two of the thirty finds (tests/support/plans.py), and its time is printed. Takes ten minutes.
"""

from __future__ import annotations

import random
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psycopg

from tests.bench.crowd import Crowd, Scenes, until
from tests.support import plans, vaults
from tests.support.servers import Server, throwaway

MEASURE = """
CREATE FUNCTION pg_temp.measure(p_times integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
  v_graph lock_catalog.graph[] := ARRAY(SELECT w::lock_catalog.graph FROM lock_catalog.waits_for() AS w);
BEGIN
  FOR i IN 1 .. p_times LOOP
    PERFORM * FROM lock_catalog.rescue_plan(v_graph, now(), 0, '{}', '{}');
  END LOOP;
  RETURN cardinality(v_graph);
END $$
"""
TIMED = """
CREATE FUNCTION pg_temp.timed(p_graph jsonb) RETURNS double precision LANGUAGE plpgsql AS $$
DECLARE
  v_graph lock_catalog.graph[] := ARRAY(
    SELECT r FROM jsonb_populate_recordset(NULL::lock_catalog.graph, p_graph) AS r);
  v_began timestamptz := clock_timestamp();
BEGIN
  PERFORM * FROM lock_catalog.rescue_plan(v_graph, now(), 0, '{}', '{}');
  RETURN date_part('epoch', clock_timestamp() - v_began) * 1000;
END $$
"""


def processor(pid: int) -> float:
    """Milliseconds that a process had of a processor so far."""
    return int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[0]) / 1e6


def beside_reading(dsn: str, name: str, fill: Callable[[Scenes, Crowd], None], waiters: int) -> float:
    """Print what reading a graph of real sessions costs, and the plan of it; returns the ratio."""
    scenes = Scenes(dsn)
    scenes.admin.execute("ALTER TABLE account OWNER TO bench_user")
    with Crowd(dsn.replace("user=postgres", "user=bench_user")) as crowd:
        fill(scenes, crowd)
        until(lambda: scenes.waiting() >= waiters, f"{waiters} waiters")
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(MEASURE)
            pid = connection.info.backend_pid

            def cost(times: int) -> float:
                began = processor(pid)
                connection.execute("SELECT pg_temp.measure(%s)", (times,))
                return processor(pid) - began

            for _ in range(3):
                cost(1)
            reads, both = [], []
            for _ in range(15):
                reads.append(cost(0))
                both.append(cost(5))
            read = statistics.median(reads)
            plan = (statistics.median(both) - read) / 5
    scenes.close()
    print(
        f"{name:34} reading {read:6.1f} ms, plan {plan:5.2f} ms: {plan / read:.3f} (at most 0.1 wanted)",
        flush=True,
    )
    return plan / read


def real_scenes(server: Server, dsn: str) -> None:
    """The scenes of bench_cycle, small and large."""
    server.execute("CREATE ROLE bench_user LOGIN")
    if server.version >= 15:
        server.execute("GRANT SET ON PARAMETER deadlock_timeout TO bench_user")
    beside_reading(dsn, "one row, 300 waiters", lambda s, c: s.one_row(c, 300), 300)
    beside_reading(dsn, "one row, 1,000 waiters", lambda s, c: s.one_row(c, 1000), 1000)
    beside_reading(dsn, "11 roots, 440 waiters", lambda s, c: s.trees(c, 11, 40), 440)
    beside_reading(dsn, "100 roots, 1,000 waiters", lambda s, c: s.trees(c, 100, 10), 1000)
    beside_reading(dsn, "queued DDL, 400 readers", lambda s, c: s.queued_ddl(c, 400), 401)
    beside_reading(dsn, "queued DDL, 1,000 readers", lambda s, c: s.queued_ddl(c, 1000), 1001)
    if server.version >= 15:
        beside_reading(dsn, "chain of 300", lambda s, c: s.chain(c, 300), 300)
        beside_reading(dsn, "chain of 1,000", lambda s, c: s.chain(c, 1000), 1000)


def by_chance(dsn: str, graphs: int) -> int:
    """Compare so many plans with brute force; returns how many differ."""
    took, tried, wrong, stopped = [], 0, 0, 0
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(TIMED)
        for seed in range(graphs):
            chance = random.Random(10_000 + seed)
            nodes = plans.by_chance(chance, chance.randint(1, 1000))
            brute = plans.Brute(nodes)
            found = plans.stops(plans.ask(connection, nodes))
            tried += brute.tried
            stopped += len(found)
            if found != brute.steps:
                wrong += 1
                print(f"seed {10_000 + seed}: {found} is not {brute.steps}")
            row = connection.execute("SELECT pg_temp.timed(%s::jsonb)", (plans.as_json(nodes),)).fetchone()
            assert row is not None
            took.append(float(row[0]))
    took.sort()
    print(
        f"{graphs:,} graphs by chance of up to 1,000 waiters: {graphs - wrong:,} plans are the best of"
        f" {tried:,} simulations ({stopped:,} steps); a plan takes {statistics.median(took):.1f} ms,"
        f" p95 {took[int(len(took) * 0.95) - 1]:.1f} ms"
    )
    return wrong


def main(graphs: int = 1000) -> int:
    """Run all of it on a throwaway server; the exit code."""
    with throwaway({"max_connections": "1200", "deadlock_timeout": "10min"}) as server:
        name = server.create_database(name="bench_plan")
        vaults.install(server.dsn(name))
        real_scenes(server, server.dsn(name))
        began = time.perf_counter()
        wrong = by_chance(server.dsn(name), graphs)
        print(f"in {time.perf_counter() - began:.0f} s")
        return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000))
