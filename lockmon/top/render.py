"""Lines and details as rich renderables, for terminals of any width."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lockmon.calls.catalog import WaitNode
from lockmon.views import node_words
from lockmon.views.nodes import several
from lockmon.views.words import KINDS, SHAPES, clock, duration, one_line, some

from .tree import Line, Picture

STYLES = {"CRITICAL": "bold red", "HIGH": "yellow", "MEDIUM": "cyan", "LOW": "green"}
NARROW = 90
HELP = "up/down move  space fold  s sort  enter inspect  x stop  p pause  q quit"


def screen(
    headline: str,
    picture: Picture | None,
    shown: Sequence[Line],
    cursor: int,
    sort: str,
    width: int,
    height: int,
    note: str = "",
    detail: WaitNode | None = None,
) -> RenderableType:
    """Return the whole screen; at most ``height`` lines, with the line of the cursor among them."""
    head = Text(headline, style="bold", overflow="ellipsis", no_wrap=True)
    parts: list[RenderableType] = [head]
    if picture is not None:
        parts.append(_summary(picture, sort))
        if picture.best_move:
            parts.append(best_move(picture))
        room = max(3, height - (7 if picture.best_move else 6) - (8 + len(waits(detail)) if detail else 0))
        first = max(0, min(cursor - room // 2, len(shown) - room))
        for number, line in enumerate(shown[first : first + room], first):
            parts.append(row(line, picture.taken_at, width, number == cursor))
        if first + room < len(shown):
            parts.append(Text(f"... {len(shown) - first - room} more lines below", style="dim"))
        if detail is not None:
            parts.append(details(detail, picture.taken_at))
    parts.append(Text(note or HELP, style="dim", overflow="ellipsis", no_wrap=True))
    return Group(*parts)


def _summary(picture: Picture, sort: str) -> Text:
    if not picture.nodes:
        return Text("Nobody is waiting.")
    return Text(
        f"{some(picture.waiting, 'session')} waiting behind {some(len(picture.roots), 'root blocker')}; "
        f"sorted by {sort}",
        overflow="ellipsis",
        no_wrap=True,
    )


def best_move(picture: Picture) -> Text:
    """Return the first step of the rescue plan, on one line."""
    return Text(one_line(picture.best_move, 300), style="bold", overflow="ellipsis", no_wrap=True)


def row(line: Line, now: datetime, width: int, selected: bool = False) -> Text:
    """Return one line of the tree."""
    node = line.node
    text = Text(overflow="ellipsis", no_wrap=True, style="reverse" if selected else "")
    text.append("  " * min(line.depth, 12))
    if line.hidden:
        text.append(
            f"  {line.hidden} more like this: {one_line(node.application_name or node.user_name, 30)}",
            style="dim",
        )
        return text
    mark = ("> " if line.folded else "v ") if line.has_children else "  "
    text.append("* " if line.summary else mark)
    if node.severity:
        text.append(f"{SHAPES[node.severity]} {node.severity}  ", style=STYLES[node.severity])
    text.append(name(node), style="bold")
    app = one_line(node.application_name or node.user_name, 16 if width < NARROW else 28)
    text.append(f"  {app}  ")
    text.append(what(node, now))
    if node.blocked_total:
        text.append(f"  {node.blocked_total:,} behind it, {duration(float(node.blocked_seconds or 0))} lost")
    if node.query and width >= NARROW:
        text.append(f"  {one_line(node.query, 200)}", style="dim")
    return text


def name(node: WaitNode) -> str:
    """Return the pid, or what a prepared transaction is called."""
    return str(node.pid) if node.pid else f"(prepared transaction '{one_line(node.prepared_gid, 40)}')"


def what(node: WaitNode, now: datetime) -> str:
    """Return what a session does or waits for, and for how long."""
    several_waits = one_line(node_words.objects(several(node.waits)), 400)
    if node.in_deadlock:
        target = several_waits or one_line(node.object_name, 60)
        return f"IN A DEADLOCK, waits {_age(node.wait_start, now)} for {target}"
    if node.is_waiting:
        bound = "at most " if node.wait_start_is_bound else ""
        ddl = "QUEUED DDL  " if node.kind == "queued_ddl" else ""
        mode = (node.lock_mode or "").removesuffix("Lock")
        target = several_waits or f"{mode} on {one_line(node.object_name, 60)}"
        return f"{ddl}waits {bound}{_age(node.wait_start, now)}  {target}"
    since = node.prepared_at if not node.pid else node.state_change
    return f"{KINDS.get(node.kind or '', node.state or 'unknown')} {_age(since, now)}"


def _age(since: datetime | None, now: datetime) -> str:
    return clock(None if since is None else (now - since).total_seconds())


def waits(node: WaitNode) -> list[str]:
    """Return the several waits of one waiter, a line each; [] for one wait."""
    return [one_line(wait, 200) for wait in node_words.each_wait(several(node.waits))]


def details(node: WaitNode, now: datetime) -> Table:
    """Return what is known about one session."""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 1))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="ellipsis", no_wrap=True)
    came = f", connected {node.backend_start:%H:%M:%S}" if node.backend_start else ""
    origin = node.client_addr or "this host"
    table.add_row(
        "Who",
        f"{name(node)}, user {one_line(node.user_name, 60)}, from {origin}{came}, in {node.database_name}",
    )
    table.add_row("Doing", what(node, now))
    for number, wait in enumerate(waits(node)):
        table.add_row("" if number else "Waits", wait)
    wrote = "it may have written" if node.backend_xid else "nothing written yet"
    table.add_row(
        "Holds", f"{node.locks_held or 0} locks, {node.exclusive_locks_held or 0} exclusive; {wrote}"
    )
    blockers = [*(node.hard_blockers or ()), *(node.soft_blockers or ())]
    if blockers:
        soft = set(node.soft_blockers or ())
        listed = ", ".join(f"{one} (ahead in the queue)" if one in soft else str(one) for one in blockers[:8])
        table.add_row("Behind", listed)
    table.add_row("Statement", one_line(node.query, 400) + (" (cut)" if node.query_truncated else ""))
    if node.recommended_action:
        table.add_row("Do", one_line(node.recommended_action, 300))
    return table
