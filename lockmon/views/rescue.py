"""The rescue plan as the pages show it: which session to stop first, and why not others (docs/door.md)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connections

from ..calls import catalog
from ..calls.catalog import PlanRow
from . import words
from .context import VAULT
from .nodes import Node
from .session_links import session_query

STEPS_SHOWN = 2
"""So many steps are shown at once; the others open below them."""
MOST_TEXT = 600
_KEPT = (
    "node",
    "pid",
    "user_name",
    "is_superuser",
    "application_name",
    "backend_type",
    "state",
    "backend_xid",
    "prepared_gid",
    "is_waiting",
    "is_root",
    "in_deadlock",
    "lock_type",
    "lock_mode",
    "tuple",
    "hard_blockers",
    "soft_blockers",
    "run_head",
    "blocked_total",
    "kind",
    "locks_held",
    "wait_start_is_bound",
)
_MOMENTS = ("backend_start", "xact_start", "query_start", "wait_start")


@dataclass(frozen=True)
class Step:
    """One stop of a plan. identity: the query string that leads the confirmation page to it."""

    text: str
    pid: int | None
    verb: str
    identity: str


@dataclass(frozen=True)
class Plan:
    """A plan's steps in order, and what else it says."""

    steps: Sequence[Step] = ()
    notes: Sequence[str] = ()

    @property
    def first(self) -> Sequence[Step]:
        """The steps that are shown at once."""
        return self.steps[:STEPS_SHOWN]

    @property
    def later(self) -> Sequence[Step]:
        """The steps that open below them."""
        return self.steps[STEPS_SHOWN:]


NO_PLAN = Plan()


def shown(rows: Iterable[PlanRow]) -> Plan:
    """Return a plan for the pages; names in its sentences are strangers' texts, made visible."""
    steps, notes = [], []
    for row in rows:
        text = words.visible(row.text, MOST_TEXT)
        if row.step is None or row.node is None:
            notes.append(text)
        else:
            named = session_query(row.node, row.backend_start)
            steps.append(Step(text, row.pid, row.action.capitalize(), f"{named}&action={row.action}"))
    return Plan(steps, notes)


def rows_then(graph: Iterable[Node], at: datetime, alias: str = VAULT) -> list[PlanRow]:
    """Return the plan of a past moment, from the graph as the monitor knew it; empty where nobody waited."""
    rows = [_columns(node) for node in graph]
    if not rows:
        return []
    with connections[alias].cursor() as cursor:
        return catalog.past_rescue_plan(cursor, rows, at)


def then(graph: Iterable[Node], at: datetime, alias: str = VAULT) -> Plan:
    """Return ``rows_then`` for the pages."""
    rows = rows_then(graph, at, alias)
    return shown(rows) if rows else NO_PLAN


def _columns(node: Node) -> dict[str, Any]:
    kept: dict[str, Any] = {name: getattr(node, name) for name in _KEPT}
    if node.backend_type == "autovacuum worker":
        # whether it prevents wraparound
        kept["query"] = node.query
    for name in _MOMENTS:
        value = getattr(node, name)
        kept[name] = None if value is None else value.isoformat()
    return kept


def of_session(rows: Sequence[PlanRow], pid: int) -> str:
    """Return what a plan says of one session, "" where there is no plan."""
    steps = [row for row in rows if row.step is not None]
    for row in rows:
        if row.pid == pid:
            text = words.visible(row.text, MOST_TEXT)
            return text if row.step is None else f"Step {row.step} of {len(steps)}: {text}"
    if not steps:
        return ""
    return (
        f"It is not among the plan's steps. The first of them is: {words.visible(steps[0].text, MOST_TEXT)}"
    )
