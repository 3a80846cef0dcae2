"""Looking into the memory of a loop that runs in this process."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest

from lockmon.monitor.keeping import Keeper
from lockmon.monitor.memory import KeptLook
from tests.support.poll import poll


class Memories:
    """The keepers of the loops that a test has started, newest last."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._keepers: list[Keeper] = []
        begin = Keeper.__init__

        def begun(keeper: Keeper, *arguments: Any) -> None:
            begin(keeper, *arguments)
            self._keepers.append(keeper)

        monkeypatch.setattr(Keeper, "__init__", begun)

    @property
    def dropped(self) -> int:
        return self._keepers[-1]._memory.dropped

    def say_to_the_server(self, statement: str) -> None:
        """Run a statement in the loop's own session, between two of its own."""
        self._keepers[-1]._connection.execute(statement)

    def looks(self) -> list[KeptLook]:
        """What is kept now, oldest first."""
        memory = self._keepers[-1]._memory
        while True:
            try:
                return memory.oldest(len(memory))
            except IndexError:  # the loop has stored one meanwhile
                continue

    def until_kept(self, number: int = 1) -> list[KeptLook]:
        """Wait until so many looks are kept."""
        return poll(lambda: (kept := self.looks())[number - 1 :] and kept, 20, f"{number} kept looks")

    def until_after(self, moment: datetime) -> None:
        """Wait until a look is kept that saw something new after this moment."""
        poll(lambda: self.looks()[-1].at > moment, 20, "another look")

    def until_waiting(self, pid: int) -> KeptLook:
        """Wait until a kept look has seen this session waiting; returns it."""
        return poll(lambda: next(iter(self._with(pid, True)), None), 20, f"a kept look with {pid} waiting")

    def until_gone(self, pid: int) -> KeptLook:
        """Wait until the last look kept does not see this session waiting; returns it."""

        def last() -> KeptLook | None:
            kept, waits = self.looks(), self._with(pid, True)
            return kept[-1] if kept and not (waits and waits[-1] is kept[-1]) else None

        return poll(last, 20, f"a kept look without {pid} waiting")

    def until_stored(self) -> None:
        """Wait until nothing is kept any more."""
        poll(lambda: not self.looks(), 30, "nothing kept any more")

    def _with(self, pid: int, waiting: bool) -> list[KeptLook]:
        return [look for look in self.looks() if (pid in waiters(look)) is waiting]


def waiters(look: KeptLook) -> set[int]:
    """The sessions that this look saw waiting."""
    return {node["pid"] for node in json.loads(look.seen)["graph"] if node["is_waiting"]}
