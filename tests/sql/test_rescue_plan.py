"""The rescue plan as a rule, rows in and steps out: tables of cases, and chance against brute force."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from tests.support import plans
from tests.support.plans import AT, Brute, Graph, graph, row, waiter

MINUTE = "its transaction, 1 min 00 s at most (since it began)"


def texts(connection: psycopg.Connection[Any], nodes: Graph, past: bool = False) -> list[str]:
    """The plan's sentences."""
    return [one["text"] for one in plans.ask(connection, nodes, past)]


def row_queue(root: int, first: int, more: int) -> list[dict[str, Any]]:
    """Waiters for one row: the first for its transaction, the others for the first one's tuple lock."""
    run: dict[str, Any] = {"lock_type": "tuple", "run_head": first + 1, "run_conflicts_itself": True}
    queue = [waiter(first, [root], lock_type="transactionid")]
    return queue + [waiter(first + place, [first], run_position=place, **run) for place in range(1, more + 1)]


def convoy(root: int, ddl: int, readers: int, **other: Any) -> list[dict[str, Any]]:
    """A queued ALTER TABLE behind a reader, and readers behind it."""
    base: dict[str, Any] = {
        "kind": "queued_ddl",
        "lock_mode": "AccessExclusiveLock",
        "backend_xid": 9,
        "run_conflicts_itself": True,
    }
    head = waiter(ddl, [root], application_name="migrate", **(base | other))
    like: dict[str, Any] = {"run_head": ddl + 1}
    return [head] + [waiter(ddl + n, soft=[ddl], run_position=n, **like) for n in range(1, readers + 1)]


def test_the_example_of_the_documents(vault: psycopg.Connection[Any]) -> None:
    nodes = graph(
        row(10, application_name="report", backend_xid=None),
        *convoy(10, 6817, 100),
        row(4711, application_name="billing-worker", xact_start=AT - timedelta(seconds=372)),
        *row_queue(4711, 100, 29),
    )
    assert texts(vault, nodes) == [
        "Cancel migrate (6817): frees 100 at once; loses nothing.",
        "Then terminate billing-worker (4711): frees 1, the next 29 follow as each commits (one row: no stop"
        " frees more); loses its transaction, 6 min 12 s at most (since it began).",
    ]


RUNS: dict[str, Any] = {"state": "active", "kind": "long_query", "query_start": AT - timedelta(seconds=90)}
LOSSES: dict[str, tuple[dict[str, Any], str, str]] = {
    "idle, has written": (
        row(1),
        "terminate",
        MINUTE,
    ),
    "idle, has written nothing": (row(1, backend_xid=None), "terminate", "nothing but its connection"),
    "failed, keeps what it wrote before a savepoint": (
        row(1, state="idle in transaction (aborted)", kind="idle_in_transaction_aborted"),
        "terminate",
        MINUTE,
    ),
    "idle with a session's lock": (
        row(1, state="idle", kind="idle_session_lock", backend_xid=None, xact_start=None),
        "terminate",
        "nothing but its connection",
    ),
    "runs and only reads": (
        row(1, **(RUNS | {"xact_start": AT - timedelta(seconds=90)}), backend_xid=None),
        "cancel",
        "its statement of 1 min 30 s",
    ),
    "runs and only reads, in a transaction of several": (
        row(1, **RUNS, xact_start=AT - timedelta(hours=1), backend_xid=None),
        "terminate",
        "its statement of 1 min 30 s",
    ),
    "runs, a transaction of one statement": (
        row(1, **(RUNS | {"xact_start": AT - timedelta(seconds=90)})),
        "cancel",
        "its statement of 1 min 30 s",
    ),
    "runs, in a transaction of several": (
        row(1, **(RUNS | {"xact_start": AT - timedelta(hours=3, minutes=4)})),
        "terminate",
        "its transaction, 3 h 4 min at most (since it began)",
    ),
    "its client does not read what it sends": (
        row(1, **(RUNS | {"kind": "client_not_reading"})),
        "terminate",
        "its statement of 1 min 30 s",
    ),
    "runs VACUUM": (row(1, **(RUNS | {"kind": "maintenance"})), "cancel", "its statement of 1 min 30 s"),
    "builds an index concurrently": (
        row(1, **(RUNS | {"kind": "concurrent_ddl"})),
        "cancel",
        "its statement of 1 min 30 s, and an INVALID index stays",
    ),
}


@pytest.mark.parametrize("case", LOSSES)
def test_what_a_stop_loses(vault: psycopg.Connection[Any], case: str) -> None:
    holder, action, loses = LOSSES[case]
    found = plans.ask(vault, graph(holder, waiter(2, [1], backend_xid=7, lock_type="transactionid")))
    assert [(one["action"], one["loses"]) for one in found] == [(action, loses)]


QUEUED: dict[str, tuple[dict[str, Any], str]] = {
    "its first lock": ({}, "nothing"),
    "its first lock, in a transaction that has read": (
        {"backend_xid": None, "xact_start": AT - timedelta(hours=1)},
        "nothing",
    ),
    "a further lock of one statement": ({"locks_held": 3}, "its statement of 20 s"),
    "its first lock, after BEGIN": ({"xact_start": AT - timedelta(minutes=5)}, "nothing"),
    "a lock, in a transaction that has written": (
        {"xact_start": AT - timedelta(minutes=5), "locks_held": 5},
        "its transaction, 5 min 00 s at most (since it began)",
    ),
    "a virtual transaction (CONCURRENTLY)": (
        {"lock_type": "virtualxid", "backend_xid": None},
        "its statement of 20 s",
    ),
}


@pytest.mark.parametrize("case", QUEUED)
def test_what_cancelling_a_waiter_loses(vault: psycopg.Connection[Any], case: str) -> None:
    other, loses = QUEUED[case]
    found = plans.ask(vault, graph(row(10), *convoy(10, 20, 3, **other)))
    assert (found[0]["action"], found[0]["node"], found[0]["loses"]) == ("cancel", 20, loses)


SPARED: dict[str, tuple[dict[str, Any], str]] = {
    "superuser": (
        {"is_superuser": True},
        "app1 (1) is left alone, with 1 behind it: pid 1 is a superuser's session.",
    ),
    "unknown user": (
        {"is_superuser": None},
        "app1 (1) is left alone, with 1 behind it: the user of pid 1 cannot be seen.",
    ),
    "monitor": (
        {"user_name": "watcher"},
        "app1 (1) is left alone, with 1 behind it: pid 1 belongs to the lock monitor itself.",
    ),
    "protected": (
        {"user_name": "Payroll_run"},
        "app1 (1) is left alone, with 1 behind it: the user of pid 1 is protected"
        " (setting door.protected_users).",
    ),
    "replication": (
        {"backend_type": "walsender", "kind": "background"},
        "app1 (1) is left alone, with 1 behind it: pid 1 serves replication.",
    ),
    "apply worker": (
        {"backend_type": "logical replication apply worker", "kind": "background"},
        "app1 (1) is left alone, with 1 behind it: pid 1 serves replication.",
    ),
    "wraparound": (
        {
            "backend_type": "autovacuum worker",
            "kind": "autovacuum",
            "query": "autovacuum: VACUUM a (to prevent wraparound)",
        },
        "app1 (1) is left alone, with 1 behind it: pid 1 is an autovacuum that prevents transaction id"
        " wraparound.",
    ),
    "autovacuum": (
        {
            "backend_type": "autovacuum worker",
            "kind": "autovacuum",
            "query": "autovacuum: VACUUM a",
            "application_name": "",
        },
        "app (1) is left alone, with 1 behind it: pid 1 is not a client's session.",
    ),
    "a commit that waits for its standby": (
        {"kind": "waits_for_standby", "state": "active"},
        "app1 (1) is left alone, with 1 behind it: it has committed and waits for its standby: stopping it"
        " leaves the commit unconfirmed.",
    ),
    "does not show what it does": (
        {"kind": "unknown", "state": "disabled"},
        "app1 (1) is left alone, with 1 behind it: what stopping it does is not known here (unknown).",
    ),
    "a kind that this rule does not know": (
        {"kind": "committing", "state": "active"},
        "app1 (1) is left alone, with 1 behind it: what stopping it does is not known here (committing).",
    ),
}


@pytest.mark.parametrize("case", SPARED)
def test_who_is_never_stopped_is_named_with_the_reason(vault: psycopg.Connection[Any], case: str) -> None:
    other, sentence = SPARED[case]
    assert texts(vault, graph(row(1, **other), waiter(2, [1]))) == [
        sentence,
        "1 session goes on waiting: no stop, and no two together, would free anybody else.",
    ]


def test_a_prepared_transaction_is_named_and_does_not_hide_what_helps(vault: psycopg.Connection[Any]) -> None:
    prepared = row(-77, kind="prepared_transaction", prepared_gid="gid\n'77", state=None, xact_start=None)
    assert texts(
        vault, graph(prepared, waiter(5, [-77], lock_type="transactionid"), row(6), waiter(7, [6]))
    ) == [
        f"Terminate app6 (6): frees 1; loses {MINUTE}.",
        "prepared transaction 'gid?''77' is left alone, with 1 behind it: a prepared transaction has no"
        " session; ROLLBACK PREPARED or COMMIT PREPARED ends it.",
        "1 session goes on waiting: no stop, and no two together, would free anybody else.",
    ]


def test_two_that_are_needed_together_are_one_move(vault: psycopg.Connection[Any]) -> None:
    nodes = graph(
        row(1, backend_xid=None),
        row(2, backend_xid=None),
        waiter(3, [1, 2]),
        waiter(4, [1, 2]),
        row(5),
        waiter(6, [5]),
    )
    assert texts(vault, nodes)[:3] == [
        "Terminate app1 (1): frees nobody by itself, 2 at once with the next step; loses nothing but its"
        " connection.",
        "Then terminate app2 (2): frees 2 at once; loses nothing but its connection.",
        f"Then terminate app5 (5): frees 1; loses {MINUTE}.",
    ]


def test_three_that_are_needed_together_are_beyond_it_and_it_says_so(vault: psycopg.Connection[Any]) -> None:
    assert texts(vault, graph(row(1), row(2), row(3), waiter(4, [1, 2, 3]))) == [
        "1 session goes on waiting: no stop, and no two together, would free anybody else."
    ]


def test_equal_effects_are_ordered_by_what_is_lost_and_then_by_pid(vault: psycopg.Connection[Any]) -> None:
    roots = [
        row(1, xact_start=AT - timedelta(hours=2)),
        row(2, **RUNS, backend_xid=None),
        row(3, xact_start=AT - timedelta(minutes=2)),
        row(4, backend_xid=None),
        row(5, backend_xid=None),
    ]
    nodes = graph(*roots, *(waiter(10 + n, [n]) for n in range(1, 6)))
    steps = [one for one in plans.ask(vault, nodes) if one["step"]]
    assert [one["node"] for one in steps] == [4, 5, 2, 3]
    assert texts(vault, nodes)[-1] == "1 session goes on waiting after these steps: look again then."


def test_cancelling_the_head_of_a_rows_queue_frees_nobody(vault: psycopg.Connection[Any]) -> None:
    """The next one takes the tuple lock and waits for the row itself; so only the root is offered."""
    steps = [one for one in plans.ask(vault, graph(row(1), *row_queue(1, 10, 5))) if one["step"]]
    assert [(one["node"], one["frees_at_once"], one["follow"]) for one in steps] == [(1, 1, 5)]
    assert simulated(vault, graph(row(1), *row_queue(1, 10, 2)), [10]) == {11: "others", 12: "others"}
    assert simulated(vault, graph(row(1), *row_queue(1, 10, 2)), [1, 10]) == {11: "freed", 12: "next"}


def test_of_like_waiters_whose_mode_conflicts_with_itself_one_moves_up(
    vault: psycopg.Connection[Any],
) -> None:
    run: dict[str, Any] = {"run_head": 2, "run_conflicts_itself": True, "lock_mode": "ExclusiveLock"}
    nodes = graph(row(1), *(waiter(1 + n, [1], run_position=n, **run) for n in range(1, 5)))
    assert simulated(vault, nodes, [1]) == {2: "freed", 3: "next", 4: "next", 5: "next"}
    assert simulated(vault, nodes, [1, 2]) == {3: "freed", 4: "next", 5: "next"}
    assert simulated(vault, nodes, [3]) == {4: "others", 5: "others"}
    first = plans.ask(vault, nodes)[0]
    assert (first["node"], first["frees_at_once"], first["follow"]) == (1, 1, 3)


def simulated(connection: psycopg.Connection[Any], nodes: Graph, stopped: list[int]) -> dict[int, str]:
    """What becomes of each when these leave."""
    text = plans.as_json(nodes)
    question = (
        "SELECT s.node, s.fate FROM lock_catalog.simulate(ARRAY(SELECT r FROM jsonb_populate_recordset("
        "NULL::lock_catalog.graph, %s::jsonb) AS r), %s::bigint[]) AS s ORDER BY s.node"
    )
    return dict(connection.execute(question, (text, stopped)).fetchall())


def test_who_holds_an_advisory_lock_is_terminated(vault: psycopg.Connection[Any]) -> None:
    nodes = graph(row(1, **RUNS, backend_xid=None), waiter(2, [1], lock_type="advisory"))
    assert texts(vault, nodes) == [
        "Terminate app1 (1): frees 1; loses its statement of 1 min 30 s (terminated, as an advisory lock may"
        " outlive a cancel)."
    ]


def test_a_ring_is_left_to_postgresql(vault: psycopg.Connection[Any]) -> None:
    nodes = graph(waiter(1, [2], lock_type="transactionid"), waiter(2, [1], lock_type="transactionid"))
    assert texts(vault, nodes)[0] == (
        "app1 (1) is left alone, with 2 behind it: it is in a ring of waits, of which PostgreSQL ends one"
        " within deadlock_timeout."
    )


def test_nobody_waits_no_plan(vault: psycopg.Connection[Any]) -> None:
    assert plans.ask(vault, {}) == []
    assert vault.execute("SELECT * FROM lock_admin.rescue_plan()").fetchall() == []


def test_pairs_are_of_the_thirty_with_most_behind_and_what_was_cut_is_said(
    vault: psycopg.Connection[Any],
) -> None:
    fans = [row(1000 + n, backend_xid=None) for n in range(35)]
    waiters = [waiter(2000 + n, [1000 + n]) for n in range(35)]
    # two that free five together, behind whom fewest wait
    small = [row(10, backend_xid=None), row(11, backend_xid=None), waiter(12, [10, 11])]
    most = [waiter(3000 + n, [2000 + n], lock_type="transactionid") for n in range(35)]
    found = plans.ask(vault, graph(*fans, *waiters, *most, *small))
    assert "Two stops together were tried of the 30 with most behind them, of 72; each alone of all." in [
        one["text"] for one in found
    ]
    assert not {10, 11} & {one["node"] for one in found if one["step"]}


def test_in_the_past_it_says_at_least_where_the_queues_order_is_not_known(
    vault: psycopg.Connection[Any],
) -> None:
    rows = convoy(10, 20, 3)
    known = texts(vault, graph(row(10), *rows), past=True)
    assert known == ["Cancel migrate (20): frees 3 at once; loses nothing."]
    for one in rows[1:]:
        one["wait_start_is_bound"] = True
    assert texts(vault, graph(row(10), *rows), past=True) == [
        "Cancel migrate (20): frees at least 3 at once; loses nothing."
    ]
    assert texts(vault, graph(row(10), *rows)) == known


def test_names_are_shown_on_one_line_and_cut(vault: psycopg.Connection[Any]) -> None:
    name = "<b>x</b>\n\tCancel everything (1): frees all; " + "y" * 100
    found = texts(vault, graph(row(1, application_name=name), waiter(2, [1])))
    assert found[0].startswith("Terminate <b>x</b>??Cancel everything (1): frees all; yyyyyyyyyyyy")
    assert "\n" not in found[0] and "y" * 17 not in found[0]
    assert texts(vault, graph(row(1, application_name=""), waiter(2, [1])))[0].startswith(
        "Terminate app (1): "
    )


@pytest.mark.parametrize("seed", range(60))
def test_a_plan_is_the_best_that_brute_force_finds(vault: psycopg.Connection[Any], seed: int) -> None:
    chance = random.Random(seed)
    nodes = plans.by_chance(chance, chance.randint(1, 60))
    assert plans.stops(plans.ask(vault, nodes)) == Brute(nodes).steps


@pytest.mark.parametrize("seed", range(20))
def test_a_simulation_is_what_walking_the_graph_finds(vault: psycopg.Connection[Any], seed: int) -> None:
    chance = random.Random(1000 + seed)
    nodes = plans.by_chance(chance, chance.randint(3, 40))
    brute = Brute(nodes)
    for size in (1, 1, 2, 3):
        stopped = chance.sample(sorted(nodes), min(size, len(nodes)))
        found = simulated(vault, nodes, stopped)
        assert {node for node, fate in found.items() if fate == "freed"} == brute.freed(stopped), stopped
