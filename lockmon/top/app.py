"""The running screen: looks once a second, answers keys at once."""

from __future__ import annotations

import time

from django.db import DatabaseError, connections
from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from lockmon import vault
from lockmon.calls import catalog, coverage
from lockmon.calls.catalog import WaitNode
from lockmon.monitor import watchdog
from lockmon.monitor.connection import describe_failure

from . import keys, render
from .stop import stop_session
from .tree import SORTS, Line, Picture, lines, roots_first

HEADLINE_EVERY = 3.0
"""Seconds between two looks at the monitor's own state."""


def take(alias: str) -> Picture:
    """Return the waits-for graph of this moment and its rescue plan, by the server's clock."""
    with vault.cursor(alias) as cursor:
        nodes, plan = catalog.waits_for_and_plan(cursor)
        return Picture(nodes, coverage.server_now(cursor), plan)


class Top:
    """The screen's state. Raises nothing for a database in trouble: it says so and tries again."""

    def __init__(self, alias: str, console: Console, interval: float) -> None:
        self._alias = alias
        self._console = console
        self._interval = interval
        self._picture: Picture | None = None
        self._headline = "Looking ..."
        self._headline_at = float("-inf")
        self._note = ""
        self._sort = "severity"
        self._folded: set[int] = set()
        self._unfolded: set[int] = set()
        self._selected: int | None = None
        self._in_tree = False
        self._inspecting = False
        self._paused = False

    def run(self) -> None:
        """Show and answer until q."""
        with keys.single_keys():
            while self._one_screen():
                pass

    def _one_screen(self) -> bool:
        """Show until q (False) or until the door asks its questions (True)."""
        with Live(console=self._console, screen=True, auto_refresh=False) as live:
            look_at = 0.0
            while True:
                now = time.monotonic()
                if now >= look_at and not self._paused:
                    self._look()
                    look_at = time.monotonic() + self._interval
                shown = self._lines()
                live.update(self._render(shown), refresh=True)
                key = keys.read_key(self._interval if self._paused else look_at - time.monotonic())
                if key == keys.QUIT:
                    return False
                if key == "x":
                    break
                if key is not None:
                    self._answer(key, shown)
        self._stop()
        return True

    def _look(self) -> None:
        try:
            self._picture = take(self._alias)
            if time.monotonic() - self._headline_at > HEADLINE_EVERY:
                self._headline = watchdog.examine(self._alias).headline
                self._headline_at = time.monotonic()
        except DatabaseError as error:
            connections[self._alias].close()
            reason = describe_failure(error.__cause__ or error)
            self._headline = f"The vault cannot be read: {reason}. What is below is not the present."
            self._headline_at = float("-inf")

    def _lines(self) -> list[Line]:
        if self._picture is None:
            return []
        nodes = self._picture.nodes
        return roots_first(nodes, self._sort) + lines(nodes, self._sort, self._folded, self._unfolded)

    def _position(self, shown: list[Line]) -> int:
        places = [
            number
            for number, line in enumerate(shown)
            if line.node.node == self._selected and not line.hidden
        ]
        # a root has two lines: the list's is meant until somebody goes down into the tree
        return places[-1 if self._in_tree else 0] if places else 0

    def _node(self, shown: list[Line]) -> WaitNode | None:
        return shown[self._position(shown)].node if shown else None

    def _render(self, shown: list[Line]) -> RenderableType:
        size = self._console.size
        state = "PAUSED  " if self._paused else ""
        return render.screen(
            state + self._headline,
            self._picture,
            shown,
            self._position(shown),
            self._sort,
            size.width,
            size.height,
            self._note,
            self._node(shown) if self._inspecting else None,
        )

    def _answer(self, key: str, shown: list[Line]) -> None:
        self._note = ""
        if key in (keys.UP, keys.DOWN) and shown:
            step = 1 if key == keys.DOWN else -1
            position = max(0, min(len(shown) - 1, self._position(shown) + step))
            self._selected = shown[position].node.node
            self._in_tree = not shown[position].summary
        elif key == keys.FOLD and (node := self._node(shown)):
            self._fold(node.node, shown[self._position(shown)])
        elif key == "s":
            names = list(SORTS)
            self._sort = names[(names.index(self._sort) + 1) % len(names)]
        elif key == keys.ENTER:
            self._inspecting = not self._inspecting
        elif key == "escape":
            self._inspecting = False
        elif key == "p":
            self._paused = not self._paused
        else:
            self._note = render.HELP

    def _fold(self, node: int, line: Line) -> None:
        """Three states in turn: likes folded, all shown, all hidden."""
        if line.folded:
            self._folded.discard(node)
        elif node in self._unfolded or not line.has_children:
            self._unfolded.discard(node)
            self._folded.add(node)
        else:
            self._unfolded.add(node)

    def _stop(self) -> None:
        node = self._node(self._lines())
        if node is None:
            self._note = "Nobody to stop."
            return
        with keys.whole_lines():
            try:
                self._note = stop_session(node, self._alias, input, self._console.print)
            except (DatabaseError, EOFError, KeyboardInterrupt) as error:
                self._note = f"Nothing was signalled: {describe_failure(error.__cause__ or error)}."


def print_once(alias: str, console: Console) -> Picture:
    """Print the tree of this moment and return it. Raises DatabaseError where the vault cannot be read."""
    picture = take(alias)
    console.print(watchdog.examine(alias).headline, highlight=False)
    shown = roots_first(picture.nodes, "severity") + lines(picture.nodes, "severity", set(), set())
    if not shown:
        console.print("Nobody is waiting.")
    if picture.best_move:
        console.print(render.best_move(picture))
    for line in shown:
        console.print(render.row(line, picture.taken_at, console.size.width))
        if not (line.summary or line.hidden):
            for wait in render.waits(line.node):
                console.print(Text("  " * min(line.depth + 2, 14) + wait, overflow="ellipsis", no_wrap=True))
    return picture
