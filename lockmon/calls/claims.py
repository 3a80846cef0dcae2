"""Typed calls about what a log only claims: shown as claimed, counted nowhere."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

MOST = 1000
"""Whoever can write one can write thousands: more than so many are not counted."""


@dataclass(frozen=True)
class Claim:
    """A deadlock that the log claims and nothing proves.

    caught: the log has its victim's wait alone. waiting: it may still be proven. why: why it is only claimed,
    and what would prove it. query: the victim's statement, whole.
    """

    happened_at: datetime
    pid: int
    other_pids: tuple[int, ...]
    user: str | None
    database: str | None
    application: str | None
    client: str | None
    caught: bool
    waiting: bool
    why: str
    query: str | None


def claimed_deadlocks(cursor: Any, since: datetime | None, limit: int) -> list[Claim]:
    """lock_engine.claimed_deadlocks(): the latest first, since a moment or as far as they are kept."""
    cursor.execute(
        "SELECT logged_at, pid, other_pids, user_name, database_name, application_name, client, caught,"
        " waits_for_proof, why, statement"
        " FROM lock_engine.claimed_deadlocks(coalesce(%s, '-infinity'::timestamptz), 'infinity', %s)",
        [since, limit],
    )
    return [Claim(row[0], row[1], tuple(row[2] or ()), *row[3:]) for row in cursor.fetchall()]


def claimed_count(cursor: Any, since: datetime | None = None, until: datetime | None = None) -> int:
    """How many deadlocks since a moment, or between two, are only claimed; at most MOST + 1."""
    cursor.execute(
        "SELECT count(*) FROM lock_engine.claimed_deadlocks("
        "coalesce(%s, '-infinity'::timestamptz), coalesce(%s, 'infinity'::timestamptz), %s)",
        [since, until, MOST + 1],
    )
    return int(cursor.fetchone()[0])


def figure(number: int) -> str:
    """Return a count of claimed_count() as it is shown."""
    return f"more than {MOST:,}" if number > MOST else f"{number:,}"


def latest(cursor: Any, since: datetime | None, limit: int) -> tuple[list[Claim], int]:
    """The latest of them, and how many there are: counted only where there are more than were asked for."""
    found = claimed_deadlocks(cursor, since, limit) if limit else []
    return found, len(found) if len(found) < limit else claimed_count(cursor, since)


def in_words(number: int) -> str:
    """Return "3 more are claimed in the log ...", or nothing where there is none."""
    if not number:
        return ""
    return (
        f"{figure(number).capitalize()} more {'is' if number == 1 else 'are'} claimed in the log and not"
        f" counted: nothing proves that PostgreSQL wrote {'it' if number == 1 else 'them'}."
    )
