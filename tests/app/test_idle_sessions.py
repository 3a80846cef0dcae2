"""Idle sessions end; what pages fetch by themselves is no use, and writes nothing."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.db import connections
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from lockmon import sessions, tasks
from tests.support.people import browser, use_app_login

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "vault"])

FRAGMENTS = ("/admin/monitor/live/fragment/", "/admin/monitor/overview/fragment/")
PLAYED = {"X-Lockmon-Refresh": "1"}


@pytest.fixture(autouse=True)
def half_an_hour(settings: Any, vault_db: str) -> None:
    settings.SESSION_IDLE_MINUTES = 30
    use_app_login()


def used(client: Client, seconds_ago: float) -> None:
    """Let the session's last use be so long ago."""
    session = client.session
    session[sessions.USED_AT] = int(time.time() - seconds_ago)
    session.save()


def used_at(client: Client) -> int:
    return int(client.session[sessions.USED_AT])


def rows() -> list[tuple[Any, ...]]:
    return list(Session.objects.values_list("session_key", "session_data", "expire_date"))


def test_a_session_that_is_used_goes_on() -> None:
    client = browser("dba")
    for _ in range(3):
        used(client, 29 * 60)
        assert client.get("/admin/").status_code == 200
        assert time.time() - used_at(client) < 60


def test_a_session_that_is_not_used_ends_and_the_login_page_says_so() -> None:
    client = browser("dba")
    used(client, 30 * 60)
    answer = client.get("/admin/monitor/insight/?period=week")
    assert answer.status_code == 302
    assert Session.objects.count() == 0
    page = client.get(answer["Location"]).content.decode()
    assert "Your session ended: it was not used for 30 minutes" in page and "Log in again" in page
    form = {"username": "dba", "password": "only-for-tests", "next": "/admin/monitor/insight/?period=week"}
    assert 'value="/admin/monitor/insight/?period=week"' in page
    assert client.post("/admin/login/", form)["Location"] == form["next"]


def test_a_form_that_comes_too_late_does_nothing_and_leads_to_the_overview() -> None:
    client = browser("dba")
    used(client, 31 * 60)
    answer = client.post("/admin/lockmon/alert/add/", {})
    assert answer.status_code == 302 and answer["Location"].endswith("?ended=idle&next=/admin/")


@pytest.mark.parametrize("path", FRAGMENTS)
def test_what_refreshes_itself_is_no_use_and_writes_no_session(path: str) -> None:
    client = browser("dba")
    used(client, 29 * 60)
    before = rows()
    with CaptureQueriesContext(connections["default"]) as queries:
        for _ in range(5):
            answer = client.get(path)
            assert answer.status_code == 200 and answer["X-Lockmon-Fragment"] == "1"
            assert not answer.cookies
    assert rows() == before
    changing = [one["sql"] for one in queries if one["sql"].split()[0] in ("UPDATE", "INSERT", "DELETE")]
    assert changing == []


@pytest.mark.parametrize(
    ("path", "headers"), [*((path, {}) for path in FRAGMENTS), ("/admin/monitor/time/fragment/", PLAYED)]
)
def test_an_open_page_is_told_in_a_sentence(path: str, headers: dict[str, str]) -> None:
    client = browser("dba")
    used(client, 30 * 60)
    answer = client.get(path, headers=headers)
    assert answer.status_code == 401
    assert answer.content.decode().startswith("Your session ended: it was not used for 30 minutes")
    assert answer["X-Lockmon-Login"] == "/admin/login/?ended=idle"
    assert "X-Lockmon-Fragment" not in answer
    assert Session.objects.count() == 0


def test_a_step_by_hand_is_use_and_one_of_the_clock_is_none() -> None:
    client = browser("dba")
    used(client, 29 * 60)
    before = used_at(client)
    client.get("/admin/monitor/time/fragment/", headers=PLAYED)
    assert used_at(client) == before
    client.get("/admin/monitor/time/fragment/")
    assert used_at(client) > before


def test_use_is_written_once_a_minute() -> None:
    client = browser("dba")
    client.get("/admin/")
    used(client, 30)
    before = rows()
    client.get("/admin/monitor/live/")
    assert rows() == before
    used(client, 61)
    client.get("/admin/monitor/live/")
    assert time.time() - used_at(client) < 10


def test_use_does_not_prolong_a_session_beyond_its_hours() -> None:
    client = browser("dba")
    client.get("/admin/")
    [(_, _, ends)] = rows()
    used(client, 100)
    client.get("/admin/")
    [(_, _, still)] = rows()
    assert abs((ends - still).total_seconds()) < 1


def test_the_nightly_cleanup_forgets_sessions_that_are_over() -> None:
    over, goes_on = browser("dba"), browser("viewer")
    over.get("/admin/")
    goes_on.get("/admin/")
    Session.objects.filter(session_key=over.session.session_key).update(
        expire_date=timezone.now() - timedelta(seconds=1)
    )
    tasks.cleanup("vault", 30)
    assert [key for key, _, _ in rows()] == [goes_on.session.session_key]


def test_whoever_logs_in_with_an_idle_session_logs_in() -> None:
    client = browser("dba")
    used(client, 31 * 60)
    answer = client.post(
        "/admin/login/", {"username": "dba", "password": "only-for-tests", "next": "/admin/"}
    )
    assert answer.status_code == 302 and answer["Location"] == "/admin/"
    assert client.get("/admin/").status_code == 200


def test_a_session_of_the_release_before_begins_to_count_with_its_next_use() -> None:
    client = browser("dba")
    session = client.session
    session.pop(sessions.USED_AT, None)
    session.save()
    assert client.get(FRAGMENTS[0]).status_code == 200
    assert sessions.USED_AT not in client.session
    client.get("/admin/")
    assert time.time() - used_at(client) < 60


def test_health_reads_no_session() -> None:
    client = browser("dba")
    used(client, 31 * 60)
    with CaptureQueriesContext(connections["default"]) as queries:
        assert client.get("/healthz").status_code == 200
    assert len(queries) == 0


def test_the_sentence_is_the_server_s_own() -> None:
    page = Client().get("/admin/login/?ended=<script>").content.decode()
    assert "session ended" not in page and "<script>" not in page
