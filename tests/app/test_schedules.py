"""The schedules that replace the guide's cron lines."""

from __future__ import annotations

import importlib
import threading
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.db import connections
from django.utils import timezone
from django_q.models import Schedule

from lockmon import tasks
from lockmon.models.monitor_state import MonitorState
from lockmon.monitor import state
from lockmon.schedules import PLANS, catch_up, ensure_schedules, first_run
from tests.support.poll import poll

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "vault"])


def test_each_plan_is_created_once() -> None:
    Schedule.objects.all().delete()
    created = ensure_schedules()
    assert created == [plan.name("vault") for plan in PLANS]
    assert ensure_schedules() == []
    assert Schedule.objects.count() == len(PLANS)


def test_two_processes_at_once_create_no_duplicates() -> None:
    Schedule.objects.all().delete()
    start = threading.Barrier(4)

    def create() -> None:
        start.wait()
        ensure_schedules()
        connections.close_all()

    threads = [threading.Thread(target=create) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Schedule.objects.count() == len(PLANS)


def test_what_an_operator_changed_stays() -> None:
    ensure_schedules()
    Schedule.objects.filter(func="lockmon.tasks.cleanup").update(repeats=0)
    ensure_schedules()
    assert Schedule.objects.get(func="lockmon.tasks.cleanup").repeats == 0


WATCH, MESSAGES, ANALYSIS = (PLANS[number].name("vault") for number in (0, 1, 2))


def put_off(name: str, by: timedelta) -> None:
    Schedule.objects.filter(name=name).update(next_run=timezone.now() + by)


def seconds_until(name: str) -> float:
    return float((Schedule.objects.get(name=name).next_run - timezone.now()).total_seconds())


def test_a_clock_that_was_set_back_puts_nothing_off() -> None:
    """What runs each minute would run when it is as late again: for an hour no task would watch."""
    Schedule.objects.all().delete()
    ensure_schedules()
    put_off(WATCH, timedelta(minutes=60, seconds=30))
    put_off(MESSAGES, timedelta(days=1))  # somebody wanted that
    put_off(ANALYSIS, timedelta(minutes=90))
    assert catch_up(timedelta(hours=1)) == [WATCH]
    assert seconds_until(WATCH) <= 0
    assert seconds_until(MESSAGES) > 80_000 and seconds_until(ANALYSIS) > 5000
    assert catch_up(timedelta(hours=1)) == []


def test_a_loop_notices_that_the_clock_was_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    Schedule.objects.all().delete()
    ensure_schedules()
    put_off(WATCH, timedelta(minutes=60, seconds=30))
    clock = [1_000_000.0]
    monkeypatch.setattr(state, "_wall_clock", lambda: clock[0])
    writer = state.StateWriter("vault")
    writer.start()
    try:
        now = timezone.now()
        writer.put(state.Report("watching", now))
        poll(MonitorState.objects.exists, what="a report")
        assert seconds_until(WATCH) > 3000, "a clock that goes right changes nothing"
        clock[0] -= 3600
        writer.put(state.Report("standby", now))
        poll(lambda: seconds_until(WATCH) <= 0, what="the schedule, due again")
    finally:
        writer.close()


def test_cleanup_runs_at_two_in_the_morning_and_analysis_at_the_full_hour() -> None:
    plans = {plan.title: plan for plan in PLANS}
    now = datetime(2026, 11, 22, 3, 12, 41, tzinfo=UTC)
    assert first_run(plans["watch"], now) == now
    assert first_run(plans["analysis"], now) == datetime(2026, 11, 22, 4, tzinfo=UTC)
    assert first_run(plans["cleanup"], now) == datetime(2026, 11, 23, 2, tzinfo=ZoneInfo("UTC"))


def test_every_schedule_names_a_task_that_exists() -> None:
    for plan in PLANS:
        module, name = plan.function.rsplit(".", 1)
        assert callable(getattr(importlib.import_module(module), name))


def test_analysis_and_cleanup_say_what_they_did(vault_db: str) -> None:
    assert tasks.analyze("vault", 1)
    assert "coverage of the monitor itself: 0" in tasks.cleanup("vault", 30)
