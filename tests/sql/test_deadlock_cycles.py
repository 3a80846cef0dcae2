"""The light look: a ring is found, whatever it is made of; a chain or a convoy never is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import Connect, OpenSession

LOOK = "SELECT waiters, cycles FROM lock_catalog.deadlock_cycles()"
SLOW = "SET deadlock_timeout = '60s'"


def cycles(observer: Any) -> list[list[dict[str, Any]]]:
    """The cycles alive now."""
    return observer.execute(LOOK).fetchone()[1]  # type: ignore[no-any-return]


TAKES: dict[str, Callable[[int], str]] = {
    "row": lambda i: f"UPDATE t SET n = n + 1 WHERE id = {i}",
    "table": lambda i: f"LOCK TABLE t{i} IN EXCLUSIVE MODE",
    "advisory": lambda i: f"SELECT pg_advisory_xact_lock({i})",
}


@pytest.fixture
def observer(vault_db: str, connect: Connect) -> Any:
    """A connection that looks; tables for the rings."""
    connection = connect(vault_db)
    connection.execute(
        "CREATE TABLE t (id int PRIMARY KEY, n int); INSERT INTO t SELECT g, 0 FROM generate_series(1, 9) g"
    )
    for i in range(1, 6):
        connection.execute(f"CREATE TABLE t{i} (id int)")
    return connection


@pytest.mark.parametrize("kind", TAKES)
@pytest.mark.parametrize("members", [2, 3, 5])
def test_a_ring_is_found_with_its_order(
    vault_db: str, observer: Any, session: OpenSession, kind: str, members: int
) -> None:
    take = TAKES[kind]
    people = [session(vault_db) for _ in range(members)]
    for i, one in enumerate(people):
        one.run(SLOW)
        one.run(take(i + 1))
    for i, one in enumerate(people):
        one.start(take((i + 1) % members + 1))
        one.wait_blocked()
        if i < members - 1:
            assert cycles(observer) == [], "a chain is no deadlock"
    [ring] = cycles(observer)
    order = {m["pid"]: m["blocked_by"] for m in ring}
    assert order == {people[i].pid: people[(i + 1) % members].pid for i in range(members)}
    assert all(m["blocker_holds"] for m in ring)
    assert all("wait_start" in m for m in ring) or observer.info.server_version < 140000
    if kind == "row":
        assert {m["table"] for m in ring} == {"public.t"}
        assert all("tuple" in m for m in ring)


def test_two_rings_at_once(vault_db: str, observer: Any, session: OpenSession) -> None:
    people = [session(vault_db) for _ in range(4)]
    for i, one in enumerate(people):
        one.run(SLOW)
        one.run(TAKES["advisory"](i + 1))
    for i, one in enumerate(people):
        one.start(TAKES["advisory"]((i ^ 1) + 1))
        one.wait_blocked()
    found = {frozenset(m["pid"] for m in ring) for ring in cycles(observer)}
    assert found == {
        frozenset((people[0].pid, people[1].pid)),
        frozenset((people[2].pid, people[3].pid)),
    }


def test_a_ring_with_a_soft_edge(vault_db: str, observer: Any, session: OpenSession) -> None:
    """c waits behind b's queued request only; b waits for a's lock, a for c's."""
    a, b, c = (session(vault_db) for _ in range(3))
    for one in (a, b, c):
        one.run(SLOW)
    a.run("LOCK TABLE t1 IN ACCESS SHARE MODE")
    c.run("SELECT pg_advisory_xact_lock(7)")
    b.start("LOCK TABLE t1 IN ACCESS EXCLUSIVE MODE")
    b.wait_blocked()
    c.start("LOCK TABLE t1 IN ACCESS SHARE MODE")
    c.wait_blocked()
    assert cycles(observer) == []
    a.start("SELECT pg_advisory_xact_lock(7)")
    a.wait_blocked()
    [ring] = cycles(observer)
    assert {m["pid"] for m in ring} == {a.pid, b.pid, c.pid}
    assert [m["pid"] for m in ring if m.get("behind_in_queue")] == [c.pid]


def test_a_ring_held_together_by_a_third_lock_mode(
    vault_db: str, observer: Any, session: OpenSession
) -> None:
    """One waits for a share lock's holder, who wants what the first has: table and row in one ring."""
    a, b = session(vault_db), session(vault_db)
    for one in (a, b):
        one.run(SLOW)
    a.run("LOCK TABLE t1 IN SHARE MODE")
    b.run(TAKES["row"](1))
    b.start("LOCK TABLE t1 IN ROW EXCLUSIVE MODE")
    b.wait_blocked()
    a.start(TAKES["row"](1))
    a.wait_blocked()
    [ring] = cycles(observer)
    assert {m["lock_type"] for m in ring} == {"relation", "transactionid"}
    assert {m["pid"]: m["blocker_holds"] for m in ring}[b.pid] == ["ShareLock"]


def test_a_convoy_on_one_row_is_no_ring(vault_db: str, observer: Any, session: OpenSession) -> None:
    head = session(vault_db)
    head.run(TAKES["row"](1))
    others = [session(vault_db) for _ in range(12)]
    for one in others:
        one.run("SELECT pg_advisory_xact_lock_shared(1)")
        one.start(TAKES["row"](1))
        one.wait_blocked()
    waiters, found = observer.execute(LOOK).fetchone()
    assert (waiters, found) == (12, [])


def test_a_look_says_when_to_look_again(vault_db: str, observer: Any, session: OpenSession) -> None:
    a, b = session(vault_db), session(vault_db)
    quiet = observer.execute(
        "SELECT waiters, young, cycles, pending FROM lock_engine.look_for_deadlocks()"
    ).fetchone()
    assert quiet == (0, False, 0, 0)
    a.run(TAKES["row"](1))
    b.start(TAKES["row"](1))
    b.wait_blocked()
    waiters, young, check = observer.execute(
        "SELECT waiters, young, next_check_seconds FROM lock_engine.look_for_deadlocks()"
    ).fetchone()
    assert (waiters, young) == (1, True)
    assert check is None or 0 < check <= 1
