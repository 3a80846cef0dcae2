"""What the loop keeps in memory while it can store nothing: looks with their times, bounded, oldest dropped
first."""

from __future__ import annotations

import zlib
from collections import deque
from dataclasses import dataclass
from datetime import datetime, timedelta

OVERHEAD = 500
"""Bytes that a look takes beside its text."""


@dataclass
class KeptLook:
    """One look, unchanged from ``at`` until ``until``.

    since: there was no pause between then and ``at``; None: there was one, or the look before is lost, and
    ``reason`` says why.
    """

    since: datetime | None
    at: datetime
    until: datetime
    packed: bytes
    reason: str = ""

    @property
    def seen(self) -> str:
        return zlib.decompress(self.packed).decode()

    @property
    def size(self) -> int:
        return len(self.packed) + OVERHEAD


class Memory:
    """Looks in their order. looks, megabytes: the bound. dropped: looks lost to it since it was empty.

    because: why nothing can be stored, in words. server: when the server was started that was looked at.
    """

    def __init__(self, looks: int, megabytes: float) -> None:
        self._most = looks
        self._largest = int(megabytes * 1_000_000)
        self._looks: deque[KeptLook] = deque()
        self._bytes = 0
        self.dropped = 0
        self.because = ""
        self.server: datetime | None = None

    def __len__(self) -> int:
        return len(self._looks)

    @property
    def size(self) -> int:
        """Bytes kept."""
        return self._bytes

    @property
    def last(self) -> KeptLook | None:
        return self._looks[-1] if self._looks else None

    def oldest(self, number: int) -> list[KeptLook]:
        """The oldest so many looks."""
        return [self._looks[place] for place in range(min(number, len(self._looks)))]

    def unchanged(self, at: datetime, pause: timedelta) -> bool:
        """Note that at this moment all was as in the last look; False where that is too long ago to say what
        was in between."""
        last = self.last
        if last is None or not timedelta(0) <= at - last.until <= pause:
            return False
        last.until = at
        return True

    def add(self, since: datetime | None, at: datetime, seen: str, reason: str, too_many: str) -> bool:
        """Keep one more look; drop the oldest where they are more than the bound. too_many: why a look after
        a dropped one comes after a gap. False: this look alone is larger than the bound, and is not kept."""
        look = KeptLook(since, at, at, zlib.compress(seen.encode(), 1), "" if since else reason)
        if look.size > self._largest:
            self.dropped += 1
            return False
        self._looks.append(look)
        self._bytes += look.size
        while len(self._looks) > self._most or self._bytes > self._largest:
            self.remove_oldest()
            self.dropped += 1
            self._looks[0].since, self._looks[0].reason = None, too_many
        return True

    def remove_oldest(self, number: int = 1) -> None:
        """Forget the oldest looks, because they are stored or lost."""
        for _each in range(number):
            self._bytes -= self._looks.popleft().size
        if not self._looks:
            self.dropped = 0

    def clear(self) -> int:
        """Forget all looks; returns how many."""
        number = len(self)
        self.remove_oldest(number)
        return number
