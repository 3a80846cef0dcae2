"""The waits-for graph against pg_blocking_pids(), in scenes made by chance and in scenes made on purpose."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from tests.conftest import Connect, OpenSession
from tests.support.poll import poll
from tests.support.servers import Server
from tests.support.tangle import Tangle, Truth, prepare, reachable

Graph = dict[int, dict[str, Any]]


def graph(connection: psycopg.Connection[Any]) -> Graph:
    """waits_for() by node."""
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute("SELECT * FROM lock_catalog.waits_for()").fetchall()
    found = {row["node"]: row for row in rows}
    assert len(found) == len(rows), "one row a node"
    return found


def ahead_in_run(nodes: Graph, row: dict[str, Any]) -> set[int]:
    """The waiters of the same run that stand before this one."""
    if not row["run_conflicts_itself"]:
        return set()
    return {
        other["node"]
        for other in nodes.values()
        if other["run_head"] == row["run_head"] and other["run_position"] < row["run_position"]
    }


def as_pids(nodes: Iterable[int]) -> frozenset[int]:
    """As pg_blocking_pids() writes them: a prepared transaction is 0."""
    return frozenset(max(node, 0) for node in nodes)


def settled(connection: psycopg.Connection[Any]) -> tuple[Truth, Graph]:
    """The graph and a truth that was the same before and after it was read."""

    def both() -> tuple[Truth, Graph] | None:
        before, nodes, after = Truth.read(connection), graph(connection), Truth.read(connection)
        waiting = {node for node, row in nodes.items() if row["is_waiting"]}
        # A wait shows in pg_locks a moment before it shows in the activity, by which an own wait is noticed.
        return (before, nodes) if before == after and waiting == set(before.edges) else None

    return poll(both, 15, "a scene at rest that the graph knows all waiters of")


def check(truth: Truth, nodes: Graph, story: str) -> None:
    """Blockers, roots, counts and cycles, each against what follows from pg_blocking_pids() alone."""
    class_edges: dict[int, frozenset[int]] = {}
    for node, row in nodes.items():
        if not row["is_waiting"]:
            assert not row["hard_blockers"] and not row["soft_blockers"] and not row["roots"], story
            continue
        run = ahead_in_run(nodes, row)
        hard, soft = set(row["hard_blockers"]), set(row["soft_blockers"])
        assert not hard & soft, (node, story)
        assert as_pids(hard | soft | run) == truth.edges[node], (node, row, truth.edges[node], story)
        if node not in truth.several_waits:
            assert as_pids(hard) == truth.hard[node], (node, row, truth.hard[node], story)
        class_edges[node] = frozenset(hard | soft)
        assert row["parent"] in nodes, (node, row, story)

    # The roots and the numbers, from the edges that were just proved. Nodes with their prepared transactions' ids.
    reach = reachable(class_edges)
    truly_reached = reachable(truth.edges)
    for node, row in nodes.items():
        behind = {waiter for waiter, reached in reach.items() if node in reached}
        assert row["blocked_total"] == len(behind), (node, row, behind, story)
        assert row["blocked_directly"] == sum(node in edges for edges in class_edges.values()), (node, row, story)
        assert row["is_root"] == (bool(behind) and not row["is_waiting"]), (node, row, story)
        assert row["in_deadlock"] == (node in reach.get(node, ())), (node, row, story)
        assert (row["severity"] is None) == (not behind), (node, row, story)
        if row["is_root"] and node > 0:
            assert behind == {w for w, reached in truly_reached.items() if node in reached}, (node, story)
        if row["is_waiting"]:
            roots = {n for n in reach[node] if not nodes[n]["is_waiting"]} or set(reach[node])
            assert set(row["roots"]) == roots, (node, row, roots, story)
            assert as_pids(roots) == (
                {n for n in truly_reached[node] if n not in truth.edges} or as_pids(reach[node])
            ), (node, story)
        else:
            assert behind, (node, "neither waits nor blocks", story)


@pytest.fixture
def scene(vault_db: str) -> str:
    """A database with the vault and the tables of the scenes."""
    prepare(vault_db)
    return vault_db


@pytest.mark.parametrize("seed", range(12))
def test_a_random_tangle_is_seen_as_pg_blocking_pids_sees_it(
    scene: str, connect: Connect, session: OpenSession, seed: int
) -> None:
    look = connect(scene)
    tangle = Tangle(scene, session, random.Random(seed), look)
    tangle.begin(14)
    if seed % 3 == 0:
        tangle.parallel_query()
    for number in range(36):
        if number in (8, 20) and seed % 2 == 0:
            tangle.prepare_transaction()
        if number == 24 and seed % 4 < 2:
            tangle.build_index()
        tangle.step()
        if number % 6 == 5:
            truth, nodes = settled(look)
            check(truth, nodes, "\n".join(tangle.history))
    assert truth.edges, "the scene has waiters"
