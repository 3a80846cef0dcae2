"""Typed calls of lock_catalog: what PostgreSQL shows now. Reading only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from .base import Cursor, select_all, with_quick_moments

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


def waits_for(cursor: Cursor) -> list[WaitNode]:
    """lock_catalog.waits_for(): the waits-for graph now, a row a node; empty where nobody waits."""
    with_quick_moments(cursor)
    return select_all(cursor, WaitNode, "lock_catalog.waits_for()")


def anyone_waiting_by_activity(cursor: Cursor) -> bool:
    """lock_catalog.waiting_by_activity: does any session wait for a lock? Cheap with up to some hundred
    sessions."""
    cursor.execute("SELECT anyone_waiting FROM lock_catalog.waiting_by_activity")
    return bool(cursor.fetchone()[0])


def anyone_waiting_by_locks(cursor: Cursor) -> bool:
    """lock_catalog.waiting_by_locks: the same from the lock table. Cheap with many sessions and few locks."""
    cursor.execute("SELECT anyone_waiting FROM lock_catalog.waiting_by_locks")
    return bool(cursor.fetchone()[0])
