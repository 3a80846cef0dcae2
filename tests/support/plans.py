"""Rescue plans by brute force: waits-for graphs made by chance, and every stop tried one after the other.

Written from docs/door.md and from what a graph's columns mean, not from the SQL: it simulates each set of
stops by looking at each waiter.
"""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from psycopg.rows import dict_row

AT = datetime(2026, 11, 22, 3, 12, 41, tzinfo=UTC)
ROW_TYPES = ("transactionid", "tuple", "virtualxid")
MOVES = 2
PAIRED = 30
Graph = dict[int, dict[str, Any]]

PLAN = """
SELECT p.* FROM lock_catalog.rescue_plan(
  ARRAY(SELECT r FROM jsonb_populate_recordset(NULL::lock_catalog.graph, %s::jsonb) AS r),
  %s, 0, ARRAY['watcher'], ARRAY['payroll*'], %s) AS p
"""


def row(node: int, **other: Any) -> dict[str, Any]:
    """One row of a graph: unless said, a session idle in a transaction of a minute, with an xid."""
    base: dict[str, Any] = {
        "node": node,
        "pid": max(node, 0),
        "backend_start": AT - timedelta(hours=1),
        "user_name": "app",
        "is_superuser": False,
        "application_name": f"app{node}",
        "backend_type": "client backend",
        "state": "idle in transaction",
        "kind": "idle_in_transaction",
        "xact_start": AT - timedelta(seconds=60),
        "query_start": AT - timedelta(seconds=30),
        "backend_xid": 5000 + abs(node),
        "is_waiting": False,
        "is_root": True,
        "in_deadlock": False,
        "hard_blockers": [],
        "soft_blockers": [],
        "blocked_total": 0,
        "locks_held": 3,
    }
    return base | other


def waiter(node: int, hard: Iterable[int] = (), soft: Iterable[int] = (), **other: Any) -> dict[str, Any]:
    """A row that waits, for a relation and in a class of its own unless said otherwise."""
    base = {
        "state": "active",
        "kind": "waiting",
        "is_waiting": True,
        "is_root": False,
        "lock_type": "relation",
        "hard_blockers": list(hard),
        "soft_blockers": list(soft),
        "run_head": node,
        "run_position": 1,
        "run_conflicts_itself": False,
        "wait_start_is_bound": False,
        "xact_start": AT - timedelta(seconds=20),
        "query_start": AT - timedelta(seconds=20),
        "backend_xid": None,
        "locks_held": 2,
    }
    return row(node, **(base | other))


def graph(*rows: dict[str, Any]) -> Graph:
    """The rows by node, with what waits behind each counted."""
    nodes = {one["node"]: one for one in rows}
    behind: dict[int, set[int]] = {}
    for one in rows:
        for blocker in {*one["hard_blockers"], *one["soft_blockers"]}:
            behind.setdefault(blocker, set()).add(one["node"])
    for node, one in nodes.items():
        seen: set[int] = set()
        todo = [node]
        while todo:
            for other in behind.get(todo.pop(), ()):
                if other not in seen:
                    seen.add(other)
                    todo.append(other)
        one["blocked_total"] = len(seen)
        one["blocked_directly"] = len(behind.get(node, ()))
        one["in_deadlock"] = node in seen
        one["is_root"] = bool(seen) and not one["is_waiting"]
    return {node: one for node, one in nodes.items() if one["is_waiting"] or one["blocked_total"]}


def as_json(nodes: Graph) -> str:
    """A graph as jsonb_populate_recordset() takes it."""
    return json.dumps(list(nodes.values()), default=lambda moment: moment.isoformat())


def ask(connection: psycopg.Connection[Any], nodes: Graph, past: bool = False) -> list[dict[str, Any]]:
    """The rows of lock_catalog.rescue_plan() for a graph."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(PLAN, (as_json(nodes), AT, past)).fetchall()


# chance


def by_chance(chance: random.Random, waiters: int) -> Graph:
    """A graph of so many waiters: rows, relations with mixed queues, several holders, chains, rings."""
    numbers = itertools.count(100)
    rows: list[dict[str, Any]] = []
    holders = [_holder(chance, next(numbers)) for _ in range(chance.randint(1, max(2, waiters // 6)))]
    rows += holders
    left = waiters
    while left > 0:
        able = [one["node"] for one in rows if chance.random() < 0.5] or [rows[0]["node"]]
        size = min(left, chance.choice((1, 1, 2, 3, 5, 8, 13, chance.randint(1, max(1, left)))))
        make = chance.choice((_row_queue, _row_queue, _relation_queue, _relation_queue, _chain, _key_queue))
        made = make(chance, numbers, able, size)
        rows += made
        left -= len(made)
    if chance.random() < 0.15 and waiters > 4:
        one, other = (next(numbers) for _ in range(2))
        rows += [_wait(chance, one, [other], []), _wait(chance, other, [one], [])]
    chance.shuffle(rows)
    return graph(*rows)


def _moments(chance: random.Random) -> dict[str, Any]:
    began = AT - timedelta(seconds=chance.choice((1, 5, 60, 60, 400, 90000)))
    asked = began if chance.random() < 0.5 else AT
    return {"xact_start": began, "query_start": asked}


def _user(chance: random.Random) -> dict[str, Any]:
    return chance.choice(({}, {}, {}, {}, {}, {"is_superuser": True}, {"user_name": "payroll_7"}))


def _holder(chance: random.Random, node: int) -> dict[str, Any]:
    if chance.random() < 0.07:
        return row(-node, kind="prepared_transaction", prepared_gid=f"g{node}", state=None, xact_start=None)
    state, kind = chance.choice(
        (
            ("idle in transaction", "idle_in_transaction"),
            ("idle in transaction (aborted)", "idle_in_transaction_aborted"),
            ("active", "long_query"),
            ("active", "active"),
            ("active", "client_not_reading"),
            ("active", "maintenance"),
            ("idle", "idle_session_lock"),
            ("active", "something_new") if chance.random() < 0.1 else ("active", "running_ddl"),
        )
    )
    xid = None if chance.random() < 0.3 else node
    return row(node, state=state, kind=kind, backend_xid=xid, **_moments(chance), **_user(chance))


def _wait(chance: random.Random, node: int, hard: list[int], soft: list[int], **other: Any) -> dict[str, Any]:
    xid = None if chance.random() < 0.4 else node
    held = chance.choice((2, 2, 3))
    kind = chance.choice(("waiting", "queued_ddl"))
    values = {"backend_xid": xid, "locks_held": held, "kind": kind} | _moments(chance)
    return waiter(node, hard, soft, **(values | _user(chance) | other))


def _row_queue(
    chance: random.Random, numbers: Iterable[int], able: list[int], size: int
) -> list[dict[str, Any]]:
    nodes = list(itertools.islice(numbers, size))
    first = _wait(chance, nodes[0], [chance.choice(able)], [], lock_type="transactionid")
    return [first] + [
        _wait(
            chance, node, [nodes[0]], [], lock_type="tuple", run_head=nodes[1], run_position=place,
            run_conflicts_itself=True,
        )
        for place, node in enumerate(nodes[1:], 1)
    ]  # fmt: skip


def _key_queue(
    chance: random.Random, numbers: Iterable[int], able: list[int], size: int
) -> list[dict[str, Any]]:
    """Those who wait for one transaction: some for rows of it, some to insert keys that it has inserted."""
    nodes = list(itertools.islice(numbers, size))
    holder = chance.choice(able)
    made = []
    for place, node in enumerate(nodes, 1):
        row_wanted = chance.choice((None, None, place))
        made.append(
            _wait(
                chance, node, [holder], [], lock_type="transactionid", run_head=nodes[0], run_position=place,
                tuple=row_wanted,
            )
        )  # fmt: skip
    return made


def _inserts(one: dict[str, Any]) -> bool:
    """Whether it waits for a transaction and not for a row of it."""
    return one["lock_type"] == "transactionid" and one.get("tuple") is None


def _chain(chance: random.Random, numbers: Iterable[int], able: list[int], size: int) -> list[dict[str, Any]]:
    nodes = list(itertools.islice(numbers, size))
    before = [chance.choice(able), *nodes]
    return [
        _wait(chance, node, [before[place]], [], lock_type="transactionid")
        for place, node in enumerate(nodes)
    ]


def _relation_queue(
    chance: random.Random, numbers: Iterable[int], able: list[int], size: int
) -> list[dict[str, Any]]:
    """Classes of like waiters, each behind holders, behind members of classes ahead, or both."""
    nodes = list(itertools.islice(numbers, size))
    lock_type = chance.choice(("relation", "relation", "relation", "advisory"))
    holding = chance.sample(able, min(len(able), chance.choice((1, 1, 1, 2, 2, 3, 6))))
    made: list[dict[str, Any]] = []
    ahead: list[int] = []
    while nodes:
        members = [nodes.pop(0) for _ in range(min(len(nodes), chance.choice((1, 1, 2, 4, len(nodes)))))]
        soft = chance.sample(ahead, min(len(ahead), chance.choice((0, 1, 1, 2, len(ahead)))))
        hard = (
            [] if soft and chance.random() < 0.5 else chance.sample(holding, chance.randint(1, len(holding)))
        )
        itself = chance.random() < 0.5
        made += [
            _wait(
                chance, node, hard, soft, lock_type=lock_type, run_head=members[0], run_position=place,
                run_conflicts_itself=itself,
            )
            for place, node in enumerate(members, 1)
        ]  # fmt: skip
        ahead += members
    return made


# brute force


@dataclass
class Step:
    """One stop, and what it does."""

    node: int
    action: str
    frees: int
    follow: int
    loss: int


@dataclass
class Brute:
    """Every stop and every two, tried; ``steps`` is the plan."""

    nodes: Graph
    steps: list[Step] = field(default_factory=list)
    tried: int = 0

    def __post_init__(self) -> None:
        self.held_by = {node: self._held_by(one) for node, one in self.nodes.items() if one["is_waiting"]}
        self.bits = {node: 1 << place for place, node in enumerate({*self.nodes, *self._all_blockers()})}
        self.masks = {node: self._mask(blockers) for node, blockers in self.held_by.items()}
        # whoever can be of use within so many stops
        near = {one for blockers in self.held_by.values() if len(blockers) <= 2 * MOVES for one in blockers}
        self.able = {node for node in near if node in self.nodes and not self._spared(self.nodes[node])}
        self._plan()

    def _all_blockers(self) -> set[int]:
        return {one for blockers in self.held_by.values() for one in blockers}

    def _mask(self, nodes: Iterable[int]) -> int:
        return sum(self.bits[node] for node in set(nodes))

    def _held_by(self, one: dict[str, Any]) -> set[int]:
        """All that have to leave before a waiter goes on."""
        found = {*one["hard_blockers"], *one["soft_blockers"]}
        if one["lock_type"] == "tuple":
            for holder in list(found):
                ahead = self.nodes.get(holder)
                if ahead is not None and ahead["is_waiting"] and ahead["lock_type"] == "transactionid":
                    found |= {*ahead["hard_blockers"], *ahead["soft_blockers"]}
        # which key who inserts wants is not known: those before it that insert, too, may want the same
        if one["run_conflicts_itself"] or _inserts(one):
            found |= {
                other["node"]
                for other in self.nodes.values()
                if other["is_waiting"]
                and _inserts(other) == _inserts(one)
                and other["run_head"] == one["run_head"]
                and other["run_position"] < one["run_position"]
            }
        return found - {one["node"]}

    def _spared(self, one: dict[str, Any]) -> bool:
        return bool(
            one["node"] < 0
            or one["in_deadlock"]
            or one["is_superuser"]
            or one["user_name"].startswith("payroll")
            or one["kind"] == "something_new"
        )

    def freed(self, stopped: Iterable[int]) -> set[int]:
        """Who goes on once these have left."""
        gone = self._mask(stopped)
        self.tried += 1
        return {
            node
            for node, mask in self.masks.items()
            if mask and not mask & ~gone and not self.bits[node] & gone
        }

    def loss(self, node: int) -> tuple[int, float]:
        """0 nothing, 1 a statement, 2 a transaction with its seconds."""
        one = self.nodes[node]
        on_row = one["is_waiting"] and one["lock_type"] in ROW_TYPES
        has_xid = one["backend_xid"] is not None
        if one["is_waiting"]:
            if not on_row and (not has_xid or one["locks_held"] <= 2):
                return 0, 0.0
        elif not has_xid and one["state"] != "active":
            return 0, 0.0
        if one["kind"] == "maintenance":
            return 1, 0.0
        if not has_xid or (one["state"] == "active" and one["xact_start"] >= one["query_start"]):
            return 1, 0.0
        return 2, (AT - one["xact_start"]).total_seconds()

    def _action(self, node: int) -> str:
        one = self.nodes[node]
        advisory = any(
            other["is_waiting"] and other["lock_type"] == "advisory" and node in other["hard_blockers"]
            for other in self.nodes.values()
        )
        kept = one["xact_start"] < one["query_start"] and any(
            other["is_waiting"] and other["lock_type"] != "tuple" and node in other["hard_blockers"]
            for other in self.nodes.values()
        )
        cancelled = (
            one["state"] == "active" and one["kind"] != "client_not_reading" and not advisory and not kept
        )
        return "cancel" if cancelled else "terminate"

    def _plan(self) -> None:
        stopped: list[int] = []
        for _ in range(MOVES):
            best = self._best(stopped)
            if best is None:
                break
            for node in best:
                before = self.freed(stopped)
                stuck_before = self._stuck(stopped)
                stopped = [*stopped, node]
                frees = len(self.freed(stopped) - before)
                loosed = stuck_before - self._stuck(stopped) - set(stopped)
                self.steps.append(
                    Step(node, self._action(node), frees, max(len(loosed) - frees, 0), self.loss(node)[0])
                )

    def _best(self, stopped: list[int]) -> list[int] | None:
        before = self.freed(stopped)
        live = sorted(self.able - set(stopped) - before)
        alone = {node: len(self.freed([*stopped, node]) - before) for node in live}
        paired = sorted(live, key=lambda node: (-self.nodes[node]["blocked_total"], node))[:PAIRED]
        tried: list[tuple[Any, list[int]]] = []
        for node in live:
            tried.append(((-alone[node], *self.loss(node), 1, node, 0), [node]))
        for one, other in itertools.combinations(sorted(paired), 2):
            frees = len(self.freed([*stopped, one, other]) - before)
            losses = self.loss(one), self.loss(other)
            key = (-frees, max(losses)[0], losses[0][1] + losses[1][1], 2, one, other)
            tried.append((key, [one, other]))
        tried = [(key, nodes) for key, nodes in tried if key[0] < 0]
        if not tried:
            return None
        nodes = min(tried, key=lambda entry: entry[0])[1]
        gone = set(stopped)
        # whoever one of the two would free goes first
        return sorted(
            nodes,
            key=lambda node: (
                not any(self.held_by.get(node, set()) - gone == {other} for other in nodes),
                -alone[node],
                *self.loss(node),
                node,
            ),
        )

    def _stuck(self, stopped: list[int]) -> set[int]:
        """Who waits, directly or not, for somebody who neither was stopped nor waits to be let through."""
        gone = set(stopped)
        held_up: dict[int, set[int]] = {}
        for node, one in self.nodes.items():
            if one["is_waiting"] and node not in gone:
                for blocker in {*one["hard_blockers"], *one["soft_blockers"]} - gone:
                    held_up.setdefault(blocker, set()).add(node)
        todo = [
            node
            for node in held_up
            if node not in self.nodes or not self.nodes[node]["is_waiting"] or self.nodes[node]["in_deadlock"]
        ]
        found: set[int] = set()
        while todo:
            for node in held_up.get(todo.pop(), ()):
                if node not in found:
                    found.add(node)
                    todo.append(node)
        # like waiters whose mode conflicts with itself wait for one another, and are held up together
        return found


def stops(rows: Iterable[dict[str, Any]]) -> list[Step]:
    """What a plan's rows say, in the words of ``Step``; what is lost by its first word."""
    found = []
    for one in rows:
        if one["step"] is not None:
            loss = 0 if one["loses"].startswith("nothing") else 1 if "statement" in one["loses"] else 2
            found.append(Step(one["node"], one["action"], one["frees_at_once"], one["follow"], loss))
    return found
