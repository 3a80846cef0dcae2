"""The report's figures and the three recommendations that follow from them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone

from lockmon import vault, watched
from lockmon.calls import claims, deadlocks, doctor
from lockmon.calls import report as calls
from lockmon.calls.deadlocks import LedgerLine
from lockmon.views.words import duration, some
from lockmon.watched import Watched

PERIODS = {"day": timedelta(days=1), "week": timedelta(days=7), "month": timedelta(days=30)}
RECOMMENDATIONS = 3
MUCH_WAITING = 60.0
"""Seconds of waiting below which nothing is recommended about it."""


@dataclass(frozen=True)
class Report:
    """Everything that a report shows. before: the same figures of the period before; claimed: deadlocks that
    the log only claims, in no other figure, counted up to claims.MOST + 1; size: bytes of the vault."""

    vault: str
    period: str
    start: datetime
    end: datetime
    totals: calls.Totals
    before: calls.Totals
    days: tuple[calls.Share, ...]
    relations: tuple[calls.Share, ...]
    sufferers: tuple[calls.Share, ...]
    claimants: tuple[calls.Share, ...]
    blockers: tuple[calls.Share, ...]
    patterns: tuple[calls.Pattern, ...]
    actions: tuple[calls.Counted, ...]
    alerts: tuple[calls.Counted, ...]
    ledger: tuple[LedgerLine, ...]
    claimed: int
    watched: calls.Watched
    seen: Watched
    seen_before: Watched
    watched_share: float | None
    watched_share_before: float | None
    not_compared: str
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
        own = calls.watched(cursor, start, end)
        seen = watched.read(cursor, start, end)
        seen_before = watched.read(cursor, start - PERIODS[period], start)
        not_compared = watched.too_little(cursor, seen, seen_before)
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
            claimants=tuple(calls.claimants(cursor, start, end)),
            blockers=blockers,
            patterns=patterns,
            actions=tuple(calls.actions(cursor, start, end)),
            alerts=tuple(calls.alerts(cursor, start, end)),
            ledger=tuple(deadlocks.ledger(cursor, start)),
            claimed=claims.claimed_count(cursor, start, end),
            watched=own,
            seen=seen,
            seen_before=seen_before,
            watched_share=seen.share,
            watched_share_before=seen_before.share,
            not_compared=not_compared,
            size=doctor.growth(cursor).bytes,
            recommendations=recommend(
                totals,
                relations,
                blockers,
                patterns,
                own,
                0.0 if not_compared else growth(totals, before, seen, seen_before),
                nothing_known=not seen.seconds,
            ),
        )


def growth(totals: calls.Totals, before: calls.Totals, seen: Watched, seen_before: Watched) -> float:
    """Return by what factor waiting per watched hour has grown since the period before; 0: it is unknown."""
    if not (before.waited and seen.seconds and seen_before.seconds):
        return 0.0
    return (totals.waited / seen.seconds) / (before.waited / seen_before.seconds)


def recommend(
    totals: calls.Totals,
    relations: tuple[calls.Share, ...],
    blockers: tuple[calls.Share, ...],
    patterns: tuple[calls.Pattern, ...],
    own: calls.Watched,
    grown: float,
    nothing_known: bool = False,
) -> tuple[str, ...]:
    """Return at most three recommendations, the most urgent first; each names the figure that it follows
    from."""
    found: list[tuple[float, str]] = []
    if own.missing > MUCH_WAITING:
        found.append(
            (5, f"Run a second loop: {duration(own.missing)} of this period were not watched by anybody.")
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
        if grown > 2:
            found.append((1, f"Find what changed: waiting per hour has grown to {grown:.1f} times."))
    found.sort(key=lambda one: -one[0])
    if nothing_known:
        return ("Nothing can be said: nobody watched in this period.",)
    return tuple(text for _, text in found[:RECOMMENDATIONS]) or (
        "Nothing needs doing: little was waited for.",
    )
