"""What is wrong with the monitor itself, in sentences, for pages, health checks and the doctor.

Two sources: the vault (lock_engine.monitor_status), and, where that cannot be asked, what the loops last
reported to Django's own database. The task queue is judged by its own sign of life: a cluster whose
worker was killed at the wrong moment takes tasks and runs none, and looks alive otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db import DatabaseError, connections
from django.utils import timezone
from django_q.models import Schedule

from lockmon import vault
from lockmon.calls import coverage, home
from lockmon.models.monitor_state import MonitorState
from lockmon.views.words import duration, one_line
from lockmon.watched_words import gaps_today

from . import parts
from .connection import describe_failure

STALE_SECONDS = 15.0
"""A loop that has not looked for so long does not watch any more, whatever it says."""
QUEUE_SILENT = timedelta(minutes=3)
"""The watch task is started every minute, and django-q looks every half minute."""
START = "Start manage.py lockmon_monitor, or the task queue (manage.py qcluster)."


@dataclass(frozen=True)
class Watchdog:
    """The monitor's state. watching: it looks and stores. sentences: worst first, empty when all is well.

    headline: the sentence that every page begins with. status: None where the vault cannot be asked. without:
    parts of the monitor that fail while it watches. disarmed: why nothing acts by itself here, or None.
    """

    watching: bool
    headline: str
    sentences: tuple[str, ...]
    status: coverage.MonitorStatus | None
    without: tuple[str, ...] = ()
    disarmed: str | None = None


def examine(alias: str = "vault") -> Watchdog:
    """Return how the monitor of one vault is. Never raises for a database that cannot be reached."""
    now = datetime.now(UTC)
    sentences: list[str] = []
    status: coverage.MonitorStatus | None = None
    disarmed = None
    try:
        with vault.cursor(alias) as cursor:
            status = coverage.monitor_status(cursor)
            disarmed = home.disarmed_because(cursor)
            failing = coverage.failing_parts(cursor) if status.failing_parts else []
    except DatabaseError as error:
        connections[alias].close()
        watching, headline = without_vault(alias, describe_failure(error.__cause__ or error), now)
    else:
        watching, headline = headline_of(alias, status, failing, now)
    missing = status.failing_parts if status is not None else ()
    if not watching or missing:
        sentences.append(headline)
    if disarmed:
        sentences.append(one_line(disarmed, 900))
    sentences += queue_sentences(alias, now)
    return Watchdog(watching, headline, tuple(sentences), status, missing, disarmed)


@dataclass(frozen=True)
class Readiness:
    """What a probe is told of one vault, by the vault alone."""

    watching: bool
    without: tuple[str, ...] = ()
    disarmed: bool = False


def readiness(alias: str = "vault") -> Readiness:
    """Return whether somebody watches and stores; asks the vault and no other database, and never raises for
    one that cannot be asked: what nobody can look up is not watched, as far as a probe can say."""
    try:
        with vault.cursor(alias) as cursor:
            status = coverage.monitor_status(cursor)
            disarmed = home.disarmed_because(cursor)
    except DatabaseError:
        connections[alias].close()
        return Readiness(False)
    age = None if status.last_look_age_seconds is None else float(status.last_look_age_seconds)
    looks = status.state == "watching" and age is not None and age <= STALE_SECONDS
    return Readiness(looks and status.first_look_at is not None, status.failing_parts, bool(disarmed))


def sentences(alias: str = "vault") -> tuple[str, ...]:
    """Return what is wrong with the monitor, worst first; empty when all is well."""
    return examine(alias).sentences


def headline_of(
    alias: str,
    status: coverage.MonitorStatus,
    failing: list[coverage.FailingPart],
    now: datetime | None = None,
) -> tuple[bool, str]:
    """Return whether the vault is watched, and the sentence that says how, or since when and why not."""
    now = now or datetime.now(UTC)
    age = None if status.last_look_age_seconds is None else float(status.last_look_age_seconds)
    gaps = gaps_today(status)
    if status.state in ("never started", "not watching") and (told := _outage(_reports(alias, now), now)):
        return False, told
    if status.state == "never started":
        return False, f"Not watching: the loop was never started. {START}"
    if status.leader_pid is not None and (age is None or age > STALE_SECONDS):
        if told := _skipping(_reports(alias, now), status):
            stored = "None was ever stored" if age is None else f"The last was stored {duration(age)} ago"
            return False, f"{told} {stored}, {gaps}."
        return False, _leads_and_does_not_look(status, age)
    if status.state == "not watching" or age is None or age > STALE_SECONDS:
        reason = one_line(_last_reason(alias), 300) or "no loop is running"
        return False, (
            f"Not watching since {_at(status.last_look_at)}: {reason}. {duration(age)} are missing. {START}"
        )
    if status.state == "skipping":
        because = one_line(status.skipped_because, 300) or "another cycle holds the vault"
        return False, (
            f"Looking, but storing nothing since {_at(status.skipping_since)}: {because}. "
            f"Last look {duration(age)} ago, {gaps}."
        )
    if told := _skipping(_reports(alias, now), status):
        return False, f"{told} Last look {duration(age)} ago, {gaps}."
    if status.first_look_at is None:
        return False, "Not watching yet: a loop has begun, and its first cycle has not been stored."
    look = "" if status.look_ms is None else f", {float(status.look_ms):.1f} ms each"
    behind = f"; {one_line(status.skipped_because, 300)}" if status.skipped_because else ""
    return True, f"Watching{parts.without(failing)}{behind}. Last look {duration(age)} ago{look}, {gaps}."


def _leads_and_does_not_look(status: coverage.MonitorStatus, age: float | None) -> str:
    """Return what is wrong with a loop that holds the leader's place: a second one could only stand by."""
    pid = status.leader_pid
    if status.watching_since is None:
        before = (
            "Nobody has looked before."
            if age is None
            else f"The last look was at {_at(status.last_look_at)}; {duration(age)} are missing."
        )
        return (
            f"Not watching yet: server process {pid} has the loop's place and has not looked. {before} "
            f"If this lasts, pg_stat_activity says what pid {pid} does."
        )
    loop = f"the loop on {one_line(status.leader_host, 80)}, process {status.leader_process},"
    return (
        f"Not watching since {_at(status.last_look_at)}: {loop} keeps its place (server process {pid}) and "
        f"does not look: it is frozen, or its host or its connection is gone. {duration(age)} are missing. "
        f"End it, or its session: SELECT pg_terminate_backend({pid}). Then another loop can watch."
    )


def without_vault(alias: str, failure: str, now: datetime | None = None) -> tuple[bool, str]:
    """Return what the loops last reported, when the vault cannot be asked from here."""
    now = now or datetime.now(UTC)
    failure = failure.rstrip(".")
    reports = _reports(alias, now)
    if any(report.state == MonitorState.State.WATCHING for report in reports):
        return True, f"The loop is watching, but the pages cannot read the vault: {failure}."
    return False, _outage(reports, now) or f"Not watching, as far as can be seen from here: {failure}."


def _reports(alias: str, now: datetime) -> list[MonitorState]:
    """Return what loops have reported lately; empty where Django's own database cannot be asked either."""
    fresh = now - timedelta(seconds=STALE_SECONDS)
    try:
        return list(
            MonitorState.objects.filter(vault_alias=alias, kind=MonitorState.Kind.LOOP, reported_at__gt=fresh)
        )
    except DatabaseError:
        return []


def _outage(reports: list[MonitorState], now: datetime) -> str:
    """Return since when and why loops that run cannot watch; empty where none says so."""
    outages = [report for report in reports if report.missing_since]
    if not outages:
        return ""
    first = min(outages, key=lambda report: report.missing_since or now)
    since = first.missing_since or now
    missing = duration((now - since).total_seconds())
    return f"Not watching since {_at(since)}: {first.reason}. {missing} are missing."


def _skipping(reports: list[MonitorState], status: coverage.MonitorStatus) -> str:
    """Return since when and why the leader stores nothing, where it cannot even write that into the vault."""
    leader = f"{status.leader_host}:{status.leader_process}"
    for report in reports:
        if report.state == MonitorState.State.SKIPPING and (
            status.leader_host is None or report.instance == leader
        ):
            because = one_line(report.reason, 300).rstrip(".")
            return f"Looking, but storing nothing since {_at(report.since)}: {because}."
    return ""


def _last_reason(alias: str) -> str:
    try:
        report = (
            MonitorState.objects.filter(vault_alias=alias, kind=MonitorState.Kind.LOOP)
            .exclude(state=MonitorState.State.STANDBY)
            .order_by("-reported_at")
            .first()
        )
    except DatabaseError:
        return ""
    if report is None:
        return ""
    if report.state in (MonitorState.State.WATCHING, MonitorState.State.SKIPPING):
        return f"the loop on {report.instance} has ended without a word (killed, or its host is gone)"
    return report.reason


def queue_sentences(alias: str, now: datetime | None = None) -> list[str]:
    """Return what is wrong with the task queue, judged by when it last ran the watch task."""
    now = now or datetime.now(UTC)
    try:
        scheduled = Schedule.objects.filter(func="lockmon.tasks.watch").exclude(repeats=0).exists()
        last = (
            MonitorState.objects.filter(vault_alias=alias, kind=MonitorState.Kind.CLUSTER)
            .order_by("-reported_at")
            .first()
        )
    except DatabaseError as error:
        return [f"Django's own database cannot be read: {describe_failure(error.__cause__ or error)}."]
    if not scheduled:
        return ["The schedule 'watch' is missing or switched off: nothing starts the loop by itself."]
    if last is None:
        return ["The task queue has not run anything yet: start it with manage.py qcluster."]
    if now - last.reported_at > QUEUE_SILENT:
        return [
            f"The task queue has run nothing since {_at(last.reported_at)}: it is stopped, or takes "
            "tasks and runs none. Restart it with all its workers (manage.py qcluster); cleanup and analysis "
            "are waiting."
        ]
    return []


def queue_ran_before(alias: str) -> bool:
    """Tell whether a task queue has ever run the watch task, so that its silence is news."""
    return MonitorState.objects.filter(vault_alias=alias, kind=MonitorState.Kind.CLUSTER).exists()


def _at(moment: datetime | None) -> str:
    if moment is None:
        return "an unknown time"
    local = timezone.localtime(moment)
    return f"{local:%H:%M:%S}" if local.date() == timezone.localdate() else f"{local:%Y-%m-%d %H:%M:%S}"
