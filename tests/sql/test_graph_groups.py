"""A lock group is one waiter in the waits-for graph, however many things its members wait for."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from lockmon.calls import catalog
from lockmon.calls.behind import nodes_at
from lockmon.views import node_words, tree
from lockmon.views.nodes import from_live, from_vault
from tests.conftest import Connect, OpenSession
from tests.sql.test_waits_for import Graph, as_pids, check, settled
from tests.support.poll import poll
from tests.support.sessions import Session
from tests.support.stored import Stored
from tests.support.tangle import Tangle, prepare

KEYS = (101, 102, 103)


@pytest.fixture
def scene(vault_db: str) -> str:
    """A database with the vault, and a function that locks one key a parallel worker."""
    prepare(vault_db)
    with psycopg.connect(vault_db, autocommit=True) as connection:
        connection.execute("CREATE TABLE app.key (n int PRIMARY KEY)")
        connection.execute("CREATE SEQUENCE app.turn")
        # its worker takes the first key that no other member of its group waits for
        connection.execute(
            """
            CREATE FUNCTION app.lock_one(p_id int) RETURNS int LANGUAGE plpgsql PARALLEL SAFE AS $$
            DECLARE v_group int := (SELECT coalesce(a.leader_pid, a.pid) FROM pg_stat_activity a
                                     WHERE a.pid = pg_backend_pid());
                    v_key int;
            BEGIN
              IF current_setting('app.keys', true) IS NULL THEN RETURN p_id; END IF;
              -- which one it is, it knows when all of them are there; later on it has its lock
              LOOP
                PERFORM pg_stat_clear_snapshot();
                EXIT WHEN (SELECT count(*) FROM pg_stat_activity a WHERE a.leader_pid = v_group)
                          >= cardinality(string_to_array(current_setting('app.keys'), ','))
                     OR EXISTS (SELECT FROM pg_locks l
                                 WHERE l.pid = pg_backend_pid() AND l.locktype = 'advisory');
                PERFORM pg_sleep(0.01);
              END LOOP;
              SELECT k.key INTO v_key
                FROM unnest(string_to_array(current_setting('app.keys'), ',')::int[])
                     WITH ORDINALITY k (key, n)
               WHERE k.n = (SELECT x.n FROM (
                       SELECT a.pid, row_number() OVER (ORDER BY a.pid) AS n FROM pg_stat_activity a
                        WHERE a.leader_pid = v_group) x WHERE x.pid = pg_backend_pid());
              IF v_key IS NOT NULL THEN PERFORM pg_advisory_xact_lock(v_key); END IF;
              RETURN p_id;
            END $$
            """
        )
    return vault_db


def parallel(tangle: Tangle, keys: tuple[int, ...]) -> Session:
    """A query, each of whose workers waits for a key of its own."""
    one = tangle.join()
    version = int(tangle.look.info.server_version) // 10000
    for name, value in (
        ("max_parallel_workers_per_gather", str(len(keys))),
        ("parallel_setup_cost", "0"),
        ("parallel_tuple_cost", "0"),
        ("min_parallel_table_scan_size", "0"),
        ("parallel_leader_participation", "off"),
        ("force_parallel_mode" if version < 16 else "debug_parallel_query", "off"),
        ("app.keys", f"'{','.join(map(str, keys))}'"),
    ):
        tangle.act(one, f"SET {name} = {value}")
    one.start("SELECT sum(app.lock_one(id)) FROM app.big")

    def waiting() -> bool:
        row = tangle.look.execute(
            "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE NOT l.granted "
            "AND a.leader_pid = %s",
            [one.pid],
        ).fetchone()
        return bool(row and row[0] == len(keys))

    poll(waiting, 20, f"{len(keys)} workers that wait")
    return one


def show(look: psycopg.Connection[Any], wanted: int) -> Graph:
    def enough() -> Graph | None:
        truth, nodes = settled(look)
        check(truth, nodes, "a scene made on purpose")
        return nodes if len(nodes) == wanted else None

    return poll(enough, 15, f"a graph of {wanted} nodes")


@pytest.fixture
def look(scene: str, connect: Connect) -> psycopg.Connection[Any]:
    return connect(scene)


@pytest.fixture
def tangle(scene: str, session: OpenSession, look: psycopg.Connection[Any]) -> Tangle:
    return Tangle(scene, session, random.Random(1), look)


def holders(tangle: Tangle, *keys: int) -> list[Session]:
    made = []
    for key in keys:
        one = tangle.join()
        one.run(f"SELECT pg_advisory_xact_lock({key})")
        made.append(one)
    return made


def test_a_query_whose_workers_wait_for_two_things_is_one_waiter_with_two_waits(
    look: psycopg.Connection[Any], tangle: Tangle
) -> None:
    one, two = holders(tangle, 101, 102)
    query = parallel(tangle, (101, 102))
    nodes = show(look, 3)
    row = nodes[query.pid]
    assert row["hard_blockers"] == sorted([one.pid, two.pid]) == row["roots"]
    waits = {wait["object_name"]: wait for wait in row["waits"]}
    assert set(waits) == {"advisory lock 101", "advisory lock 102"}
    assert waits["advisory lock 101"]["hard_blockers"] == [one.pid] == waits["advisory lock 101"]["roots"]
    assert waits["advisory lock 102"]["hard_blockers"] == [two.pid] == waits["advisory lock 102"]["roots"]
    assert row["object_name"] == row["waits"][0]["object_name"]
    assert row["process"] == row["waits"][0]["process"] != query.pid
    for root in (one, two):
        assert (nodes[root.pid]["blocked_total"], nodes[root.pid]["blocked_directly"]) == (1, 1)
        assert nodes[root.pid]["waits"] is None


def test_one_root_of_two_waits_stands_before_one_session(
    look: psycopg.Connection[Any], tangle: Tangle
) -> None:
    root = tangle.join()
    root.run("SELECT pg_advisory_xact_lock(101), pg_advisory_xact_lock(102)")
    query = parallel(tangle, (101, 102))
    nodes = show(look, 2)
    assert (nodes[root.pid]["blocked_total"], nodes[root.pid]["blocked_directly"]) == (1, 1)
    oldest = min(wait["wait_start"] for wait in nodes[query.pid]["waits"])
    row = look.execute(
        "SELECT blocked_seconds BETWEEN 0 AND extract(epoch FROM clock_timestamp() - %s::timestamptz), "
        "jsonb_array_length((SELECT waits FROM lock_catalog.waits_for() WHERE node = %s)) "
        "FROM lock_catalog.waits_for() WHERE node = %s",
        [oldest, query.pid, root.pid],
    ).fetchone()
    assert row == (True, 2), "the time of one session, not of two"


def test_who_stands_behind_such_a_query_stands_behind_both_roots(
    look: psycopg.Connection[Any], tangle: Tangle
) -> None:
    one, two, three = holders(tangle, 101, 102, 103)
    query = tangle.join()
    query.run("SELECT pg_advisory_xact_lock(104)")
    tangle.sessions.append(query)
    first = tangle.join()
    first.start("SELECT pg_advisory_xact_lock(102)")
    first.wait_blocked()
    keys = parallel(tangle, (101, 102, 103))
    second = tangle.join()
    second.start("SELECT pg_advisory_xact_lock(102)")
    second.wait_blocked()
    nodes = show(look, 6)
    assert nodes[second.pid]["roots"] == sorted([one.pid, two.pid, three.pid])
    assert nodes[first.pid]["roots"] == [two.pid]
    assert nodes[two.pid]["blocked_total"] == 3
    assert nodes[one.pid]["blocked_total"] == 2 == nodes[three.pid]["blocked_total"]
    assert len(nodes[keys.pid]["waits"]) == 3


def test_two_workers_behind_one_lock_are_one_waiter(look: psycopg.Connection[Any], tangle: Tangle) -> None:
    (root,) = holders(tangle, 101)
    query = parallel(tangle, (101, 101))
    nodes = show(look, 2)
    assert nodes[root.pid]["blocked_total"] == 1
    assert len(nodes[query.pid]["waits"]) == 2


def test_every_member_is_asked_and_nobody_appears_twice(
    look: psycopg.Connection[Any], tangle: Tangle
) -> None:
    holders(tangle, 101, 102, 103)
    query = parallel(tangle, (101, 102, 103))
    nodes = show(look, 4)
    row = nodes[query.pid]
    shown = as_pids(row["hard_blockers"] + row["soft_blockers"])
    members = look.execute(
        "SELECT pid FROM pg_stat_activity WHERE pid = %s OR leader_pid = %s", [query.pid, query.pid]
    ).fetchall()
    assert len(members) == 4
    for (member,) in members:
        answer = look.execute("SELECT pg_blocking_pids(%s)", [member]).fetchone()
        assert answer and set(answer[0]) == shown


def test_a_cycle_through_two_waits_is_stored(
    scene: str, look: psycopg.Connection[Any], tangle: Tangle
) -> None:
    """Each row of the vault has its own truth, and the session behind the query is there once."""
    one, two = holders(tangle, 101, 102)
    parallel(tangle, (101, 102))
    behind = tangle.join()
    behind.start("SELECT pg_advisory_xact_lock(101)")
    behind.wait_blocked()
    show(look, 4)
    stored = Stored(look)
    figures = stored.cycle()
    assert figures["blocking_sessions"] == 3, figures
    rows = look.execute(
        "SELECT object_name, blocking_nodes || soft_blocking_nodes, root_nodes, lock_pid "
        "FROM lock_monitoring.lock_activity_s WHERE load_end_date IS NULL AND NOT lock_granted"
    ).fetchall()
    own = {name: (set(nodes), roots) for name, nodes, roots, pid in rows if pid != behind.pid}
    assert own == {
        "advisory lock 101": ({one.pid}, [one.pid]),
        "advisory lock 102": ({two.pid}, [two.pid]),
    }
    again = stored.cycle()
    assert again["monitoring_summary"].startswith(figures["monitoring_summary"].split(";")[0])
    counted = look.execute(
        "SELECT session_pid, blocked_sessions_count FROM lock_monitoring.blocking_session_s "
        "WHERE load_end_date IS NULL AND session_pid = ANY (%s) ORDER BY 1",
        [[one.pid, two.pid]],
    ).fetchall()
    assert counted == sorted([(one.pid, 2), (two.pid, 2)])


def test_a_worker_that_is_gone_is_no_session_that_ended(
    look: psycopg.Connection[Any], tangle: Tangle, scene: str
) -> None:
    """Whether it got its lock before it ended with its part of the query nobody has seen."""
    one, two = holders(tangle, 101, 102)
    query = parallel(tangle, (101, 102))
    stored = Stored(look)
    stored.cycle()
    workers = (
        "SELECT lock_granted, resolution_action FROM lock_monitoring.lock_activity_s WHERE lock_group = %s"
    )
    before = look.execute(workers, [query.pid]).fetchall()
    assert [how for granted, how in before if not granted] == [None, None]
    one.run("ROLLBACK")
    two.run("ROLLBACK")
    query.result()
    stored.cycle()
    assert look.execute("SELECT 1 FROM pg_stat_activity WHERE pid = %s", [query.pid]).fetchone()
    ended = set(look.execute(workers, [query.pid]).fetchall())
    assert ended <= {(False, "unknown"), (True, "released")} and (False, "unknown") in ended, ended


def test_the_pages_show_one_waiter_with_two_waits_now_and_in_the_past(
    look: psycopg.Connection[Any], tangle: Tangle, scene: str
) -> None:
    one, two = holders(tangle, 101, 102)
    query = parallel(tangle, (101, 102))
    other = tangle.join()
    other.start("SELECT pg_advisory_xact_lock(102)")
    other.wait_blocked()
    show(look, 4)
    live = {node.node: node for node in from_live(catalog.waits_for(look.cursor()), True)}
    Stored(look).cycle()
    rows = look.execute(
        "SELECT * FROM lock_monitoring.lock_activity_s WHERE load_end_date IS NULL AND NOT lock_granted"
    )
    names = [column.name for column in rows.description or ()]
    waits = [SimpleNamespace(**dict(zip(names, row, strict=True)), pk=row[0]) for row in rows.fetchall()]
    assert len(waits) == 3, "one row a wait"

    def of_vault() -> dict[int, Any]:
        placed = nodes_at(look.cursor(), datetime.now(UTC))
        return {node.node: node for node in from_vault(placed, [], waits, True, {})}  # type: ignore[arg-type]

    past = of_vault()
    assert len(past) == 2, "one node a waiter"
    (stored,) = [node for pid, node in past.items() if pid != other.pid]
    for node in (live[query.pid], stored):
        assert {wait.object_name for wait in node.waits} == {"advisory lock 101", "advisory lock 102"}
        assert set(node.hard_blockers) >= {one.pid, two.pid} == set(node.roots)
        (note,) = [str(note) for note in node_words.notes(node) if "2 waits" in str(note)]
        assert "for advisory lock 101" in note and "for advisory lock 102" in note
    assert past[other.pid].waits == () == live[other.pid].waits
    assert tree.build(past.values(), datetime.now(UTC)).waiting == 2
    assert set(past) == {query.pid, other.pid}, "the node is the session, not one of its workers"
    # recorded by a release that kept no lock group
    look.execute("UPDATE lock_monitoring.lock_activity_s SET lock_group = NULL WHERE NOT lock_granted")
    assert len(of_vault()) == 3
