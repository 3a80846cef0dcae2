"""The heart of the monitor, in words: is it watching, how well, and what is the state of what it guards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import DatabaseError, connections, transaction
from django.utils import timezone

from ..calls import claims, coverage, deadlocks, home
from ..monitor import watchdog
from ..standing.causes import Cause
from . import words
from .context import VAULT


@dataclass(frozen=True)
class Heart:
    """State of the monitor: ``ok`` is True only while it watches and stores; ``sentence`` says the rest."""

    ok: bool
    sentence: str
    since: datetime | None = None
    log_sentence: str = ""
    log_ok: bool = True
    details: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Deadlocks:
    """Today's deadlocks: counted by PostgreSQL, captured by the monitor; None where that is not known."""

    counted: int | None
    captured: int | None
    missed: int | None

    @property
    def sentence(self) -> str:
        if self.captured is None:
            return "unknown"
        if not self.counted and not self.captured:
            return "none"
        return f"{self.captured:,} of {max(self.counted or 0, self.captured):,} captured"


def today() -> datetime:
    """Return the start of today in the site's time zone."""
    return timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)


def tried(call: Callable[[], Any], alias: str = VAULT) -> Any:
    """Return what the call returns, None where the vault refuses it; in a savepoint, so that the page goes
    on."""
    try:
        with transaction.atomic(using=alias):
            return call()
    except DatabaseError:
        return None


def read_heart(alias: str = VAULT) -> Heart:
    """Return the monitor's state; raises DatabaseError where the vault cannot be reached at all."""
    with connections[alias].cursor() as cursor:
        status = coverage.monitor_status(cursor)
        why_not = home.disarmed_because(cursor)
        failing = coverage.failing_parts(cursor) if status.failing_parts else []
        log = tried(lambda: deadlocks.log_status(cursor), alias)
    watching, sentence = watchdog.headline_of(alias, status, failing)
    ok = watching and not failing
    if why_not:
        sentence, ok = f"{sentence} {words.one_line(why_not, 900)}", False
    if log is None:
        log_sentence, log_ok = "Server log: unknown.", False
    elif log.readable:
        log_sentence, log_ok = "Server log readable.", True
    else:
        log_sentence, log_ok = (
            f"Server log not readable ({words.one_line(log.state, 80)}). {log.what_to_do or ''}".strip(),
            False,
        )
    queue = " ".join(watchdog.queue_sentences(alias))
    if queue and watchdog.queue_ran_before(alias):
        sentence, ok = f"{sentence} {queue}", False
    details = (*_details(status), ("Task queue", queue or "runs tasks"))
    return Heart(ok, sentence, status.last_look_at, log_sentence, log_ok, details)


def disarmed(alias: str = VAULT) -> str:
    """Return why no policy acts and no alert is sent in this vault, empty where they do or nobody can say."""
    with connections[alias].cursor() as cursor:
        return words.one_line(tried(lambda: home.disarmed_because(cursor), alias) or "", 900)


def broken(cause: Cause, alias: str = VAULT) -> Heart:
    """Return the heart of a monitor whose vault cannot be read, by what the loops last reported; the first
    thing to do about it is in it."""
    _, said = watchdog.without_vault(alias, cause.sentence)
    reason = "" if cause.sentence.rstrip(".") in said else cause.sentence
    parts = (f"{cause.title}.", reason, cause.since, said, *cause.todo[:1])
    return Heart(False, " ".join(one for one in parts if one), log_ok=False)


def _details(status: coverage.MonitorStatus) -> list[tuple[str, str]]:
    busy = None if status.busy_ms_today is None else float(status.busy_ms_today) / 1000
    gap = None if status.largest_gap_ms_today is None else float(status.largest_gap_ms_today) / 1000
    host = words.one_line(status.leader_host, 80) or "unknown"
    nobody = "nobody watches" if status.leader_pid is None else "not yet: a loop begins"
    return [
        ("Watching since", words.moment(status.watching_since) if status.watching_since else nobody),
        (
            "Loop",
            f"{host}, process {status.leader_process or 'unknown'}",
        ),
        ("Standby", "ready" if status.standby_pid else "none"),
        ("Looks today", words.count(status.looks_today)),
        ("Full cycles today", words.count(status.cycles_run_today)),
        (
            "Cycles skipped / failed today",
            f"{words.count(status.cycles_skipped_today)} / {words.count(status.cycles_failed_today)}",
        ),
        ("Largest gap between looks today", words.duration(gap)),
        ("Time spent today", words.duration(busy)),
        ("Transactions too short to be sampled today", words.count(status.unsampled_transactions_today)),
    ]


def ledger_sentence(alias: str = VAULT) -> str:
    """Return what PostgreSQL counted against what was captured, since the ledger began, as a sentence."""
    with connections[alias].cursor() as cursor:
        lines = tried(lambda: deadlocks.ledger(cursor), alias)
        claimed = claims.in_words(tried(lambda: claims.claimed_count(cursor), alias) or 0)
    if lines is None:
        return "How many deadlocks were missed is unknown: the ledger cannot be read."
    begun = [line.first_window for line in lines if line.first_window is not None]
    since = f" since {timezone.localtime(min(begun)):%Y-%m-%d %H:%M}" if begun else ""
    counted, captured, missed, sampling, log, waiting = (
        sum(getattr(line, name) for line in lines)
        for name in ("counted", "captured", "missed", "by_sampling", "by_log", "not_yet_settled")
    )
    if not counted:
        return f"PostgreSQL has counted no deadlock{since}: none was missed. {claimed}".rstrip()
    text = (
        f"PostgreSQL has counted {words.some(counted, 'deadlock')}{since}: {captured:,} captured "
        f"({sampling:,} by sampling, {log:,} by the log), {missed:,} missed"
        + (f", {waiting:,} not settled yet." if waiting else ".")
    )
    return f"{text} {claimed}".rstrip()


def deadlocks_today(alias: str = VAULT) -> Deadlocks:
    """Return today's ledger over all databases."""
    with connections[alias].cursor() as cursor:
        lines = tried(lambda: deadlocks.ledger(cursor, today()), alias)
    if lines is None:
        return Deadlocks(None, None, None)
    return Deadlocks(
        sum(line.counted for line in lines),
        sum(line.captured for line in lines),
        sum(line.missed for line in lines),
    )
