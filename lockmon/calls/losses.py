"""Typed calls for time lost by waiting: whole hours come from the roll-up, the rest from the vault's rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from .base import Cursor, select_all


@dataclass(frozen=True)
class Loss:
    """What one value of a dimension cost in a period.

    seconds: lost within the period. episodes: begun in it or under way at its beginning. longest: seconds
    that the longest had lasted when it, or the period, ended; None where that has no meaning.
    """

    dimension: str
    name: str | None
    table_name: str | None
    row_page: int | None
    row_tuple: int | None
    seconds: float
    episodes: int
    longest: float | None


@dataclass(frozen=True)
class HourOfWaiting:
    """Seconds of waiting within one hour."""

    hour: datetime
    seconds: float


def losses_between(
    cursor: Cursor, dimensions: Sequence[str], since: datetime, until: datetime, limit: int = 20
) -> list[Loss]:
    """The worst of each dimension, worst first; dimensions: see lock_engine.wait_rollup."""
    source = "lock_engine.losses_between(%s, %s, %s, %s)"
    return select_all(cursor, Loss, source, [list(dimensions), since, until, limit])


def waiting_by_hour(cursor: Cursor, since: datetime, until: datetime) -> list[HourOfWaiting]:
    """Seconds of waiting within each hour of a period."""
    return select_all(cursor, HourOfWaiting, "lock_engine.waiting_by_hour(%s, %s)", [since, until])


def sample_statements(
    cursor: Cursor, fingerprints: Sequence[str], since: datetime, until: datetime
) -> dict[str, str | None]:
    """One statement of a root blocker for each fingerprint, None where none is kept."""
    cursor.execute(
        "SELECT query_fingerprint, statement FROM lock_engine.sample_statements(%s, %s, %s)",
        [list(fingerprints), since, until],
    )
    return {str(fingerprint): statement for fingerprint, statement in cursor.fetchall()}
