"""The tree of who blocks whom: every root in one line, by impact, then what waits behind each of them.

Like waiters are folded into counted groups, each of which costs one line; no root takes the lines that
another one needs. A template that recursed a thousand times would be slow; so the tree is a list of rows that
open and close.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.urls import reverse
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

from . import node_words, words
from .nodes import Node

GROUP_FROM = 4
"""So many like waiters under one parent are folded into a group."""
MEMBERS_SHOWN = 60
"""So many members of a folded group are listed; the rest is counted and in the list page."""
ROWS_SHOWN = 250
"""So many lines a tree draws below the list of its roots; what is beyond is counted in words, never silently
dropped."""
ROOTS_DRAWN = 100
"""So many roots are drawn with who waits behind them; every root has its line in the list of roots."""
TEXTS_SHOWN = 40
"""So many sessions carry their full statement in the page; the others link to it."""


@dataclass(frozen=True)
class Group:
    """Like waiters under one parent: same application, user, statement, lock mode and relation. members: the
    list's lines as HTML, made at once, as a template is slow with hundreds of them."""

    key: str
    size: int
    title: str
    waits: str
    members: SafeString
    hidden: int
    query: str


@dataclass(frozen=True)
class Root:
    """One root blocker in one line. lost: seconds that all behind it have waited so far, None: unknown."""

    node: Node
    badge: str
    label: str
    doing: str
    since: str
    behind: int | None
    lost: float | None


@dataclass(frozen=True)
class Line:
    """One step of the flattened tree: a session that opens, the end of one (``close``), a group of waiters,
    or how many behind a root are not drawn (``rest``)."""

    node: Node | None = None
    group: Group | None = None
    close: bool = False
    rest: int = 0
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
    """A whole picture: its roots, worst first, its lines and its sums."""

    lines: list[Line] = field(default_factory=list)
    root_lines: list[Root] = field(default_factory=list)
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


def impact(node: Node) -> tuple[float, int]:
    """Order roots, the worst first, as the vault scores them (docs/severity.md)."""
    return -(node.severity_score or 0.0), node.node


def shares(needs: Sequence[int], lines: int) -> list[int]:
    """Share lines out among trees that need so many each: the small ones whole, the large ones alike."""
    found, left = [0] * len(needs), lines
    for place, index in enumerate(sorted(range(len(needs)), key=needs.__getitem__)):
        found[index] = min(needs[index], left // (len(needs) - place))
        left -= found[index]
    return found


@dataclass(frozen=True)
class _Step:
    """A session, or like waiters behind one."""

    depth: int
    node: Node
    like: tuple[Node, ...] = ()

    @property
    def sessions(self) -> int:
        return len(self.like) or 1


class _Builder:
    def __init__(self, nodes: list[Node], now: datetime) -> None:
        self.now = now
        self.by_node = {node.node: node for node in nodes}
        self.children: dict[int | None, list[Node]] = defaultdict(list)
        self.tree = Tree()
        self.rows = 0
        self._link(nodes)
        self._sum(nodes)
        tops = sorted(self.children[None], key=impact)
        self.tree.root_lines = [self._root(top) for top in tops]
        plans = [self._plan(top) for top in tops[:ROOTS_DRAWN]]
        drawn = sum(map(self._draw, plans, shares([len(plan) for plan in plans], ROWS_SHOWN)))
        self.tree.not_drawn = len(nodes) - drawn

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
        tree.cause = min(tops, key=impact, default=None)

    def _age(self, node: Node) -> float:
        return words.seconds_between(node.wait_start, self.now) or 0.0

    def _root(self, node: Node) -> Root:
        return Root(
            node=node,
            badge=words.severity_badge(node.severity),
            label=node.label,
            doing=node_words.doing(node, self.now) or node_words.waiting(node, self.now),
            since=words.clock(words.seconds_between(node.blocking_since, self.now)),
            behind=node.blocked_total,
            lost=node.blocked_seconds,
        )

    def _plan(self, top: Node) -> list[_Step]:
        """Return the steps of one root's tree, itself first, each before what is behind it."""
        steps: list[_Step] = []
        stack: list[_Step] = [_Step(0, top)]
        while stack:
            step = stack.pop()
            steps.append(step)
            if not step.like:
                stack.extend(reversed(self._below(step)))
        return steps

    def _below(self, step: _Step) -> list[_Step]:
        singles, groups = self._fold(self.children.get(step.node.node, []))
        depth = step.depth + 1
        steps = [_Step(depth, node) for node in singles if node.node in self.children]
        # a group's line stands for many: it comes before the lines of single waiters, which may be left out
        for like in groups:
            steps += [_Step(depth, like[0]), _Step(depth, step.node, tuple(like[1:]))]
        return steps + [_Step(depth, node) for node in singles if node.node not in self.children]

    def _draw(self, plan: list[_Step], share: int) -> int:
        """Draw the first steps of a root's tree; return of how many sessions the lines speak."""
        lines, drawn = self.tree.lines, 0
        open_at: list[int] = []
        for step in plan[:share]:
            while open_at and open_at[-1] >= step.depth:
                lines.append(Line(close=True, depth=open_at.pop()))
            self.rows += 1
            if step.like:
                lines.append(Line(group=self._group(step.node, step.like), depth=step.depth))
            else:
                lines.append(self._line(step.node, step.depth))
                open_at.append(step.depth)
            drawn += step.sessions
        rest = sum(step.sessions for step in plan[share:])
        while open_at:
            depth = open_at.pop()
            if depth == 0 and rest:
                lines.append(Line(node=plan[0].node, rest=rest, depth=1))
            lines.append(Line(close=True, depth=depth))
        return drawn

    def _fold(self, children: list[Node]) -> tuple[list[Node], list[list[Node]]]:
        """Return the waiters that stand alone, the worst first, and those that are alike, oldest first."""
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
                groups.append(like)
        singles.sort(key=lambda item: (-(item.blocked_total or 0), -self._age(item), item.node))
        groups.sort(key=len, reverse=True)
        return singles, groups

    def _group(self, parent: Node, like: Sequence[Node]) -> Group:
        first, last = like[0], like[-1]
        shown, page = like[:MEMBERS_SHOWN], reverse("admin:lockmon_session")
        # for hundreds of members; of these texts only the address could hold what HTML reads otherwise
        before = escape(page) + "?"
        members = mark_safe(  # noqa: S308
            "".join(
                f"<li>{words.clock(words.seconds_between(node.wait_start, self.now))}"
                f' <a href="{before}{node.identity.replace("&", "&amp;")}">{node.pid}</a></li>'
                for node in shown
            )
        )
        return Group(
            key=f"g-{parent.key}-{first.key}",
            size=len(like),
            title=f"{len(like):,} more: {first.label}, the same statement",
            waits=f"waiting {words.clock(self._age(last))} to {words.clock(self._age(first))}",
            members=members,
            hidden=len(like) - len(shown),
            query=words.one_line(first.query),
        )

    def _line(self, node: Node, depth: int) -> Line:
        return Line(
            node=node,
            depth=depth,
            badge=words.severity_badge(node.severity),
            headline=node.label,
            user=words.printable_name(node.user_name),
            facts=node_words.facts(node, depth),
            doing=node_words.doing(node, self.now),
            waiting=node_words.waiting(node, self.now),
            behind=node_words.behind(node),
            advice=words.visible(node.recommended_action, 600),
            preview=words.one_line(node.query),
            query=words.highlight_sql(node.query) if node.query and self.rows <= TEXTS_SHOWN else "",
            notes=list(node_words.notes(node)),
            open=depth == 0 or node.node in self.children or node.in_deadlock,
        )


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
