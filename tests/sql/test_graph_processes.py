"""Apply workers, walsenders and autovacuum in the waits-for graph, as pg_blocking_pids() sees them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from psycopg import pq

from lockmon.calls import catalog
from lockmon.views.nodes import from_live
from tests.sql.test_waits_for import Graph, check, graph, settled
from tests.support import vaults
from tests.support.poll import poll
from tests.support.servers import Server, throwaway
from tests.support.sessions import Session
from tests.support.stored import Stored

Open = Callable[[str], Session]


@pytest.fixture(scope="module")
def logical() -> Iterator[Server]:
    """A server that replicates from one of its databases into another, and whose autovacuum runs."""
    settings = {
        "wal_level": "logical",
        "autovacuum_naptime": "1s",
        "logical_decoding_work_mem": "64kB",
        "max_worker_processes": "12",
        "wal_receiver_timeout": "0",
        "wal_sender_timeout": "0",
    }
    with throwaway(settings) as server:
        yield server


@pytest.fixture
def place(logical: Server) -> Iterator[str]:
    """A database with the vault on that server."""
    name = logical.create_database()
    vaults.install(logical.dsn(name))
    yield logical.dsn(name)
    logical.drop_database(name)


@pytest.fixture
def look(place: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(place, autocommit=True) as connection:
        yield connection


@pytest.fixture
def opened(place: str) -> Iterator[Open]:
    """Sessions, ended with the test."""
    sessions: list[Session] = []

    def one(dsn: str) -> Session:
        sessions.append(Session(dsn))
        sessions[-1].run("SET deadlock_timeout = '60s'")
        sessions[-1].connection.commit()
        return sessions[-1]

    yield one
    for session in reversed(sessions):
        session.close()


def show(look: psycopg.Connection[Any], fits: Callable[[Graph], bool], what: str) -> Graph:
    """The graph once it fits, proved against pg_blocking_pids()."""

    def found() -> Graph | None:
        truth, nodes = settled(look)
        check(truth, nodes, what)
        return nodes if fits(nodes) else None

    return poll(found, 30, what)


@pytest.fixture
def publisher(logical: Server, look: psycopg.Connection[Any]) -> Iterator[str]:
    """Another database whose table app.big the vault's database subscribes to, in parallel where it can."""
    name = logical.create_database()
    with psycopg.connect(logical.dsn(name), autocommit=True) as there:
        there.execute("CREATE SCHEMA app")
        there.execute("CREATE TABLE app.big (id int PRIMARY KEY, t text)")
        there.execute("CREATE PUBLICATION all_of_it FOR ALL TABLES")
        there.execute("SELECT pg_create_logical_replication_slot('one_slot', 'pgoutput')")
    look.execute("CREATE SCHEMA app")
    look.execute("CREATE TABLE app.big (id int PRIMARY KEY, t text)")
    version = logical.version
    streaming = ", streaming = parallel" if version >= 16 else ""
    look.execute(
        f"CREATE SUBSCRIPTION taken CONNECTION '{logical.dsn(name)}' PUBLICATION all_of_it "
        f"WITH (create_slot = false, slot_name = 'one_slot', copy_data = false{streaming})"
    )
    yield logical.dsn(name)
    look.execute("ALTER SUBSCRIPTION taken DISABLE")
    look.execute("ALTER SUBSCRIPTION taken SET (slot_name = NONE)")
    look.execute("DROP SUBSCRIPTION taken")

    def dropped() -> bool:
        with psycopg.connect(logical.dsn(), autocommit=True) as admin:
            admin.execute(
                "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE NOT active"
            )
            row = admin.execute("SELECT count(*) FROM pg_replication_slots").fetchone()
            return row == (0,)

    poll(dropped, 30, "the slot is given back")
    logical.drop_database(name)


def test_an_apply_worker_that_waits_is_a_node_of_its_own(
    logical: Server, publisher: str, look: psycopg.Connection[Any], opened: Open, place: str
) -> None:
    """A parallel apply worker has a leader_pid and no lock group: the leader waits for it, not with it."""
    holder = opened(place)
    holder.run("LOCK TABLE app.big IN ACCESS EXCLUSIVE MODE")
    source = opened(publisher)
    source.run("INSERT INTO app.big SELECT g, repeat('x', 200) FROM generate_series(1, 3000) AS g")
    source.run("COMMIT")
    wanted = 3 if logical.version >= 16 else 2
    nodes = show(look, lambda found: len(found) == wanted, "apply workers that wait")
    assert nodes[holder.pid]["is_root"] and nodes[holder.pid]["blocked_total"] == wanted - 1
    workers = [row for row in nodes.values() if row["is_waiting"]]
    assert all("logical replication" in row["backend_type"] for row in workers)
    assert all(row["kind"] != "idle_in_transaction" for row in workers)
    if logical.version >= 16:
        (parallel,) = (row for row in workers if row["hard_blockers"] == [holder.pid])
        (leader,) = (row for row in workers if row["hard_blockers"] == [parallel["pid"]])
        told = look.execute(
            "SELECT leader_pid FROM pg_stat_activity WHERE pid = %s", [parallel["pid"]]
        ).fetchone()
        assert told == (leader["pid"],)
        assert parallel["blocked_total"] == 1 and leader["roots"] == [holder.pid]
    stored = Stored(look)
    figures = stored.cycle()
    assert figures["blocking_sessions"] == wanted - 1
    pids = look.execute(
        "SELECT lock_pid, root_nodes FROM lock_monitoring.lock_activity_s "
        "WHERE load_end_date IS NULL AND NOT lock_granted"
    ).fetchall()
    assert sorted(pids) == sorted((row["pid"], [holder.pid]) for row in workers)


def test_a_walsender_that_waits_for_a_transaction_is_shown(
    logical: Server, look: psycopg.Connection[Any], opened: Open, place: str
) -> None:
    look.execute("CREATE TABLE written (id int)")
    holder = opened(place)
    holder.run("INSERT INTO written VALUES (1)")
    sender = pq.PGconn.connect((place + " replication=database").encode())
    assert sender.status == pq.ConnStatus.OK, sender.get_error_message()
    try:
        sender.send_query(b"CREATE_REPLICATION_SLOT waiting TEMPORARY LOGICAL pgoutput")
        sender.flush()
        nodes = show(look, lambda found: len(found) == 2, "a walsender that waits")
        row = nodes[sender.backend_pid]
        assert (row["backend_type"], row["lock_type"]) == ("walsender", "transactionid")
        assert row["hard_blockers"] == [holder.pid] == row["roots"]
        figures = Stored(look).cycle()
        assert figures["blocking_sessions"] == 1
    finally:
        holder.run("COMMIT")
        sender.finish()


def test_an_autovacuum_worker_in_the_way_is_named_as_one(
    look: psycopg.Connection[Any], opened: Open, place: str
) -> None:
    look.execute(
        "CREATE TABLE dusty (id int, t text) WITH (autovacuum_vacuum_threshold = 0, "
        "autovacuum_vacuum_scale_factor = 0,"
        " autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1)"
    )
    look.execute("INSERT INTO dusty SELECT g, repeat('x', 500) FROM generate_series(1, 20000) AS g")
    look.execute("DELETE FROM dusty WHERE id % 2 = 0")

    def vacuums() -> bool:
        row = look.execute(
            "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE l.granted "
            "AND l.relation = 'dusty'::regclass AND a.backend_type = 'autovacuum worker' "
            "AND l.mode = 'ShareUpdateExclusiveLock'"
        ).fetchone()
        return bool(row and row[0])

    poll(vacuums, 60, "autovacuum at work")
    waiter = opened(place)
    waiter.start("LOCK TABLE dusty IN SHARE MODE")
    waiter.wait_blocked()
    nodes = show(look, lambda found: len(found) == 2, "a session behind autovacuum")
    (root,) = (row for row in nodes.values() if row["is_root"])
    assert (root["backend_type"], root["kind"], root["user_name"]) == (
        "autovacuum worker",
        "autovacuum",
        None,
    )
    assert Stored(look).cycle()["blocking_sessions"] == 1
    assert graph(look)[waiter.pid]["roots"] == [root["pid"]]


def test_a_connection_that_blocks_before_it_has_logged_in_is_said_to_be_one(
    logical: Server, place: str, look: psycopg.Connection[Any], opened: Open
) -> None:
    """18 shows it, state 'starting' and without a user: it queues for a database, others behind it."""
    if logical.version < 18:
        pytest.skip("before 18 nobody is told of it")
    wanted = logical.create_database()
    root, renamer = opened(place), opened(place)
    root.run(f"ALTER DATABASE {wanted} RENAME TO {wanted}_other")
    with ThreadPoolExecutor(1) as knocking:
        came = knocking.submit(lambda: psycopg.connect(logical.dsn(wanted)).close())
        try:
            poll(lambda: len(graph(look)) == 2, 20, "a connection that waits on its way in")
            renamer.start(f"ALTER DATABASE {wanted} RENAME TO {wanted}_new")
            nodes = poll(lambda: found if len(found := graph(look)) == 3 else None, 20, "who waits for it")
            (pid,) = set(nodes) - {root.pid, renamer.pid}
            row = nodes[pid]
            assert (row["state"], row["user_name"], row["blocked_total"]) == ("starting", None, 1)
            assert row["is_waiting"] and row["roots"] == [root.pid] == nodes[renamer.pid]["roots"]
            assert nodes[renamer.pid]["soft_blockers"] == [pid]
            (shown,) = [one for one in from_live(catalog.waits_for(look.cursor()), True) if one.pid == pid]
            assert shown.label == "a connection that has not logged in yet"
            stored = Stored(look)
            stored.cycle()
            (episode,) = stored.episodes(pid)
            assert (episode["user_name"], episode["session_state"]) == (None, "starting")
            assert len(stored.locks(pid, "NOT lock_granted")) == 1
            assert stored.locks(pid, "lock_granted") == [], "what nobody waits for is nobody's"
        finally:
            root.run("ROLLBACK")
            came.result(20)
    renamer.result()
    renamer.run("ROLLBACK")
    logical.drop_database(wanted)


def test_a_connection_that_waits_for_nobody_on_its_way_in_is_not_shown_as_a_query(
    place: str, look: psycopg.Connection[Any], opened: Open
) -> None:
    root, waiter = opened(place), opened(place)
    root.run("SELECT pg_advisory_xact_lock(1)")
    waiter.start("SELECT pg_advisory_xact_lock(1)")
    waiter.wait_blocked()
    starting = (
        "lock_catalog.graph_of('{}', ARRAY(SELECT jsonb_populate_record(s,"
        f" CASE WHEN s.pid = {root.pid} THEN jsonb_build_object('state', 'starting', 'user_name', NULL)"
        " ELSE '{}' END) FROM lock_catalog.sessions s), NULL)"
    )
    row = graph(look, starting)[root.pid]
    assert (row["kind"], row["user_name"], row["blocked_total"]) == ("logging_in", None, 1)
    told = look.execute(
        "SELECT lock_engine.recommended_action('logging_in', 7, NULL, false, NULL, NULL)"
    ).fetchone()
    assert told and told[0].startswith("Process 7 is a connection that has not logged in yet")
