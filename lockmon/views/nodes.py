"""A session as the trees show it, from the live graph or from the vault, and what a reader may see of it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from operator import attrgetter
from typing import Any

from ..calls.behind import Behind, Placed
from ..models import BlockingSession, LockActivity
from . import words
from .session_links import session_query


@dataclass(frozen=True)
class Wait:
    """One of several waits of one waiter: the members of a parallel query may wait for different things."""

    process: int
    lock_type: str | None
    lock_mode: str | None
    object_name: str | None
    wait_start: datetime | None


@dataclass(frozen=True)
class Node:
    """One waiter or blocker. ``node`` is the session's pid, or minus the xid of a prepared transaction."""

    node: int
    pid: int
    backend_start: datetime | None = None
    user_name: str | None = None
    is_superuser: bool | None = None
    database_name: str | None = None
    application_name: str | None = None
    client_addr: str | None = None
    client_hostname: str | None = None
    backend_type: str | None = None
    state: str | None = None
    state_change: datetime | None = None
    xact_start: datetime | None = None
    query_start: datetime | None = None
    query: str | None = None
    query_truncated: bool | None = None
    fingerprint: str | None = None
    backend_xid: int | None = None
    prepared_gid: str | None = None
    prepared_at: datetime | None = None
    is_waiting: bool = False
    is_root: bool = False
    in_deadlock: bool = False
    lock_type: str | None = None
    lock_mode: str | None = None
    object_name: str | None = None
    relation_name: str | None = None
    schema_name: str | None = None
    page: int | None = None
    tuple: int | None = None
    transactionid: int | None = None
    wait_start: datetime | None = None
    wait_start_is_bound: bool | None = None
    hard_blockers: Sequence[int] = ()
    soft_blockers: Sequence[int] = ()
    run_head: int | None = None
    parent: int | None = None
    roots: Sequence[int] = ()
    blocked_directly: int | None = None
    blocked_total: int | None = None
    blocking_since: datetime | None = None
    blocked_seconds: float | None = None
    severity: str | None = None
    severity_score: float | None = None
    tenant_claim: str | None = None
    kind: str | None = None
    recommended_action: str | None = None
    locks_held: int | None = None
    exclusive_locks_held: int | None = None
    episode: str | None = None
    waits: Sequence[Wait] = ()
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """A name for HTML ids that stays the same while this is the same session."""
        start = int(self.backend_start.timestamp()) if self.backend_start else 0
        return f"n{self.node}-{start}".replace("--", "-").replace("n-", "p")

    @property
    def identity(self) -> str:
        """The query string that names exactly this session: its pid and when it connected."""
        return session_query(self.node, self.backend_start)

    @property
    def client(self) -> str:
        """Where it connects from, as far as known."""
        return self.client_addr or ("local socket" if self.backend_type == "client backend" else "")

    @property
    def label(self) -> str:
        """The name a person knows it by: application, else user."""
        if self.prepared_gid is not None:
            return f"prepared transaction '{words.one_line(self.prepared_gid, 60)}'"
        if self.state == "starting" and not self.user_name:
            return words.KINDS["logging_in"]
        return words.printable_name(self.application_name, "") or words.printable_name(self.user_name)

    @property
    def row(self) -> str | None:
        """The contended row, "row (12,4) of app.accounts", where PostgreSQL shows it."""
        if self.page is None or self.tuple is None:
            return None
        name = f"{self.schema_name}.{self.relation_name}" if self.relation_name else "an unknown table"
        return f"row ({self.page},{self.tuple}) of {words.one_line(name, 130)}"


_SAME = [
    "node",
    "pid",
    "backend_start",
    "user_name",
    "is_superuser",
    "database_name",
    "application_name",
    "client_hostname",
    "backend_type",
    "state",
    "state_change",
    "xact_start",
    "query_start",
    "query_truncated",
    "backend_xid",
    "prepared_gid",
    "prepared_at",
    "is_waiting",
    "is_root",
    "in_deadlock",
    "lock_type",
    "lock_mode",
    "object_name",
    "relation_name",
    "schema_name",
    "page",
    "tuple",
    "transactionid",
    "wait_start",
    "wait_start_is_bound",
    "run_head",
    "parent",
    "blocked_directly",
    "blocked_total",
    "blocking_since",
    "severity",
    "kind",
    "recommended_action",
    "locks_held",
    "exclusive_locks_held",
    "tenant_claim",
]


def from_live(rows: Iterable[Any], see_text: bool) -> list[Node]:
    """Return nodes of ``lock_catalog.waits_for()`` rows; without ``see_text`` literals are hidden."""
    nodes, same = [], attrgetter(*_SAME)
    for row in rows:
        values: dict[str, Any] = dict(zip(_SAME, same(row), strict=True))
        text = row.query
        nodes.append(
            Node(
                **values,
                client_addr=None if row.client_addr is None else str(row.client_addr),
                query=text if see_text else words.hide_literals(text),
                fingerprint=words.shape_of(text),
                hard_blockers=tuple(row.hard_blockers or ()),
                soft_blockers=tuple(row.soft_blockers or ()),
                roots=tuple(row.roots or ()),
                blocked_seconds=None if row.blocked_seconds is None else float(row.blocked_seconds),
                severity_score=None if row.severity_score is None else float(row.severity_score),
                waits=several(row.waits),
            )
        )
    return nodes


def several(waits: Any) -> tuple[Wait, ...]:
    """Return the waits of one node of the graph, () where it has one at most."""
    if not waits:
        return ()
    return tuple(
        Wait(
            one["process"],
            one["lock_type"],
            one["lock_mode"],
            one["object_name"],
            datetime.fromisoformat(one["wait_start"]) if one["wait_start"] else None,
        )
        for one in (json.loads(waits) if isinstance(waits, str) else waits)
    )


def _of_blocker(row: BlockingSession, see_text: bool) -> Node:
    node = row.node if row.node is not None else row.session_pid
    return Node(
        node=node,
        pid=row.session_pid,
        backend_start=row.session_start_time,
        user_name=row.user_name,
        is_superuser=row.is_superuser,
        database_name=row.database_name,
        application_name=row.application_name,
        client_addr=row.client_addr,
        client_hostname=row.client_hostname,
        backend_type=row.backend_type,
        state=row.session_state,
        state_change=row.state_change,
        xact_start=row.transaction_start,
        query_start=row.query_start,
        query=row.current_query if see_text else words.hide_literals(row.current_query),
        query_truncated=row.query_truncated,
        fingerprint=row.query_fingerprint,
        backend_xid=row.backend_xid,
        prepared_gid=row.prepared_gid,
        is_waiting=row.wait_start is not None,
        is_root=bool(row.is_root),
        object_name=row.waits_for,
        wait_start=row.wait_start,
        blocked_directly=row.directly_blocked_count,
        blocked_total=row.blocked_sessions_count,
        blocking_since=row.blocking_since,
        blocked_seconds=None if row.blocked_seconds is None else float(row.blocked_seconds),
        severity=row.blocking_severity,
        kind=row.kind,
        recommended_action=row.recommended_action,
        locks_held=row.total_locks_held,
        exclusive_locks_held=row.exclusive_locks_held,
        tenant_claim=row.tenant_claim,
        episode=str(row.blocking_session_id),
        extra={"ended_how": row.ended_how, "ended_at": row.ended_at},
    )


def _of_waiter(row: LockActivity, blocker: Node | None, see_text: bool) -> Node:
    base: dict[str, Any] = {}
    if blocker is not None:
        base = {name: getattr(blocker, name) for name in Node.__dataclass_fields__}
        base["extra"] = dict(blocker.extra)
    base.update(
        node=row.lock_group or row.lock_pid,
        pid=row.lock_pid,
        backend_start=row.backend_start,
        user_name=row.user_name,
        database_name=row.database_name,
        application_name=row.application_name,
        tenant_claim=row.tenant_claim,
        client_addr=row.client_addr,
        state=row.session_state,
        xact_start=row.transaction_start,
        query_start=row.query_start,
        query=row.query_text if see_text else words.hide_literals(row.query_text),
        query_truncated=row.query_truncated,
        fingerprint=row.query_fingerprint,
        is_waiting=True,
        is_root=False,
        lock_type=row.lock_type,
        lock_mode=row.lock_mode,
        object_name=row.object_name,
        relation_name=row.table_name or row.relation_name,
        schema_name=row.schema_name,
        page=row.row_page,
        tuple=row.row_tuple,
        transactionid=row.lock_transactionid,
        wait_start=row.wait_start or row.load_date,
        wait_start_is_bound=row.wait_start_is_bound,
    )
    base["extra"] = {**base.get("extra", {}), "lock": row.pk, "resolution": row.resolution_action}
    return Node(**base)


def from_vault(
    placed: Iterable[Placed],
    blockers: Iterable[BlockingSession],
    waits: Iterable[LockActivity],
    see_text: bool,
    behind: Mapping[int, Behind],
) -> list[Node]:
    """Return the nodes of a stored moment; ``behind`` is what stood behind each blocker at that very moment,
    out of the waits: a stored row has it as of its own last step. Nodes whose rows are not given are left
    out."""
    told, waited = {row.satellite_id: row for row in blockers}, {row.satellite_id: row for row in waits}
    found = []
    for one in placed:
        node = None
        if one.blocker in told:
            node = _as_of(_of_blocker(told[one.blocker], see_text), behind)
        own = [_of_waiter(waited[key], node, see_text) for key in one.waits if key in waited]
        if own:
            node = replace(own[0], waits=_waits(own) if len(own) > 1 else ())
        if node is not None:
            found.append(
                replace(
                    node,
                    node=one.node,
                    hard_blockers=tuple(one.hard_blockers),
                    soft_blockers=tuple(one.soft_blockers),
                    roots=tuple(one.roots),
                    run_head=one.run_head,
                    parent=one.parent,
                )
            )
    return found


def _waits(nodes: Iterable[Node]) -> tuple[Wait, ...]:
    """Return the waits of one waiter, for what each of its processes waits."""
    return tuple(
        Wait(node.pid, node.lock_type, node.lock_mode, node.object_name, node.wait_start) for node in nodes
    )


def _as_of(node: Node, behind: Mapping[int, Behind]) -> Node:
    found = behind.get(node.node)
    if found is None:
        # nobody is stored behind it: what they have lost is not known
        return replace(node, blocked_seconds=None)
    return replace(
        node,
        blocked_total=found.waiting,
        blocking_since=found.since,
        blocked_seconds=found.seconds,
        severity=found.severity,
        severity_score=found.severity_score,
    )
