"""The schedules that replace the guide's cron lines. They can be seen, changed and paused in the admin.

Made after each ``migrate``, by name: what an operator has changed or switched off stays as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connections, router, transaction
from django.utils import timezone
from django_q.models import Schedule

from lockmon.calls.queue import lock_for_creation


@dataclass(frozen=True)
class Plan:
    """One schedule of one vault. at_hour: the local hour of a daily one, None for the others."""

    title: str
    function: str
    schedule_type: str
    minutes: int | None = None
    at_hour: int | None = None
    kwargs: str = ""
    weekday: int | None = None

    def name(self, alias: str) -> str:
        """Return the name in the admin, by which the schedule is found again."""
        return f"lockmon {alias}: {self.title}"


PLANS = (
    Plan("watch", "lockmon.tasks.watch", Schedule.MINUTES, minutes=1),
    Plan("alert messages", "lockmon.alerts.delivery.send_waiting", Schedule.MINUTES, minutes=1),
    Plan("analysis", "lockmon.tasks.analyze", Schedule.HOURLY),
    Plan("cleanup", "lockmon.tasks.cleanup", Schedule.DAILY, at_hour=2),
    Plan("weekly report", "lockmon.tasks.report", Schedule.WEEKLY, at_hour=6, weekday=0),
)

LOCAL_LOG = Plan("local log", "lockmon.tasks.follow_log", Schedule.MINUTES, minutes=1)
"""Only where LOCKMON_LOCAL_LOG names a file."""


def plans() -> tuple[Plan, ...]:
    """Return the schedules that this installation wants."""
    return (*PLANS, LOCAL_LOG) if settings.LOCKMON_LOCAL_LOG else PLANS


def first_run(plan: Plan, now: datetime) -> datetime:
    """Return when a new schedule runs for the first time: at once, at the next full hour, at its hour of
    day."""
    if plan.schedule_type == Schedule.MINUTES:
        return now
    local = timezone.localtime(now)
    hour = local.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    if plan.at_hour is None:
        return hour
    moment = local.replace(hour=plan.at_hour, minute=0, second=0, microsecond=0)
    while moment <= local or (plan.weekday is not None and moment.weekday() != plan.weekday):
        moment += timedelta(days=1)
    return moment


def ensure_schedules(using: str = DEFAULT_DB_ALIAS) -> list[str]:
    """Create the schedules that are missing, for each vault; returns the names of those created."""
    wanted = {plan.name(alias): (plan, alias) for alias in settings.VAULT_ALIASES for plan in plans()}
    schedules = Schedule.objects.using(using)

    def missing() -> list[str]:
        there = set(schedules.filter(name__in=wanted).values_list("name", flat=True))
        return [name for name in wanted if name not in there]

    if not missing():
        return []
    with transaction.atomic(using=using):
        # django-q does not keep names unique: of two processes that start together one must wait and look
        # again
        _one_at_a_time(using)
        created = missing()
        for name in created:
            plan, alias = wanted[name]
            schedules.create(
                name=name,
                func=plan.function,
                args=repr((alias,)),
                kwargs=plan.kwargs,
                schedule_type=plan.schedule_type,
                minutes=plan.minutes,
                next_run=first_run(plan, timezone.now()),
                repeats=-1,
            )
    return created


def catch_up(back: timedelta, using: str = DEFAULT_DB_ALIAS) -> list[str]:
    """After the clock was set back by so much, let what runs every few minutes run now, and not only when it
    is as late again as it was; returns the names. What somebody has put off further than that stays."""
    now = timezone.now()
    schedules = Schedule.objects.using(using)
    ours = [plan.function for plan in (*PLANS, LOCAL_LOG)]
    found = []
    for one in schedules.filter(schedule_type=Schedule.MINUTES, func__in=ours):
        put_off = one.next_run - now - timedelta(minutes=one.minutes or 1)
        if timedelta(minutes=1) < put_off <= back:
            found += [one.name] * schedules.filter(pk=one.pk, next_run=one.next_run).update(next_run=now)
    return found


def after_migrate(sender: AppConfig, using: str = DEFAULT_DB_ALIAS, **kwargs: Any) -> None:
    """Signal handler of post_migrate: the schedules exist wherever the queue's tables are."""
    if not router.allow_migrate_model(using, Schedule):
        return
    if Schedule._meta.db_table in connections[using].introspection.table_names():
        ensure_schedules(using)


def _one_at_a_time(using: str) -> None:
    connection = connections[using]
    if connection.vendor != "postgresql":
        return  # a transaction in SQLite is the only one that may write
    table = connection.ops.quote_name(Schedule._meta.db_table)
    with connection.cursor() as cursor:
        lock_for_creation(cursor, table)
