"""kill -9 of everything at random moments: each gap is recorded, and nothing is claimed inside one."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from tests.support.killing import Truth, played
from tests.support.servers import Server

# A client knows the moment before its statement and that after it, not those between.
CLIENT = 0.25
EXACT = 1.0


@pytest.fixture
def web_db(server: Server) -> Iterator[str]:
    """A database of its own for Django's tables and the queue."""
    name = server.create_database()
    yield server.dsn(name)
    server.drop_database(name)


@pytest.mark.slow
def test_a_minute_with_two_kills(server: Server, vault_db: str, web_db: str) -> None:
    compare(server, vault_db, web_db, seconds=60, kills=2)


@pytest.mark.long
def test_a_quarter_of_an_hour_with_ten_kills(server: Server, vault_db: str, web_db: str) -> None:
    minutes = float(os.environ.get("KILLED_MINUTES", "15"))
    compare(server, vault_db, web_db, seconds=60 * minutes, kills=10)


def compare(server: Server, vault: str, web: str, *, seconds: float, kills: int) -> None:
    """Play and compare; the seed is printed, and taken from KILLED_SEED if that is set."""
    seed = int(os.environ.get("KILLED_SEED", random.randrange(10**6)))
    print(f"KILLED_SEED={seed}")
    with played(server, vault, web, seconds=seconds, kills=kills, seed=seed) as truth:
        pass
    with psycopg.connect(vault, autocommit=True, row_factory=dict_row) as connection:
        gaps = recorded(connection, truth)
        claimed = inside(connection, truth, gaps)
    assert claimed == [], f"KILLED_SEED={seed}"


Gap = tuple[float, float]


def recorded(connection: psycopg.Connection[dict[str, Any]], truth: Truth) -> list[Gap]:
    """The gaps that were recorded; each kill's is one of them, to within a second."""
    found = [
        (row["s"], row["e"])
        for row in connection.execute(
            "SELECT extract(epoch FROM span_start)::float8 AS s, extract(epoch FROM span_end)::float8 AS e"
            " FROM lock_engine.unwatched_spans((SELECT first_look_at FROM lock_engine.watch_state), now())"
        )
    ]
    worst_start = worst_end = 0.0
    for kill in truth.kills:
        (gap,) = [gap for gap in found if gap[0] < kill.looked and gap[1] > kill.at]
        # it did not look after its last sign, and was looking a second before it at the latest
        worst_start = max(worst_start, abs(gap[0] - kill.last_sign))
        worst_end = max(worst_end, kill.led - gap[1], gap[1] - kill.looked)
    print(
        f"{len(truth.kills)} kills, {len(found)} gaps; farthest from the truth: "
        f"beginning {worst_start:.2f} s, end {worst_end:.2f} s"
    )
    assert worst_start <= EXACT and worst_end <= EXACT, (truth.kills, found)
    return found


def inside(
    connection: psycopg.Connection[dict[str, Any]], truth: Truth, gaps: list[Gap]
) -> list[dict[str, Any]]:
    """What the vault says of a moment within a gap, although nobody looked and PostgreSQL proves nothing."""
    claims: list[dict[str, Any]] = []
    waits = {wait.pid: wait for wait in truth.waits}
    holds = {hold.pid: hold for hold in truth.holds}
    assert waits and connection.execute("SELECT 1 FROM lock_monitoring.blocking_session_s").fetchone()
    for start, end in gaps:
        if end - start < 2 * CLIENT:
            continue
        period = {"s": start + CLIENT, "e": end - CLIENT}
        for question, people in (
            (
                "SELECT 'wait' AS what, lock_pid AS pid, load_date, load_end_date, wait_start,"
                " resolution_action AS how FROM lock_monitoring.lock_activity_s"
                " WHERE NOT lock_granted AND load_date < to_timestamp(%(e)s)"
                " AND coalesce(load_end_date, 'infinity') > to_timestamp(%(s)s)",
                waits,
            ),
            (
                "SELECT 'episode' AS what, session_pid AS pid, load_date, load_end_date, blocking_since,"
                " ended_how AS how FROM lock_monitoring.blocking_session_s"
                " WHERE load_date < to_timestamp(%(e)s)"
                " AND coalesce(load_end_date, 'infinity') > to_timestamp(%(s)s)",
                holds,
            ),
        ):
            for row in connection.execute(question, period):
                person = people.get(row["pid"])
                # one that was seen before and after with the same beginning went on meanwhile
                if person is None or person.began > start + CLIENT or person.ended < end - CLIENT:
                    claims.append(row | {"gap": (start, end), "truth": person})
        lost = connection.execute(
            "SELECT sum(seconds) AS seconds FROM lock_engine.losses_between("
            "ARRAY['all'], to_timestamp(%(s)s), to_timestamp(%(e)s))",
            period,
        ).fetchone()
        if lost is not None and lost["seconds"]:
            claims.append({"what": "sum", "seconds": lost["seconds"], "gap": (start, end)})
        known = connection.execute(
            "SELECT lock_engine.watched_at(to_timestamp((%(s)s + %(e)s) / 2)) AS at,"
            " lock_engine.watched_share(to_timestamp(%(s)s), to_timestamp(%(e)s)) AS share",
            period,
        ).fetchone()
        if known is None or known["at"] or known["share"]:
            claims.append({"what": "watched", "gap": (start, end)})
    return claims
