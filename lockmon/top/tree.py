"""The tree of who blocks whom as lines: order, depth, folding. No terminal here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from lockmon.calls.catalog import PlanRow, WaitNode

MOST_ALIKE = 3
"""So many neighbours that run the same statement are shown; the others become one line until unfolded."""

SortKey = Callable[[WaitNode], tuple[float, ...]]


def _blocked(node: WaitNode) -> float:
    return float(node.blocked_seconds or 0)


def _since(node: WaitNode) -> float:
    return node.blocking_since.timestamp() if node.blocking_since else float("inf")


SORTS: dict[str, SortKey] = {
    "severity": lambda node: (-float(node.severity_score or 0), node.node),
    "sessions behind": lambda node: (-node.blocked_total, -_blocked(node), node.node),
    "time lost": lambda node: (-_blocked(node), node.node),
    "longest": lambda node: (_since(node), node.node),
    "pid": lambda node: (node.pid, node.node),
}


@dataclass(frozen=True)
class Line:
    """One line of the tree. hidden: so many alike are folded into this line (then it stands for them, not
    a node). summary: a line of the list of roots above the tree."""

    node: WaitNode
    depth: int
    folded: bool = False
    has_children: bool = False
    hidden: int = 0
    summary: bool = False


@dataclass(frozen=True)
class Picture:
    """What was seen at one moment."""

    nodes: Sequence[WaitNode]
    taken_at: datetime
    plan: Sequence[PlanRow] = ()

    @property
    def best_move(self) -> str:
        """The first step of the rescue plan, "" where there is none."""
        return next((f"Best move: {row.text}" for row in self.plan if row.step == 1), "")

    @property
    def waiting(self) -> int:
        return sum(node.is_waiting for node in self.nodes)

    @property
    def roots(self) -> list[WaitNode]:
        return [node for node in self.nodes if node.is_root]


def roots_first(nodes: Sequence[WaitNode], sort: str) -> list[Line]:
    """Return one line for each root blocker; none where there is but one, with which the tree begins."""
    roots = [node for node in nodes if node.is_root]
    if len(roots) < 2:
        return []
    return [Line(node, 0, summary=True) for node in sorted(roots, key=SORTS[sort])]


def lines(nodes: Sequence[WaitNode], sort: str, folded: set[int], unfolded: set[int]) -> list[Line]:
    """Return the tree's lines. folded: nodes whose children are hidden; unfolded: parents whose likes are
    all shown.

    Every node is shown exactly once, also those of a deadlock, which has no root.
    """
    children: dict[int | None, list[WaitNode]] = {}
    known = {node.node for node in nodes}
    for node in nodes:
        parent = node.parent if node.parent in known and node.parent != node.node else None
        children.setdefault(parent, []).append(node)
    seen: set[int] = set()
    shown: list[Line] = []
    for top in sorted(children.get(None, []), key=SORTS[sort]):
        shown += _below(top, 0, children, folded, unfolded, seen)
    # a ring of waiters has no top: begin with its first member
    for node in sorted(nodes, key=lambda one: (one.wait_start is None, one.wait_start, one.node)):
        if node.node not in seen:
            shown += _below(node, 0, children, folded, unfolded, seen)
    return shown


def _below(
    node: WaitNode,
    depth: int,
    children: dict[int | None, list[WaitNode]],
    folded: set[int],
    unfolded: set[int],
    seen: set[int],
) -> Iterator[Line]:
    if node.node in seen:
        return
    seen.add(node.node)
    below = sorted(
        (child for child in children.get(node.node, []) if child.node not in seen),
        key=lambda one: (one.wait_start is None, one.wait_start, one.node),
    )
    is_folded = node.node in folded
    yield Line(node, depth, is_folded, bool(below))
    if is_folded:
        _mark(below, children, seen)
        return
    alike: dict[tuple[str | None, str | None, str | None], int] = {}
    hidden: dict[tuple[str | None, str | None, str | None], list[WaitNode]] = {}
    for child in below:
        kind = (child.application_name, child.query, child.lock_mode)
        is_leaf = not children.get(child.node)
        alike[kind] = alike.get(kind, 0) + is_leaf
        if is_leaf and alike[kind] > MOST_ALIKE and node.node not in unfolded:
            hidden.setdefault(kind, []).append(child)
            seen.add(child.node)
        else:
            yield from _below(child, depth + 1, children, folded, unfolded, seen)
    for several in hidden.values():
        yield Line(several[0], depth + 1, hidden=len(several))


def _mark(nodes: Sequence[WaitNode], children: dict[int | None, list[WaitNode]], seen: set[int]) -> None:
    """Count everything below a folded node as shown."""
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        if node.node not in seen:
            seen.add(node.node)
            waiting += children.get(node.node, [])
