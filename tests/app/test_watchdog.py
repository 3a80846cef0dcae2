"""What is said about the monitor itself: heartbeat, task queue, health endpoints."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.db import DatabaseError
from django.test import Client
from django_q.models import Schedule

from lockmon.models import MonitorState
from lockmon.monitor import state, watchdog
from lockmon.schedules import ensure_schedules
from lockmon.standing import causes
from lockmon.views import heart
from tests.support.loops import running_loop, until_nobody_watches, until_watching
from tests.support.poll import poll

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "vault"])


def test_a_vault_that_nobody_watches_is_said_to_be_one(vault_db: str) -> None:
    found = watchdog.examine("vault")
    assert not found.watching
    assert found.headline.startswith("Not watching: the loop was never started.")


def test_watching_is_said_with_its_cost_and_gaps(vault_db: str) -> None:
    with running_loop():
        until_watching(vault_db)
        found = watchdog.examine("vault")
        assert found.watching
        assert found.headline.startswith("Watching. Last look ")
        assert found.headline.endswith("no gap since.")
        assert "watched since" in found.headline


def test_a_queue_that_runs_nothing_is_noticed(vault_db: str) -> None:
    ensure_schedules()
    now = datetime.now(UTC)
    assert watchdog.queue_sentences("vault", now) == [
        "The task queue has not run anything yet: start it with manage.py qcluster."
    ]
    state.pulse("vault")
    assert watchdog.queue_sentences("vault", now) == []
    (late,) = watchdog.queue_sentences("vault", now + timedelta(minutes=5))
    assert late.startswith("The task queue has run nothing since ")
    assert "qcluster" in late


def test_a_schedule_that_was_switched_off_is_noticed(vault_db: str) -> None:
    ensure_schedules()
    Schedule.objects.filter(func="lockmon.tasks.watch").update(repeats=0)
    (found,) = watchdog.queue_sentences("vault")
    assert "switched off" in found


def test_old_reports_are_forgotten(vault_db: str) -> None:
    now = datetime.now(UTC)
    state.store("vault", state.Report("watching", now), instance="gone:1")
    MonitorState.objects.update(reported_at=now - timedelta(days=2))
    state.pulse("vault")
    assert not MonitorState.objects.filter(instance="gone:1").exists()


def test_health_endpoints(vault_db: str) -> None:
    client = Client()
    assert client.get("/healthz").status_code == 200
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()) == (
        503,
        {"ready": False, "watching": {"vault": False}, "without": {}},
    )
    with running_loop():
        until_watching(vault_db)
        assert poll(lambda: client.get("/readyz").status_code == 200, 5, "readiness")
    assert client.post("/readyz").status_code == 405


def test_the_pages_and_the_watchdog_say_the_same(vault_db: str) -> None:
    """One owner of the sentence: in each state of the monitor the heart of the pages is the headline."""

    def same() -> str:
        found = watchdog.examine("vault")
        shown = heart.read_heart("vault")
        numbers = re.compile(r"[\d.]+ m?s")
        assert numbers.sub("", shown.sentence).startswith(numbers.sub("", found.headline))
        assert shown.ok is found.watching
        return found.headline

    assert same().startswith("Not watching: the loop was never started.")
    with running_loop():
        until_watching(vault_db)
        assert same().startswith("Watching. Last look ")
    until_nobody_watches(vault_db)
    assert same().startswith("Not watching since ")
    now = datetime.now(UTC)
    state.store(
        "vault", state.Report("not watching", now, reason="the test's", missing_since=now), instance="x:1"
    )
    assert "the test's" in same()


def test_without_the_vault_the_pages_say_what_the_loops_reported(vault_db: str) -> None:
    error = DatabaseError("connection refused")
    cause = causes.cause_of(error)
    told = heart.broken(cause).sentence
    assert told.startswith("The watched server is not running. Since ")
    assert "Not watching, as far as can be seen from here: The connection failed" in told
    assert "the address in VAULT_DATABASE_URL. On its host: is PostgreSQL running" in told
    state.store("vault", state.Report("watching", datetime.now(UTC)), instance="x:1")
    assert "The loop is watching, but the pages cannot read the vault" in heart.broken(cause).sentence
