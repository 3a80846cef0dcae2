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


def graph(connection: psycopg.Connection[Any], source: str = "lock_catalog.waits_for()") -> Graph:
    """The graph by node."""
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(f"SELECT * FROM {source}").fetchall()
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

    # The roots and the numbers, from the edges that were just proved.
    reach = reachable(class_edges)
    truly_reached = reachable(truth.edges)
    for node, row in nodes.items():
        behind = {waiter for waiter, reached in reach.items() if node in reached}
        assert row["blocked_total"] == len(behind), (node, row, behind, story)
        assert row["blocked_directly"] == sum(node in edges for edges in class_edges.values()), (
            node,
            row,
            story,
        )
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


def show(connection: psycopg.Connection[Any], wanted: int) -> Graph:
    """The graph once it has so many nodes, proved against pg_blocking_pids()."""

    def enough() -> Graph | None:
        truth, nodes = settled(connection)
        check(truth, nodes, "a scene made on purpose")
        return nodes if len(nodes) == wanted else None

    return poll(enough, 15, f"a graph of {wanted} nodes")


def test_nobody_waits_nothing_is_shown(scene: str, connect: Connect, session: OpenSession) -> None:
    session(scene).run("UPDATE app.t0 SET n = 1")
    session(scene).run("LOCK TABLE app.t1 IN ACCESS EXCLUSIVE MODE")
    assert graph(connect(scene)) == {}


def test_a_row_queue_names_its_row_and_its_root_and_no_bystander(
    scene: str, connect: Connect, session: OpenSession
) -> None:
    look = connect(scene)
    root = session(scene, application_name="billing")
    root.run("UPDATE app.t0 SET n = 1 WHERE id = 2")
    # They hold compatible locks on the same table, and rows of it: nobody waits for them.
    bystanders = [session(scene) for _ in range(3)]
    bystanders[0].run("SELECT * FROM app.t0")
    bystanders[1].run("UPDATE app.t0 SET n = 1 WHERE id = 3")
    bystanders[2].run("SELECT * FROM app.t0 WHERE id = 4 FOR UPDATE")
    waiters = []
    for _ in range(4):
        waiter = session(scene)
        waiter.start("UPDATE app.t0 SET n = n + 1 WHERE id = 2")
        waiters.append(waiter.wait_blocked())

    nodes = show(look, 5)
    assert set(nodes) == {root.pid, *(one.pid for one in waiters)}
    first = nodes[waiters[0].pid]
    assert (first["lock_type"], first["schema_name"], first["relation_name"]) == (
        "transactionid",
        "app",
        "t0",
    )
    assert (first["page"], first["tuple"]) == (0, 2)
    assert first["object_name"] == f"row (0,2) of app.t0 (transaction {first['transactionid']})"
    for later in waiters[1:]:
        assert nodes[later.pid]["lock_type"] == "tuple"
        assert nodes[later.pid]["object_name"] == "row (0,2) of app.t0"
        assert nodes[later.pid]["roots"] == [root.pid]
    assert [nodes[one.pid]["run_position"] for one in waiters[1:]] == [1, 2, 3]
    assert nodes[root.pid]["kind"] == "idle_in_transaction"
    assert (nodes[root.pid]["blocked_total"], nodes[root.pid]["blocked_directly"]) == (4, 1)
    assert nodes[root.pid]["application_name"] == "billing"
    assert "COMMIT or ROLLBACK" in nodes[root.pid]["recommended_action"]
    # The first waiter holds the row's tuple lock: it looks like the culprit and is none.
    assert nodes[waiters[0].pid]["kind"] == "waiting" and not nodes[waiters[0].pid]["is_root"]
    assert str(root.pid) not in nodes[waiters[0].pid]["recommended_action"]


def test_waits_begin_when_they_begin_and_not_when_the_query_did(
    scene: str, connect: Connect, session: OpenSession, server: Server
) -> None:
    look = connect(scene)
    root, waiter = session(scene), session(scene)
    root.run("LOCK TABLE app.t0 IN ACCESS EXCLUSIVE MODE")
    waiter.start("DO $$ BEGIN PERFORM pg_sleep(0.6); PERFORM count(*) FROM app.t0; END $$")
    waiter.wait_blocked()
    row = show(look, 2)[waiter.pid]
    before_wait = (row["wait_start"] - row["query_start"]).total_seconds()
    if server.version >= 14:
        assert 0.5 < before_wait < 10 and row["wait_start_is_bound"] is False
    else:
        assert before_wait == 0 and row["wait_start_is_bound"] is True
    blocker = graph(look)[root.pid]
    assert blocker["blocking_since"] == row["wait_start"]


def test_a_queued_ddl_is_named_as_the_head_of_its_convoy(
    scene: str, connect: Connect, session: OpenSession
) -> None:
    look = connect(scene)
    reader, migration = session(scene), session(scene)
    reader.run("SELECT count(*) FROM app.t0")
    migration.start("ALTER TABLE app.t0 ADD COLUMN note text")
    migration.wait_blocked()
    convoy = []
    for _ in range(3):
        one = session(scene)
        one.start("SELECT count(*) FROM app.t0")
        convoy.append(one.wait_blocked())
    nodes = show(look, 5)
    ddl = nodes[migration.pid]
    assert ddl["kind"] == "queued_ddl" and ddl["blocked_directly"] == 3
    assert "cancel this statement first" in ddl["recommended_action"]
    assert "AccessExclusiveLock on table app.t0" in ddl["recommended_action"]
    for one in convoy:
        # Not a conflict with the reader: only the request ahead is in the way.
        assert nodes[one.pid]["hard_blockers"] == []
        assert nodes[one.pid]["soft_blockers"] == [migration.pid] == [nodes[one.pid]["parent"]]
        assert nodes[one.pid]["roots"] == [reader.pid]
        assert nodes[one.pid]["run_conflicts_itself"] is False


def test_an_upgrade_jumps_the_queue(scene: str, connect: Connect, session: OpenSession) -> None:
    look = connect(scene)
    holder, upgrader, queued, late = (session(scene) for _ in range(4))
    for one in (holder, upgrader):
        one.run("LOCK TABLE app.t0 IN ACCESS SHARE MODE")
    queued.start("LOCK TABLE app.t0 IN ACCESS EXCLUSIVE MODE")
    queued.wait_blocked()
    late.start("LOCK TABLE app.t0 IN ROW EXCLUSIVE MODE")
    late.wait_blocked()
    # It holds a lock that the queued one conflicts with, so it goes before it; only holder is in its way.
    upgrader.start("LOCK TABLE app.t0 IN ACCESS EXCLUSIVE MODE")
    upgrader.wait_blocked()
    nodes = show(look, 4)
    assert nodes[upgrader.pid]["hard_blockers"] == [holder.pid]
    assert nodes[upgrader.pid]["soft_blockers"] == []
    assert upgrader.pid in nodes[queued.pid]["hard_blockers"]
    assert nodes[holder.pid]["blocked_total"] == 3


def test_a_prepared_transaction_is_a_root_without_a_session(
    scene: str, connect: Connect, session: OpenSession
) -> None:
    look = connect(scene)
    maker, waiter = session(scene), session(scene)
    maker.run("UPDATE app.t0 SET n = 1 WHERE id = 1")
    xid = int(maker.run("SELECT pg_current_xact_id()::text")[0][0])
    maker.run("PREPARE TRANSACTION 'order 66'")
    waiter.start("DELETE FROM app.t0 WHERE id = 1")
    waiter.wait_blocked()
    nodes = show(look, 2)
    root = nodes[-xid]
    assert (root["pid"], root["prepared_gid"], root["kind"]) == (0, "order 66", "prepared_transaction")
    assert root["is_root"] and root["prepared_at"] is not None and root["user_name"] == "postgres"
    assert "ROLLBACK PREPARED 'order 66'" in root["recommended_action"]
    assert nodes[waiter.pid]["roots"] == [-xid]


def test_the_graph_of_what_was_read_before_is_the_graph(
    scene: str, connect: Connect, session: OpenSession
) -> None:
    look = connect(scene)
    maker, holder = session(scene), session(scene)
    maker.run("UPDATE app.t0 SET n = 1 WHERE id = 1")
    maker.run("PREPARE TRANSACTION 'order 67'")
    holder.run("SELECT * FROM app.t1")
    for statement in ("DELETE FROM app.t0 WHERE id = 1", "LOCK TABLE app.t1", "SELECT * FROM app.t1"):
        waiter = session(scene)
        waiter.start(statement)
        waiter.wait_blocked()

    def graph_of(locks: str) -> Graph:
        sessions = "ARRAY(SELECT s FROM lock_catalog.sessions s)"
        return graph(look, f"lock_catalog.graph_of(lock_catalog.own_pids(), {sessions}, {locks})")

    def the_same() -> bool:
        of_these, now = graph_of("ARRAY(SELECT l FROM lock_catalog.locks l)"), graph(look)
        # what counts the time goes on between the two
        for row in (*of_these.values(), *now.values()):
            row["blocked_seconds"] = None
        return len(now) == 5 and of_these == now

    poll(the_same, 15, "both graphs of a scene at rest")
    assert graph_of("'{}'") == {}, "of no locks nobody waits: what was given is what counts"


def test_an_index_built_concurrently_waits_for_a_virtual_transaction(
    scene: str, connect: Connect, session: OpenSession
) -> None:
    look = connect(scene)
    writer, builder = session(scene), session(scene, autocommit=True)
    writer.run("UPDATE app.t0 SET n = 1 WHERE id = 1")
    builder.start("CREATE INDEX CONCURRENTLY ON app.t0 (n)")
    builder.wait_blocked()
    nodes = show(look, 2)
    assert nodes[builder.pid]["lock_type"] == "virtualxid"
    assert nodes[builder.pid]["hard_blockers"] == [writer.pid]
    assert nodes[builder.pid]["object_name"].startswith("virtual transaction ")


def test_parallel_workers_count_as_their_leader(scene: str, connect: Connect, session: OpenSession) -> None:
    look = connect(scene)
    tangle = Tangle(scene, session, random.Random(1), look)
    leader = tangle.parallel_query()
    nodes = show(look, 2)
    assert nodes[leader.pid]["is_waiting"] and nodes[leader.pid]["relation_name"] == "inner_table"
    assert nodes[leader.pid]["backend_type"] == "client backend"
    root = next(row for row in nodes.values() if row["is_root"])
    assert root["blocked_total"] == 1
    waiting = look.execute(
        "SELECT count(*) FROM pg_locks WHERE NOT granted AND pid <> %s", [leader.pid]
    ).fetchone()
    assert waiting and waiting[0] >= 1, "it is the workers that wait"


def test_a_cycle_has_no_root_and_is_marked(scene: str, connect: Connect, session: OpenSession) -> None:
    look = connect(scene)
    tangle = Tangle(scene, session, random.Random(1), look)
    one, two, behind = tangle.join(), tangle.join(), tangle.join()
    one.run("UPDATE app.t0 SET n = 1 WHERE id = 1")
    two.run("UPDATE app.t0 SET n = 1 WHERE id = 2")
    one.start("UPDATE app.t0 SET n = 1 WHERE id = 2")
    one.wait_blocked()
    two.start("UPDATE app.t0 SET n = 1 WHERE id = 1")
    two.wait_blocked()
    behind.start("LOCK TABLE app.t0 IN SHARE MODE")
    behind.wait_blocked()
    nodes = show(look, 3)
    assert [nodes[s.pid]["in_deadlock"] for s in (one, two, behind)] == [True, True, False]
    assert not any(row["is_root"] for row in nodes.values())
    assert set(nodes[behind.pid]["roots"]) == {one.pid, two.pid}


def test_several_roots_of_one_waiter(scene: str, connect: Connect, session: OpenSession) -> None:
    look = connect(scene)
    readers = [session(scene) for _ in range(3)]
    for one in readers:
        one.run("LOCK TABLE app.t0 IN SHARE MODE")
    waiter = session(scene)
    waiter.start("LOCK TABLE app.t0 IN EXCLUSIVE MODE")
    waiter.wait_blocked()
    nodes = show(look, 4)
    assert nodes[waiter.pid]["roots"] == sorted(one.pid for one in readers)
    assert all(nodes[one.pid]["is_root"] and nodes[one.pid]["blocked_total"] == 1 for one in readers)


def test_advisory_locks_are_named_as_they_were_asked_for(
    scene: str, connect: Connect, session: OpenSession
) -> None:
    look = connect(scene)
    holder, one_key, two_keys = session(scene), session(scene), session(scene)
    holder.run("SELECT pg_advisory_lock(8589934597), pg_advisory_lock(7, 8)")
    one_key.start("SELECT pg_advisory_xact_lock_shared(8589934597)")
    one_key.wait_blocked()
    two_keys.start("SELECT pg_advisory_lock(7, 8)")
    two_keys.wait_blocked()
    holder.run("COMMIT")
    nodes = show(look, 3)
    assert nodes[one_key.pid]["object_name"] == "advisory lock 8589934597"
    assert nodes[two_keys.pid]["object_name"] == "advisory lock (7, 8)"
    assert nodes[holder.pid]["kind"] == "idle_session_lock"


def test_a_long_queue_of_alternating_modes_keeps_its_roots(
    scene: str, connect: Connect, session: OpenSession
) -> None:
    """Beyond forty classes only the class ahead is named as soft; the rest stays exact."""
    look = connect(scene)
    root = session(scene)
    root.run("LOCK TABLE app.t0 IN ACCESS EXCLUSIVE MODE")
    waiters = []
    for number in range(70):
        one = session(scene)
        one.start(f"LOCK TABLE app.t0 IN {('SHARE', 'ROW EXCLUSIVE')[number % 2]} MODE")
        waiters.append(one.wait_blocked())

    def complete() -> Graph | None:
        nodes = graph(look)
        return nodes if len(nodes) == 71 else None

    nodes = poll(complete, 15, "a graph of 71 nodes")
    assert nodes[root.pid]["blocked_total"] == 70
    for number, one in enumerate(waiters):
        row = nodes[one.pid]
        assert row["roots"] == [root.pid] and row["hard_blockers"] == [root.pid], (number, row)
        truth = look.execute("SELECT pg_blocking_pids(%s)", [one.pid]).fetchone()
        assert truth and set(row["soft_blockers"]) <= set(truth[0])
        assert bool(row["soft_blockers"]) == (number > 0), (number, row)


def test_the_monitors_own_sessions_are_not_shown_unless_they_block(
    scene: str, connect: Connect, session: OpenSession, server: Server
) -> None:
    look = connect(scene)
    look.execute("DROP ROLE IF EXISTS own_monitor")
    look.execute("CREATE ROLE own_monitor LOGIN")
    look.execute("GRANT ALL ON SCHEMA app TO own_monitor")
    look.execute("GRANT ALL ON ALL TABLES IN SCHEMA app TO own_monitor")
    look.execute(
        "UPDATE lock_admin.setting SET value = '[\"own_monitor\"]' WHERE name = 'monitor.own_logins'"
    )
    root, own = session(scene), session(scene, user="own_monitor")
    root.run("LOCK TABLE app.t0 IN ACCESS EXCLUSIVE MODE")
    own.start("SELECT count(*) FROM app.t0")
    own.wait_blocked()
    assert graph(look) == {}
    other = session(scene)
    other.start("LOCK TABLE app.t0 IN ACCESS EXCLUSIVE MODE")
    other.wait_blocked()
    nodes = poll(lambda: graph(look), 10, "the other waiter")
    # The monitor's request stands ahead in the queue: it is in the way, so it is named.
    assert as_pids(nodes[other.pid]["hard_blockers"] + nodes[other.pid]["soft_blockers"]) == {
        root.pid,
        own.pid,
    }
    own.close()
    root.close()
    other.close()
    look.execute("DROP OWNED BY own_monitor")
    look.execute("DROP ROLE own_monitor")
