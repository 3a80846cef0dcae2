"""Deep waits: what stands behind each session of a large forest is added up once, and exactly."""

from __future__ import annotations

import random

import pytest

from tests.conftest import Connect, OpenSession
from tests.sql.test_waits_for import check, graph, settled
from tests.support.sessions import Session
from tests.support.tangle import Tangle, prepare

SESSIONS = 100


@pytest.fixture
def scene(vault_db: str) -> str:
    """A database with the vault and the tables of the scenes."""
    prepare(vault_db)
    return vault_db


def forest(tangle: Tangle, session: OpenSession, depth: int) -> list[Session]:
    """Each session holds a key and waits for that of one of the `depth` before it; the first and the
    second wait for nobody."""
    grown = [tangle.join() for _ in range(SESSIONS)]
    for number, one in enumerate(grown):
        one.run("SELECT pg_advisory_lock(%s)", [1000 + number])
    # who stands nearer to a root has not always waited longer
    for number in tangle.chance.sample(range(2, SESSIONS), SESSIONS - 2):
        wanted = 1000 + tangle.chance.randrange(max(0, number - depth), number)
        tangle.act(grown[number], f"SELECT pg_advisory_lock({wanted})")
    return grown


@pytest.mark.parametrize("depth", [1, 2])
def test_a_forest_of_waits_is_added_up_as_pg_blocking_pids_tells_it(
    scene: str, connect: Connect, session: OpenSession, depth: int
) -> None:
    look = connect(scene)
    tangle = Tangle(scene, session, random.Random(depth), look)
    grown = forest(tangle, session, depth)
    truth, nodes = settled(look)
    check(truth, nodes, "a forest")

    moments: list[float] = []
    behind: dict[int, set[int]] = {node: set() for node in nodes}
    for waiter, row in nodes.items():
        met, ahead = set(), set(row["hard_blockers"]) | set(row["soft_blockers"])
        while ahead:
            node = ahead.pop()
            met.add(node)
            behind[node].add(waiter)
            ahead |= (set(nodes[node]["hard_blockers"]) | set(nodes[node]["soft_blockers"])) - met
    for node, waiters in behind.items():
        first = min((nodes[one]["wait_start"] for one in waiters), default=None)
        assert nodes[node]["blocking_since"] == first, (node, nodes[node])
        assert (nodes[node]["blocked_seconds"] is None) == (not waiters)
        if waiters:  # all count to one moment
            starts = sum(nodes[one]["wait_start"].timestamp() for one in waiters)
            moments.append((float(nodes[node]["blocked_seconds"]) + starts) / len(waiters))
    assert max(moments) - min(moments) < 0.01, moments
    # One that waits for two sessions, and a ring beside it: no forest any more.
    reader, writer = tangle.join(), tangle.join()
    grown[0].run("SELECT pg_advisory_lock_shared(7)")
    reader.run("SELECT pg_advisory_lock_shared(7)")
    tangle.act(writer, "SELECT pg_advisory_lock(7)")
    check(*settled(look), "one with two blockers")
    first, second = tangle.join(), tangle.join()
    first.run("SELECT pg_advisory_lock(1)")
    second.run("SELECT pg_advisory_lock(2)")
    tangle.act(first, "SELECT pg_advisory_lock(2)")
    tangle.act(second, "SELECT pg_advisory_lock(1)")
    check(*settled(look), "a ring beside a forest")
    writer.close()
    check(*settled(look), "a ring and a forest of one blocker each")
    assert sum(row["in_deadlock"] for row in graph(look).values()) == 2
