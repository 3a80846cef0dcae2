"""The doctor: the guide's pre-deployment and success checklists, asked of the running system.

Each finding says what was looked at, how it is, what that means, and the statement or command that mends
it. Nothing is changed, and nothing that could wait for a lock is asked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psycopg
from django.conf import settings
from django.core import checks as django_checks
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections
from django.utils import timezone
from django_q.models import Schedule

from lockmon import install, schedules, vault
from lockmon.calls import coverage, deadlocks, home
from lockmon.calls import doctor as calls
from lockmon.monitor import watchdog
from lockmon.monitor.connection import CannotWatchError, describe_failure, refuse_stranger, refuse_unfit
from lockmon.views.figures import watched_between
from lockmon.views.words import duration
from lockmon.watched_words import gaps_today, sentence

OK, WARNING, FAILURE = "ok", "warning", "failure"
HEADROOM_WARNING = 0.8
OVERDUE = timedelta(minutes=5)


@dataclass(frozen=True)
class Finding:
    """One line. state: ok, warning (it works, less well) or failure. remedy: empty where nothing needs
    doing."""

    section: str
    name: str
    state: str
    meaning: str
    remedy: str = ""


Part = Callable[[str], Iterator[Finding]]


def examine(alias: str = "vault") -> list[Finding]:
    """Return all findings about one vault; a part that cannot be asked is a finding itself."""
    from lockmon.doctor_vault import cost, site_tables
    from lockmon.doctor_web import web

    reachable = list(server(alias))
    found = [*configuration(), *reachable]
    parts: list[tuple[str, Part]] = [("web", web), ("queue", queue), ("heartbeat", heartbeat)]
    if not any(finding.state == FAILURE for finding in reachable):
        installed: list[tuple[str, Part]] = [("objects", objects), ("place", place), ("values", values)]
        rights: list[tuple[str, Part]] = [
            ("privileges", privileges),
            ("surplus rights", surplus),
            ("search path", search_path),
            ("tenants", site_tables),
        ]
        parts = [*installed, *rights, ("log", log), *parts, ("cost", cost)]
    for name, part in parts:
        try:
            found += part(alias)
        except (DatabaseError, psycopg.Error) as error:
            found.append(_unanswered(name, error))
    return found


def worst(findings: list[Finding]) -> str:
    """Return the worst state among the findings."""
    states = {finding.state for finding in findings}
    return FAILURE if FAILURE in states else WARNING if WARNING in states else OK


def configuration() -> Iterator[Finding]:
    """Django's system checks with this project's ids, as findings."""
    messages = django_checks.run_checks(tags=["lockmon"])
    for message in messages:
        state = FAILURE if message.level >= django_checks.ERROR else WARNING
        yield Finding("settings", str(message.id), state, str(message.msg), str(message.hint or ""))
    if not messages:
        yield Finding("settings", "system checks", OK, "The settings of this process are right.")


def server(alias: str) -> Iterator[Finding]:
    """Reachable, the right version, the primary, directly connected, and with connections to spare."""
    try:
        with vault.direct_connection(alias, "check") as connection, connection.cursor() as cursor:
            facts = coverage.server_facts(cursor)
            refuse_unfit(alias, facts, connection.info.backend_pid)
            refuse_stranger(cursor)
            room = calls.headroom(cursor)
    except CannotWatchError as error:
        yield Finding("server", "fit to be watched", FAILURE, str(error))
        return
    except psycopg.Error as error:
        yield Finding(
            "server",
            "reachable",
            FAILURE,
            f"The vault cannot be reached: {describe_failure(error)}.",
            "Look at VAULT_DATABASE_URL and at the server.",
        )
        return
    yield Finding(
        "server", f"PostgreSQL {facts.version_num // 10000}", OK, f"{facts.database} can be watched."
    )
    share = room.used / room.usable
    yield Finding(
        "server",
        "connection headroom",
        OK if share < HEADROOM_WARNING else WARNING,
        f"{room.used} of {room.usable} connections are in use; the monitor needs up to eight.",
        ""
        if share < HEADROOM_WARNING
        else "End idle connections, use a pooler for the application, or raise max_connections.",
    )


def objects(alias: str) -> Iterator[Finding]:
    """Objects, roles, definitions and server settings, as the installer verifies them."""
    complete: Counter[tuple[str, str]] = Counter()
    with vault.direct_connection(alias, "check") as connection:
        found = install.verify(connection)
    for check in found:
        if not check.passed:
            yield Finding(check.kind, check.name, FAILURE, f"It is {check.state}.", _sentence(check.how))
        elif check.state != "ok":
            statement, _, why = check.how.partition(": ")
            yield Finding(check.kind, check.name, WARNING, _sentence(why or statement), _sentence(statement))
        elif check.kind in ("table", "view", "function", "index"):
            complete[check.kind, check.name.split(".")[0]] += 1
        else:
            yield Finding(check.kind, check.name, OK, "As it should be.")
    for (kind, schema), number in sorted(complete.items()):
        yield Finding(kind, schema, OK, f"{number} {kind}{'s' if kind != 'index' else 'es'} are there."[:200])


def place(alias: str) -> Iterator[Finding]:
    """Is this the database that the vault acts in, or a copy?"""
    with vault.cursor(alias) as cursor:
        disarmed = home.disarmed_because(cursor)
    yield Finding(
        "place",
        "the vault's own database",
        FAILURE if disarmed else OK,
        disarmed or "Policies act and alerts are sent here; in a copy they would not.",
        'manage.py lockmon_adopt --reason "..." where the original acts no longer.' if disarmed else "",
    )


def values(alias: str) -> Iterator[Finding]:
    """Settings of the vault that nothing can use, as a restore past the triggers leaves them."""
    with vault.cursor(alias) as cursor:
        faults = calls.unusable_settings(cursor)
    for one in faults:
        yield Finding(
            "values",
            one.name,
            FAILURE,
            f"It {one.fault}, and {one.value} is not that.",
            "manage.py lockmon_deploy --again puts the default back.",
        )
    if not faults:
        yield Finding("values", "settings of the vault", OK, "Each of them can be used.")


def privileges(alias: str) -> Iterator[Finding]:
    """What the application's login may and may not."""
    with vault.cursor(alias) as cursor:
        rights = calls.rights(cursor)

    def line(name: str, good: bool, state: str, meaning: str, remedy: str) -> Finding:
        return Finding("privileges", name, OK if good else state, meaning, "" if good else remedy)

    grant = f"manage.py lockmon_deploy --login {rights.login}"
    yield line(
        "reads the vault",
        rights.may_read_vault,
        FAILURE,
        f"{rights.login} reads history and dashboards.",
        grant,
    )
    yield line(
        "runs cycles", rights.may_run_cycles, FAILURE, f"{rights.login} runs monitoring cycles.", grant
    )
    yield line(
        "takes lock_admin_role",
        rights.may_take_admin_role,
        WARNING,
        "Alerts, settings, cleanup and the door need it; a read-only installation does without.",
        f"GRANT lock_admin_role TO {rights.login};",
    )
    yield line(
        "is no superuser",
        not rights.is_superuser,
        WARNING,
        f"{rights.login} is a superuser: nothing limits it."
        if rights.is_superuser
        else f"{rights.login} is an ordinary login.",
        f"Make a login of its own: manage.py lockmon_deploy --login NAME; keep {rights.login} for the DBA.",
    )
    if not rights.is_superuser:
        yield line(
            "cannot signal by itself",
            not rights.may_signal,
            WARNING,
            "Sessions are stopped through the door alone, where each attempt is on the record.",
            f"REVOKE pg_signal_backend FROM {rights.login};",
        )
        yield line(
            "cannot rewrite history",
            not rights.may_write_vault,
            WARNING,
            "Only the vault's own functions write it.",
            f"REVOKE INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA lock_monitoring FROM {rights.login};",
        )


def surplus(alias: str) -> Iterator[Finding]:
    """Does a login have rights that it does not need?"""
    for name in dict.fromkeys((alias, vault.admin_alias(alias))):
        with vault.cursor(name) as cursor:
            found = calls.surplus_rights(cursor)
        title = "no right too many" if name == alias else f"no right too many ({name})"
        for one in found:
            yield Finding(
                "privileges",
                title,
                WARNING,
                f"{one.login} {one.what}, which the monitor does not need.",
                one.remedy,
            )
        if not found:
            yield Finding("privileges", title, OK, "The login has no right that it does not need.")


def search_path(alias: str) -> Iterator[Finding]:
    """May others create in a schema that the pages' statements look through?"""
    for name in (DEFAULT_DB_ALIAS, alias):
        if connections[name].vendor != "postgresql":
            continue  # a file has no schemas, and nobody else in it
        with connections[name].cursor() as cursor:
            found = calls.creators(cursor)
        for schema, role in found:
            yield Finding(
                "privileges",
                f"search path of '{name}'",
                WARNING,
                f"{role} may create in the schema {schema}: what is made there runs in our own statements.",
                f"REVOKE CREATE ON SCHEMA {schema} FROM {role};",
            )
        if not found:
            yield Finding(
                "privileges",
                f"search path of '{name}'",
                OK,
                "Nobody else may create in a schema that it looks through.",
            )


def log(alias: str) -> Iterator[Finding]:
    """Is the server log readable, from which deadlocks and exact waits come?"""
    with vault.cursor(alias) as cursor:
        status = deadlocks.log_status(cursor)
    yield Finding(
        "log",
        "server log readable",
        OK if status.readable else WARNING,
        f"{_sentence(status.state)} Without the log, deadlocks are found by sampling and counter alone."
        if not status.readable
        else _sentence(status.state),
        "" if status.readable else _sentence(status.what_to_do or "See docs/, reading the server log"),
    )
    if status.readable and status.log_format == "stderr":
        yield Finding(
            "log",
            "server log proves what it says",
            WARNING,
            "It is stderr, in which whoever may run statements can write: its deadlocks wait until a look or"
            " the counter proves them, its lock timeouts and waits are not counted.",
            "ALTER SYSTEM SET log_destination = 'stderr,csvlog'; SELECT pg_reload_conf();",
        )


def queue(alias: str) -> Iterator[Finding]:
    """The schedules that replace the guide's cron lines, and whether the task queue runs them."""
    now = datetime.now(UTC)
    known = {schedule.name: schedule for schedule in Schedule.objects.all()}
    for plan in schedules.plans():
        name = plan.name(alias)
        schedule = known.get(name)
        if schedule is None:
            yield Finding("schedule", name, FAILURE, "It is missing.", "manage.py migrate creates it.")
        elif schedule.repeats == 0:
            yield Finding(
                "schedule", name, WARNING, "It is switched off.", "Set its repeats to -1 in the admin."
            )
        elif schedule.next_run and now - schedule.next_run > OVERDUE:
            late = duration((now - schedule.next_run).total_seconds())
            yield Finding("schedule", name, FAILURE, f"It should have run {late} ago.", "manage.py qcluster")
        else:
            when = timezone.localtime(schedule.next_run) if schedule.next_run else None
            yield Finding("schedule", name, OK, f"Next at {when:%Y-%m-%d %H:%M}." if when else "Scheduled.")
    silent = watchdog.queue_sentences(alias, now)
    for told in silent:
        yield Finding("schedule", "task queue", FAILURE, told, "manage.py qcluster")
    if not silent:
        yield Finding(
            "schedule", "task queue", OK, f"It runs tasks; {settings.Q_CLUSTER.get('workers')} workers."
        )


def heartbeat(alias: str) -> Iterator[Finding]:
    """Is somebody watching, and is there somebody to take over?"""
    state = watchdog.examine(alias)
    remedy = "" if state.watching else "manage.py lockmon_monitor under a supervisor, or manage.py qcluster."
    if remedy and state.status is not None and state.status.leader_pid is not None:
        remedy = "The lines that the sentence names: another loop could only stand by."
    if state.without:
        remedy = (
            "SELECT * FROM lock_engine.part_state WHERE failures_in_a_row > 0; mend what last_error names."
        )
    well = state.watching and not state.without
    yield Finding("heartbeat", "watching", OK if well else FAILURE, state.headline, remedy)
    if state.status is not None:
        now = timezone.now()
        told = sentence(watched_between(now - timedelta(days=1), now, alias))
        yield Finding(
            "heartbeat",
            "the last 24 hours",
            WARNING if told else OK,
            told or "All of them were watched.",
            "Figures of that time are of the watched part alone; docs/production.md has the causes of gaps."
            if told
            else "",
        )
    if state.status is None or not state.watching:
        return
    standby = state.status.standby_pid is not None
    yield Finding(
        "heartbeat",
        "standby",
        OK if standby else WARNING,
        "Another loop stands by."
        if standby
        else "No standby: after a kill nobody watches until the supervisor has started the loop again, or, "
        "without one, until the queue's next task 'watch' (90 s at most).",
        "" if standby else "Run a second manage.py lockmon_monitor, best on another host.",
    )
    missing = float(state.status.gap_seconds_today)
    told = gaps_today(state.status)
    yield Finding(
        "heartbeat",
        "coverage of today",
        OK if missing < 1 and state.status.first_look_at is not None else WARNING,
        f"{told[0].upper()}{told[1:]}{'; the overview lists why' if missing >= 1 else ''}.",
    )


def _unanswered(part: str, error: Exception) -> Finding:
    cause = error.__cause__ if isinstance(error.__cause__, psycopg.Error) else error
    return Finding(
        part, "could not be asked", FAILURE, _sentence(describe_failure(cause)), "manage.py lockmon_deploy"
    )


def _sentence(text: str) -> str:
    text = text.strip()
    return text if not text or text[-1] in ".;)" else f"{text}."
