"""Typed calls for time lost by waiting: whole hours come from the roll-up, the rest from the vault's rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from .base import Cursor, build, select_all

DAY = timedelta(days=1)


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


def counted_until(cursor: Cursor) -> datetime | None:
    """Hours before this moment were added up by a release that reckoned otherwise what is lost behind a root;
    None where there is none of them."""
    cursor.execute(
        "SELECT s.counted_until FROM lock_engine.wait_rollup_state s WHERE s.counted_until > s.rolled_from"
    )
    row = cursor.fetchone()
    return row[0] if row else None


def waiting_by_hour(cursor: Cursor, since: datetime, until: datetime) -> list[HourOfWaiting]:
    """Seconds of waiting within each hour of a period."""
    return select_all(cursor, HourOfWaiting, "lock_engine.waiting_by_hour(%s, %s)", [since, until])


@dataclass(frozen=True)
class Unseen:
    """Waits whose rows reach over time that was not watched. gap: the number of the gap, from 0; waits: so
    many have exactly this stretch of it, of a session with parallel workers one."""

    gap: int
    span_start: datetime
    span_end: datetime
    waits: int


def waits_unseen(cursor: Cursor, gaps: Sequence[tuple[datetime, datetime]]) -> list[Unseen]:
    """What stored waits tell of gaps (in order, without overlap), in one question, however many there are.

    A row is found by its beginning: near a gap (a day before it at the earliest), or it is still open, or one
    of the few that lasted longer than a day; each of these has its index.
    """
    if not gaps:
        return []
    near: list[list[datetime]] = []
    for start, end in gaps:
        if near and start - DAY <= near[-1][1]:
            near[-1][1] = end
        else:
            near.append([start - DAY, end])
    cursor.execute(
        "WITH gap AS MATERIALIZED (SELECT %s::timestamptz[] AS starts, %s::timestamptz[] AS ends),"
        " near AS (SELECT * FROM unnest(%s::timestamptz[], %s::timestamptz[]) AS n (since, until)),"
        " wait AS ("
        "  SELECT s.load_date AS b,"
        "      lock_engine.wait_until(s.load_end_date, s.last_seen_at, s.log_end_at) AS e"
        "    FROM near n JOIN lock_monitoring.lock_activity_s s"
        "      ON s.load_date >= n.since AND s.load_date < n.until"
        "   WHERE NOT s.lock_granted AND lock_engine.waits_itself(s.beside)"
        "     AND s.load_end_date - s.load_date <= interval '1 day'"
        "  UNION ALL SELECT s.load_date, 'infinity' FROM lock_monitoring.lock_activity_s s"
        "   WHERE NOT s.lock_granted AND lock_engine.waits_itself(s.beside)"
        "     AND s.load_end_date IS NULL"
        "  UNION ALL SELECT s.load_date,"
        "      lock_engine.wait_until(s.load_end_date, s.last_seen_at, s.log_end_at)"
        "    FROM lock_monitoring.lock_activity_s s"
        "   WHERE NOT s.lock_granted AND lock_engine.waits_itself(s.beside)"
        "     AND s.load_end_date - s.load_date > interval '1 day'"
        "     AND s.load_end_date > %s),"
        " piece AS (SELECT i.n, greatest(w.b, g.starts[i.n]) AS b, least(w.e, g.ends[i.n]) AS e"
        "   FROM gap g, wait w, LATERAL generate_series("
        "    width_bucket(w.b, g.ends) + 1, width_bucket(w.e, g.starts)) AS i (n))"
        " SELECT p.n - 1, p.b, p.e, count(*)::integer FROM piece p WHERE p.b < p.e GROUP BY p.n, p.b, p.e",
        [
            [start for start, _ in gaps],
            [end for _, end in gaps],
            [since for since, _ in near],
            [until for _, until in near],
            gaps[0][0],
        ],
    )
    return [build(Unseen, row) for row in cursor.fetchall()]


def sample_statements(
    cursor: Cursor, fingerprints: Sequence[str], since: datetime, until: datetime
) -> dict[str, str | None]:
    """One statement of a root blocker for each fingerprint, None where none is kept."""
    cursor.execute(
        "SELECT query_fingerprint, statement FROM lock_engine.sample_statements(%s, %s, %s)",
        [list(fingerprints), since, until],
    )
    return {str(fingerprint): statement for fingerprint, statement in cursor.fetchall()}
