"""The schedules that replace the guide's cron lines."""

from __future__ import annotations

import importlib
import threading
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from django.db import connections
from django_q.models import Schedule

from lockmon import tasks
from lockmon.schedules import PLANS, ensure_schedules, first_run

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
