"""The tree of who blocks whom: roots by impact, like waiters folded into counted groups, flat for the
template.

A template that recursed a thousand times would be slow; so the tree is given as a list of rows that open and
close.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.utils import timezone

from . import words
from .nodes import Node

GROUP_FROM = 4
"""So many like waiters under one parent are folded into a group."""
MEMBERS_SHOWN = 60
"""So many members of a folded group are listed; the rest is counted and in the list page."""
ROWS_SHOWN = 250
"""So many sessions a tree draws; what is beyond is counted in words, never silently dropped."""
TEXTS_SHOWN = 40
"""So many sessions carry their full statement in the page; the others link to it."""


@dataclass(frozen=True)
class Member:
    """One line of a folded group."""

    node: Node
    waited: str


@dataclass(frozen=True)
class Group:
    """Like waiters under one parent: same application, user, statement, lock mode and relation."""

    key: str
    size: int
    title: str
    waits: str
    members: Sequence[Member]
    hidden: int
    query: str


@dataclass(frozen=True)
class Line:
    """One step of the flattened tree: a session that opens, the end of one (``close``), or a group of
    waiters."""

    node: Node | None = None
    group: Group | None = None
    close: bool = False
    depth: int = 0
    badge: str = ""
    headline: str = ""
    user: str = ""
    facts: str = ""
    doing: str = ""
    waiting: str = ""
    behind: str = ""
    advice: str = ""
    preview: str = ""
    query: str = ""
    open: bool = True
    notes: Sequence[str] = ()


@dataclass
class Tree:
    """A whole picture: its lines and its sums."""

    lines: list[Line] = field(default_factory=list)
    waiting: int = 0
    roots: int = 0
    by_severity: dict[str, int] = field(default_factory=dict)
    longest: float | None = None
    not_drawn: int = 0
    cause: Node | None = None

    @property
    def worst(self) -> str | None:
        return words.worst(self.by_severity)

    @property
    def severity_counts(self) -> list[tuple[str, int]]:
        """Root blockers by severity, worst first."""
        return [(name, self.by_severity[name]) for name in words.SEVERITIES if name in self.by_severity]

    @property
    def cause_line(self) -> Line | None:
        """The line of the session that is the cause."""
        return self.lines[0] if self.lines else None


def build(nodes: Iterable[Node], now: datetime) -> Tree:
    """Return the tree of these nodes as of ``now``."""
    return _Builder(list(nodes), now).tree


class _Builder:
    def __init__(self, nodes: list[Node], now: datetime) -> None:
        self.now = now
        self.by_node = {node.node: node for node in nodes}
        self.children: dict[int | None, list[Node]] = defaultdict(list)
        self.tree = Tree()
        self.drawn = 0
        self._link(nodes)
        self._sum(nodes)
        for root in sorted(self.children[None], key=self._impact):
            self._draw(root, 0)
        self.tree.not_drawn = max(0, len(nodes) - self.drawn)

    def _link(self, nodes: list[Node]) -> None:
        parents: dict[int, int | None] = {}
        for node in nodes:
            parent = node.parent if node.parent in self.by_node and node.parent != node.node else None
            parents[node.node] = parent
        for node in nodes:
            step, seen = parents[node.node], {node.node}
            while step is not None and step not in seen:
                seen.add(step)
                step = parents[step]
            if step == node.node and node.node == min(seen):
                parents[node.node] = None
        for node in nodes:
            self.children[parents[node.node]].append(node)

    def _sum(self, nodes: list[Node]) -> None:
        tree = self.tree
        waits = [node for node in nodes if node.is_waiting]
        tops = self.children[None]
        tree.waiting, tree.roots = len(waits), len(tops)
        for node in tops:
            if node.severity:
                tree.by_severity[node.severity] = tree.by_severity.get(node.severity, 0) + 1
        lengths = [
            seconds
            for node in waits
            if (seconds := words.seconds_between(node.wait_start, self.now)) is not None
        ]
        tree.longest = max(lengths, default=None)
        tree.cause = min(tops, key=self._impact, default=None)

    def _impact(self, node: Node) -> tuple[int, float, int, int]:
        return (
            -words.RANK.get(node.severity or "", 0),
            -(node.blocked_seconds or 0),
            -(node.blocked_total or 0),
            node.node,
        )

    def _age(self, node: Node) -> float:
        return words.seconds_between(node.wait_start, self.now) or 0.0

    def _draw(self, node: Node, depth: int) -> None:
        if self.drawn >= ROWS_SHOWN:
            return
        self.drawn += 1
        self.tree.lines.append(self._line(node, depth))
        singles, groups = self._fold(self.children.get(node.node, []))
        for child in sorted(
            singles, key=lambda item: (-(item.blocked_total or 0), -self._age(item), item.node)
        ):
            self._draw(child, depth + 1)
        for like in groups:
            self.drawn += len(like)
            self.tree.lines.append(Line(group=self._group(node, like), depth=depth + 1))
        self.tree.lines.append(Line(close=True, depth=depth))

    def _fold(self, children: list[Node]) -> tuple[list[Node], list[list[Node]]]:
        alike: dict[object, list[Node]] = defaultdict(list)
        singles: list[Node] = []
        for child in children:
            if child.node in self.children or child.in_deadlock:
                singles.append(child)
            else:
                alike[
                    (
                        child.application_name,
                        child.user_name,
                        child.fingerprint,
                        child.lock_mode,
                        child.relation_name,
                    )
                ].append(child)
        groups = []
        for like in alike.values():
            like.sort(key=lambda item: (-self._age(item), item.node))
            if len(like) < GROUP_FROM:
                singles.extend(like)
            else:
                singles.append(like[0])
                groups.append(like[1:])
        groups.sort(key=len, reverse=True)
        return singles, groups

    def _group(self, parent: Node, like: list[Node]) -> Group:
        first, last = like[0], like[-1]
        members = [
            Member(node, words.clock(words.seconds_between(node.wait_start, self.now)))
            for node in like[:MEMBERS_SHOWN]
        ]
        return Group(
            key=f"g-{parent.key}-{first.key}",
            size=len(like),
            title=f"{len(like):,} more: {first.label}, the same statement",
            waits=f"waiting {words.clock(self._age(last))} to {words.clock(self._age(first))}",
            members=members,
            hidden=len(like) - len(members),
            query=words.one_line(first.query),
        )

    def _line(self, node: Node, depth: int) -> Line:
        notes = list(_notes(node))
        return Line(
            node=node,
            depth=depth,
            badge=words.severity_badge(node.severity),
            headline=node.label,
            user=words.printable_name(node.user_name),
            facts=_facts(node, depth),
            doing=self._doing(node),
            waiting=self._waiting(node),
            behind=self._behind(node),
            advice=words.visible(node.recommended_action, 600),
            preview=words.one_line(node.query),
            query=words.highlight_sql(node.query) if node.query and self.drawn <= TEXTS_SHOWN else "",
            notes=notes,
            open=depth == 0 or node.node in self.children or node.in_deadlock,
        )

    def _doing(self, node: Node) -> str:
        if node.prepared_gid is not None:
            return f"prepared {words.duration(words.seconds_between(node.prepared_at, self.now))} ago"
        if node.is_waiting:
            return "QUEUED DDL" if node.kind == "queued_ddl" else ""
        since = node.query_start if node.state == "active" else node.state_change
        return f"{words.article(node.kind)} {words.clock(words.seconds_between(since, self.now))}"

    def _waiting(self, node: Node) -> str:
        if not node.is_waiting:
            return ""
        bound = "at most " if node.wait_start_is_bound else ""
        waited = words.clock(words.seconds_between(node.wait_start, self.now))
        target = words.visible(node.object_name, 200) or "an unknown object"
        if node.row and "row (" not in target:
            target = f"{target}: {node.row}"
        mode = f"{node.lock_mode} on " if node.lock_mode and node.lock_type == "relation" else ""
        return f"waits {bound}{waited} for {mode}{target}"

    def _behind(self, node: Node) -> str:
        if not node.blocked_total:
            return ""
        lost = f", {words.duration(node.blocked_seconds)} of waiting" if node.blocked_seconds else ""
        return f"{node.blocked_total:,} behind it{lost}"


def _facts(node: Node, depth: int) -> str:
    """What is known of a blocker, on one line; "" for mere waiters."""
    if depth and not node.blocked_total:
        return ""
    facts = []
    if node.client:
        facts.append(f"from {node.client}")
    if node.backend_start:
        facts.append(f"connected {timezone.localtime(node.backend_start):%H:%M:%S}")
    if node.tenant:
        facts.append(f"tenant {words.one_line(node.tenant, 60)} (as the session claims)")
    if node.database_name:
        facts.append(f"database {words.one_line(node.database_name, 60)}")
    if node.locks_held:
        facts.append(
            f"holds {words.some(node.locks_held, 'lock')}, {words.count(node.exclusive_locks_held)} exclusive"
        )
    if node.backend_xid is not None:
        facts.append(f"has written (transaction {node.backend_xid})")
    elif node.pid:
        facts.append("has written nothing yet")
    return "; ".join(facts) + ". " if facts else ""


def _notes(node: Node) -> Iterable[str]:
    if node.in_deadlock:
        yield "In a ring of waits: a deadlock. PostgreSQL will cancel one of them within deadlock_timeout."
    if node.soft_blockers:
        if node.kind == "queued_ddl" or node.lock_mode == "AccessExclusiveLock":
            yield (
                f"Stands in the queue behind "
                f"{words.some(len(node.soft_blockers), 'earlier request')}, not only behind a held lock."
            )
        else:
            pids = ", ".join(str(item) for item in list(node.soft_blockers)[:3])
            yield f"Held up by a request ahead of it in the queue ({pids}), not by a held lock alone."
    if node.kind == "queued_ddl" and node.blocked_total:
        yield (
            f"{words.some(node.blocked_total, 'session')} queue behind this DDL: cancelling it frees them"
            " unless they also wait for the lock in front of it."
        )
    if node.prepared_gid is not None:
        gid = words.visible(node.prepared_gid, 200).replace("'", "''")
        yield (
            f"No session to stop. Its owner or a superuser ends it: ROLLBACK "
            f"PREPARED '{gid}' or COMMIT PREPARED '{gid}'."
        )
    if node.kind == "autovacuum":
        yield "Autovacuum gives way by itself unless it prevents transaction wraparound."


def cause_sentence(tree: Tree, now: datetime) -> str:
    """Return the one sentence that names the cause, "" where nobody waits."""
    node = tree.cause
    if node is None or not tree.waiting:
        return ""
    who = node.label if node.pid == 0 else f"{node.label} (pid {node.pid})"
    if node.prepared_gid is not None:
        doing = (
            f"has been prepared for "
            f"{words.duration(words.seconds_between(node.prepared_at, now))} and holds its locks"
        )
    elif node.in_deadlock:
        doing = "is in a ring of sessions that wait for each other"
    else:
        since = node.query_start if node.state == "active" else node.state_change
        doing = f"has been {words.article(node.kind)} for {words.duration(words.seconds_between(since, now))}"
    number = node.blocked_total or tree.waiting
    behind = (
        f"{words.some(number, 'session waits', 'sessions wait')} behind "
        f"{'it' if node.in_deadlock else 'its locks'}"
    )
    return f"{who} {doing}. {behind}, the longest for {words.duration(tree.longest)}."
