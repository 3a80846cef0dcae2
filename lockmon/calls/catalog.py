"""Typed calls of lock_catalog: what PostgreSQL shows now. Reading only."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from .base import Cursor, build, columns, select_all, with_quick_moments

Nodes = tuple[int, ...]
"""Node numbers, as WaitNode.node gives them."""


@dataclass(frozen=True)
class WaitNode:
    """One session (or prepared transaction) of the waits-for graph: a waiter, a blocker, or both.

    node: the session's pid (the leader's for parallel workers); a prepared transaction is minus its xid,
    with pid 0.
    blocked_seconds: sum of the present waits behind it. severity: None if it blocks nobody.
    wait_start_is_bound: the wait is at most that long (before PostgreSQL 14, or not yet known).
    hard_blockers hold a conflicting lock; soft_blockers queue ahead with a conflicting request.
    """

    node: int
    pid: int
    backend_start: datetime | None
    user_name: str | None
    is_superuser: bool | None
    database_name: str | None
    application_name: str | None
    client_addr: object | None
    client_hostname: str | None
    backend_type: str | None
    state: str | None
    state_change: datetime | None
    xact_start: datetime | None
    query_start: datetime | None
    query: str | None
    query_truncated: bool | None
    query_id: int | None
    backend_xid: int | None
    prepared_gid: str | None
    prepared_at: datetime | None
    is_waiting: bool
    is_root: bool
    in_deadlock: bool
    lock_type: str | None
    lock_mode: str | None
    object_key: str | None
    object_name: str | None
    schema_name: str | None
    relation_name: str | None
    relation_oid: int | None
    database_oid: int | None
    page: int | None
    tuple: int | None
    transactionid: int | None
    wait_start: datetime | None
    wait_start_is_bound: bool | None
    hard_blockers: Nodes | None
    soft_blockers: Nodes | None
    run_head: int | None
    run_position: int | None
    run_conflicts_itself: bool | None
    parent: int | None
    roots: Nodes | None
    blocked_directly: int
    blocked_total: int
    blocking_since: datetime | None
    blocked_seconds: Decimal | None
    severity: str | None
    kind: str | None
    recommended_action: str | None
    locks_held: int | None
    exclusive_locks_held: int | None
    waits: Any = None
    """Each wait of a lock group that waits for several things at once, as JSON; else None."""
    severity_score: Decimal | None = None
    """The order of blockers, the worst first (lock_engine.severity_score); None if it blocks nobody."""
    tenant_claim: str | None = None
    """The tenant that it says it works for (lock_engine.session_claim)."""


@dataclass(frozen=True)
class PlanRow:
    """One row of a rescue plan (docs/door.md). step: None where it is not a stop but says who is left alone
    and why (action "leave"), who goes on waiting or what was not tried ("note").

    frees_at_once: sessions that go on at once; at_least: of a past moment whose queue has no known order.
    follow: those that go on after them, as each commits. loses, text: in words.
    """

    step: int | None
    action: str
    node: int | None
    pid: int | None
    backend_start: datetime | None
    who: str | None
    frees_at_once: int | None
    follow: int | None
    at_least: bool
    loses: str | None
    text: str


_BESIDE = """
CASE WHEN w.blocked_total > 0 THEN
  lock_engine.severity_score(w.severity, w.blocked_total,
    extract(epoch FROM clock_timestamp() - w.blocking_since)::numeric, w.blocked_seconds) END
  AS severity_score,
lock_engine.session_claim(c.claims, w.application_name, w.user_name, w.database_name,
  CASE WHEN w.is_waiting THEN w.schema_name END) AS tenant_claim"""
# joined: with a subselect in its place lock_engine.session_claim() is not inlined, but called for each row
_CLAIMS = "CROSS JOIN lock_engine.claim_patterns() AS c (claims)"


def waits_for(cursor: Cursor) -> list[WaitNode]:
    """lock_catalog.waits_for(): the waits-for graph now, a row a node; empty where nobody waits."""
    with_quick_moments(cursor)
    return select_all(
        cursor,
        WaitNode,
        f"(SELECT w.*, {_BESIDE} FROM lock_catalog.waits_for() AS w {_CLAIMS}) AS n",  # noqa: S608
    )


_GRAPH_AND_PLAN = f"""
WITH g AS MATERIALIZED (SELECT w.* FROM lock_catalog.waits_for() AS w)
SELECT {columns(WaitNode)}, CASE WHEN n.place = 1 THEN (
         SELECT json_agg(p)::text
           FROM lock_admin.rescue_plan_of(
                  ARRAY(SELECT ROW(g.*)::lock_catalog.graph FROM g), clock_timestamp()) AS p) END
  FROM (SELECT w.*, {_BESIDE}, row_number() OVER () AS place FROM g AS w {_CLAIMS}) AS n
"""  # noqa: S608 - constant texts


def waits_for_and_plan(cursor: Cursor) -> tuple[list[WaitNode], list[PlanRow]]:
    """Return the waits-for graph now, and the rescue plan of that very graph, which is read once."""
    with_quick_moments(cursor)
    cursor.execute(_GRAPH_AND_PLAN)
    rows = cursor.fetchall()
    plan = rows[0][-1] if rows else None
    return [build(WaitNode, row[:-1]) for row in rows], [_planned(one) for one in json.loads(plan or "[]")]


def _planned(one: dict[str, Any]) -> PlanRow:
    began = one["backend_start"]
    return PlanRow(**(one | {"backend_start": None if began is None else datetime.fromisoformat(began)}))


def rescue_plan(cursor: Cursor) -> list[PlanRow]:
    """Return the rescue plan now; empty where nobody waits."""
    return waits_for_and_plan(cursor)[1]


def past_rescue_plan(cursor: Cursor, nodes: Sequence[dict[str, Any]], at: datetime) -> list[PlanRow]:
    """lock_admin.past_rescue_plan(): the plan of a past moment. nodes: columns of lock_catalog.graph by name,
    of each node, as JSON takes them."""
    return select_all(
        cursor, PlanRow, "lock_admin.past_rescue_plan(%s::jsonb, %s)", [json.dumps(list(nodes)), at]
    )


def anyone_waiting_by_activity(cursor: Cursor) -> bool:
    """lock_catalog.waiting_by_activity: does any session wait for a lock? Cheap with up to some hundred
    sessions."""
    cursor.execute("SELECT anyone_waiting FROM lock_catalog.waiting_by_activity")
    return bool(cursor.fetchone()[0])


def anyone_waiting_by_locks(cursor: Cursor) -> bool:
    """lock_catalog.waiting_by_locks: the same from the lock table. Cheap with many sessions and few locks."""
    cursor.execute("SELECT anyone_waiting FROM lock_catalog.waiting_by_locks")
    return bool(cursor.fetchone()[0])
