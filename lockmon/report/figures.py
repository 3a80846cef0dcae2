"""The report's figures and the three recommendations that follow from them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone

from lockmon import vault
from lockmon.calls import deadlocks, doctor
from lockmon.calls import report as calls
from lockmon.calls.deadlocks import LedgerLine
from lockmon.views.words import duration, some

PERIODS = {"day": timedelta(days=1), "week": timedelta(days=7), "month": timedelta(days=30)}
RECOMMENDATIONS = 3
MUCH_WAITING = 60.0
"""Seconds of waiting below which nothing is recommended about it."""


@dataclass(frozen=True)
class Report:
    """Everything that a report shows. before: the same figures of the period before; size: bytes of the
    vault."""

    vault: str
    period: str
    start: datetime
    end: datetime
    totals: calls.Totals
    before: calls.Totals
    days: tuple[calls.Share, ...]
    relations: tuple[calls.Share, ...]
    sufferers: tuple[calls.Share, ...]
    blockers: tuple[calls.Share, ...]
    patterns: tuple[calls.Pattern, ...]
    actions: tuple[calls.Counted, ...]
    alerts: tuple[calls.Counted, ...]
    ledger: tuple[LedgerLine, ...]
    watched: calls.Watched
    size: int
    recommendations: tuple[str, ...]


def gather(alias: str, period: str, end: datetime | None = None) -> Report:
    """Return the report of the period that ends now (or at ``end``). Raises DatabaseError, KeyError on the
    period."""
    end = end or timezone.now()
    start = end - PERIODS[period]
    with vault.cursor(alias) as cursor:
        totals = calls.totals(cursor, start, end)
        before = calls.totals(cursor, start - PERIODS[period], start)
        relations = tuple(calls.shares(cursor, "relation", start, end))
        blockers = tuple(calls.blockers(cursor, start, end))
        patterns = tuple(calls.patterns(cursor, start, end))
        watched = calls.watched(cursor, start, end)
        return Report(
            vault=alias,
            period=period,
            start=start,
            end=end,
            totals=totals,
            before=before,
            days=tuple(calls.shares(cursor, "day", start, end, 40)),
            relations=relations,
            sufferers=tuple(calls.shares(cursor, "sufferer", start, end)),
            blockers=blockers,
            patterns=patterns,
            actions=tuple(calls.actions(cursor, start, end)),
            alerts=tuple(calls.alerts(cursor, start, end)),
            ledger=tuple(deadlocks.ledger(cursor, start)),
            watched=watched,
            size=doctor.growth(cursor).bytes,
            recommendations=recommend(totals, before, relations, blockers, patterns, watched),
        )


def recommend(
    totals: calls.Totals,
    before: calls.Totals,
    relations: tuple[calls.Share, ...],
    blockers: tuple[calls.Share, ...],
    patterns: tuple[calls.Pattern, ...],
    watched: calls.Watched,
) -> tuple[str, ...]:
    """Return at most three recommendations, the most urgent first; each names the figure that it follows
    from."""
    found: list[tuple[float, str]] = []
    if watched.missing > MUCH_WAITING:
        found.append(
            (5, f"Run a second loop: {duration(watched.missing)} of this period were not watched by anybody.")
        )
    for pattern in patterns[:2]:
        mend = pattern.suggestion or "take the locks in one order"
        found.append((4 + pattern.times / 100, f"{some(pattern.times, 'deadlock')} of one pattern: {mend}"))
    if totals.waited > MUCH_WAITING:
        if blockers and blockers[0].waited > totals.waited / 3:
            top = blockers[0]
            found.append(
                (
                    3,
                    f"Shorten the transactions of {top.name}: it was at the root of "
                    f"{duration(top.waited)} of waiting, {top.waited / totals.waited:.0%} of all. An "
                    "idle_in_transaction_session_timeout for its user limits each case.",
                )
            )
        if relations and relations[0].waited > totals.waited / 3:
            top = relations[0]
            found.append(
                (2, f"Look at {top.name}: {duration(top.waited)} in {some(top.waits, 'wait')} were for it.")
            )
        if totals.longest > 300:
            found.append(
                (
                    2.5,
                    f"Set a lock_timeout for applications: the longest wait took {duration(totals.longest)}, "
                    "longer than anybody waits on purpose.",
                )
            )
        if before.waited and totals.waited > 2 * before.waited:
            found.append(
                (
                    1,
                    f"Find what changed: waiting has grown to {totals.waited / before.waited:.1f} times.",
                )
            )
    found.sort(key=lambda one: -one[0])
    return tuple(text for _, text in found[:RECOMMENDATIONS]) or (
        "Nothing needs doing: little was waited for.",
    )
