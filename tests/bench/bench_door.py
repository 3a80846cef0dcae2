"""The door under the hammer, and how fast an armed policy frees those who wait.

    python -m tests.bench.bench_door [ATTEMPTS] [POLICY_ROUNDS]

ATTEMPTS (10,000) with sessions that ended, pids given again, other transactions and statements, uncommitted
requests and missing rights, every 50th the right one. To reach: 0 wrong sessions signalled (by the server's
log), every attempt on the record. Then POLICY_ROUNDS (10), the loop at its defaults: from an armed policy's
condition becoming true until the blocked session runs again, under 5 s. And what a round costs while all of
them are off, under 1 ms.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict

from lockmon.calls import door as calls
from tests.support import doors, hammer, vaults
from tests.support.servers import Server, throwaway

BLOCKED_SECONDS = 2
PROJECT = Path(__file__).resolve().parents[2]


def url(server: Server, dsn: str) -> str:
    """A database of the cluster as a URL, as the settings want it."""
    folder = str(server.socket_directory).replace("/", "%2F")
    return f"postgresql://postgres@{folder}:{server.port}/{conninfo_to_dict(dsn)['dbname']}"


def hammering(server: Server, attempts: int) -> bool:
    """Hammer a fresh vault and print what came of it."""
    name = server.create_database()
    dsn = server.dsn(name)
    vaults.install(dsn)
    doors.prepare(server, dsn)
    began = time.monotonic()
    tally = hammer.run(dsn, attempts)
    seconds = time.monotonic() - began
    signalled = hammer.really_signalled(server.log_directory)
    wrong = signalled - tally.meant
    tried = sum(tally.attempts.values())
    recorded = hammer.recorded(dsn)
    for (kind, code), count in sorted(tally.outcomes.items()):
        print(f"  {kind:<22} {code:<44} {count:>6,}")
    after_restart = restarted(server, dsn)
    print(f"after a restart of the server: {after_restart}")
    print(
        f"{tried:,} attempts in {seconds:.0f} s: {len(wrong)} wrong sessions signalled,"
        f" {len(signalled):,} right ones; {recorded:,} on the record"
    )
    return not wrong and recorded >= tried and after_restart in ("already_gone", "other_session")


def restarted(server: Server, dsn: str) -> str:
    """A request survives a restart of PostgreSQL; its session does not, whoever has its pid now."""
    victim = hammer.Victim(dsn, 19)
    keeper = doors.Door(psycopg.connect(dsn, user=doors.KEEPER, autocommit=True))
    asked = keeper.request("terminate", victim.pid)
    server.restart()
    keeper = doors.Door(psycopg.connect(dsn, user=doors.KEEPER, autocommit=True))
    crowd = [psycopg.connect(dsn, user=doors.ORDINARY, application_name="victim-after") for _ in range(20)]
    code = str(keeper.execute(asked["action_id"])["code"])
    for one in crowd:
        one.execute("SELECT 1")
        one.close()
    keeper.connection.close()
    return code


def policy_latency(server: Server, rounds: int) -> bool:
    """The loop in a process of its own, an armed policy, one blocker after the other."""
    dsn = server.dsn(server.create_database())
    vaults.install(dsn)
    doors.prepare(server, dsn)
    keeper = psycopg.connect(dsn, user=doors.KEEPER, autocommit=True)
    rules = {
        "action": "terminate",
        "min_severity": "LOW",
        "min_blocked_seconds": BLOCKED_SECONDS,
        "max_per_hour": 1000,
        "breaker_failures": 100,
    }
    with keeper.cursor() as cursor:
        calls.save_policy(cursor, "bench", rules, "ann")
        calls.backtest_policy(cursor, "bench", None, None, "ann")
        assert calls.set_policy_mode(cursor, "bench", "armed", "bench", "bob", 2).accepted
    hammer.prepare(dsn)
    process = subprocess.Popen(
        [sys.executable, "manage.py", "lockmon_monitor"],
        cwd=PROJECT,
        env=os.environ
        | {
            "DJANGO_SETTINGS_MODULE": "onevault.settings",
            "SECRET_KEY": "only-for-tests-" * 4,
            "VAULT_DATABASE_URL": url(server, dsn),
            "DATABASE_URL": url(server, server.dsn("postgres")),
        },
        stdout=subprocess.DEVNULL,
    )
    latencies: list[float] = []
    try:
        for number in range(rounds):
            victim = hammer.Victim(dsn, number % 20 + 1)
            due = time.monotonic() + BLOCKED_SECONDS
            assert victim.waiter is not None
            victim.waiter.pgconn.get_result()
            latencies.append(time.monotonic() - due)
            victim.end()
    finally:
        process.terminate()
        process.wait(20)
    print(
        f"armed policy, {rounds} rounds: from condition true to running again median"
        f" {statistics.median(latencies):.2f} s, longest {max(latencies):.2f} s (to reach: under 5 s)"
    )
    return max(latencies) < 5


def all_off(server: Server) -> None:
    """Print what a round of the policies costs while every one of them is off."""
    dsn = server.dsn(server.create_database())
    vaults.install(dsn)
    doors.prepare(server, dsn)
    tooks: list[float] = []
    with psycopg.connect(dsn, user=doors.KEEPER, autocommit=True) as connection:
        with connection.cursor() as cursor:
            rules = {"action": "terminate", "min_severity": "LOW", "min_blocked_seconds": 5}
            calls.save_policy(cursor, "bench", rules, "ann")
        for _ in range(200):
            began = time.perf_counter()
            connection.execute("SELECT * FROM lock_admin.run_policies()").fetchall()
            tooks.append((time.perf_counter() - began) * 1000)
    print(f"all policies off: a round takes {statistics.median(tooks):.2f} ms (to reach: under 1 ms)")


def main(arguments: list[str]) -> int:
    """Run all; 0 only if the figures of safety and latency are reached."""
    attempts = int(arguments[0]) if arguments else 10_000
    rounds = int(arguments[1]) if len(arguments) > 1 else 10
    with throwaway({"log_min_messages": "warning"}, on_disk=True) as server:
        all_off(server)
        good = hammering(server, attempts) if attempts else True
        return int(not ((policy_latency(server, rounds) if rounds else True) and good))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
