"""What a log only claims is shown as that, on pages, in the API and in commands, and counted nowhere."""

from __future__ import annotations

import io
import json

import psycopg
import pytest
from django.core.management import call_command
from django.test import Client

from lockmon import doctor
from lockmon.calls import claims
from lockmon.models import LockWaitAnalysis
from lockmon.models.api_token import ApiToken
from tests.app.test_metrics import scrape
from tests.sql.test_log_parser import csv
from tests.support.people import browser, person, use_app_login

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "vault"])

PAGE = "/admin/monitor/claimed-deadlocks/"
MORE = "1 more is claimed in the log and not counted: nothing proves that PostgreSQL wrote it."
SECRET = "UPDATE accounts SET pin = 'hunter2'"


@pytest.fixture
def claim(vault_db: str) -> str:
    """A vault with a deadlock and a lock timeout that somebody wrote with RAISE."""
    context = "PL/pgSQL function inline_code_block line 1 at RAISE"
    texts = [
        csv("deadlock detected", code="40P01", severity="ERROR", context=context, statement=SECRET),
        csv("canceling statement due to lock timeout", code="55P03", severity="ERROR", context=context),
    ]
    with psycopg.connect(vault_db, autocommit=True) as connection:
        for number, text in enumerate(texts):
            connection.execute(
                "SELECT lock_log.ingest(%s, 'csvlog', 0, %s, true)", [f"file {number}", text.encode()]
            )
        now = "UPDATE lock_log.event SET logged_at = clock_timestamp() - interval '2 minutes'"
        connection.execute(now)
    use_app_login()
    return vault_db


def said_by(*words: str) -> str:
    """What a command prints."""
    out = io.StringIO()
    call_command(*words, stdout=out)
    return out.getvalue()


def test_the_list_of_deadlocks_says_how_many_and_leads_to_them(claim: str) -> None:
    text = browser("viewer").get("/admin/lockmon/deadlockevent/").content.decode()
    assert f"none was missed. {MORE}" in text and f'href="{PAGE}"' in text


@pytest.mark.parametrize(("who", "sees"), [("viewer", False), ("dba", True)])
def test_the_page_tells_who_when_and_why(claim: str, who: str, sees: bool) -> None:
    text = browser(who).get(PAGE).content.decode()
    assert "app, api, shop" in text and ">11</td>" in text
    assert "A user&#x27;s statement wrote it" in text or "A user's statement wrote it" in text
    assert ("hunter2" in text) is sees


def test_without_any_the_page_says_so(vault_db: str) -> None:
    use_app_login()
    assert "No deadlock is only claimed." in browser("viewer").get(PAGE).content.decode()


def test_the_api_has_them_apart(claim: str) -> None:
    _, key = ApiToken.make(user=person("viewer"), name="test")
    answer = Client().get("/api/deadlocks", headers={"Authorization": f"Bearer {key}"}).json()
    assert answer["deadlocks"] == [] and answer["claimed"]["count"] == 1 and not answer["claimed"]["more"]
    [one] = answer["claimed"]["deadlocks"]
    assert (one["pid"], one["user"], one["waits_for_proof"]) == (11, "app", False)
    assert "RAISE" in one["why"] and "hunter2" not in json.dumps(answer)


def test_the_command_lists_them(claim: str) -> None:
    said = said_by("lockmon_deadlocks")
    assert MORE in said and "claimed by pid 11 (app): A user's statement wrote it" in said


def test_the_report_names_them_and_counts_them_nowhere(claim: str) -> None:
    said = said_by("lockmon_report")
    assert "| Deadlocks that the log only claims, counted nowhere | 1 |" in said
    assert "| Deadlocks counted by PostgreSQL / captured / missed | 0 / 0 / 0 |" in said
    assert json.loads(said_by("lockmon_report", "--format", "json"))["claimed"] == 1


def test_the_metrics_have_them_apart(claim: str) -> None:
    found = scrape()
    assert found["lockmon_claimed_deadlocks_24h"] == [({"vault": "vault"}, 1.0)]
    assert [value for _, value in found["lockmon_deadlocks_24h"]] == [0.0, 0.0, 0.0]


def test_claims_of_another_time_are_not_those_of_a_period(claim: str) -> None:
    with psycopg.connect(claim) as connection, connection.cursor() as cursor:
        moment = "SELECT clock_timestamp() - make_interval(mins => %s)"
        ago = {m: cursor.execute(moment, [m]).fetchone()[0] for m in (1, 3, 10)}  # type: ignore[index]
        assert claims.claimed_count(cursor, ago[3], ago[1]) == 1
        assert claims.claimed_count(cursor, ago[10], ago[3]) == 0


def test_claimed_timeouts_are_not_none(claim: str) -> None:
    with psycopg.connect(claim, autocommit=True) as connection:
        connection.execute("SELECT * FROM lock_monitoring.analyze_lock_waits(NULL, 1)")
        row = connection.execute(
            "SELECT lock_timeout_events, unknown FROM lock_monitoring.lock_wait_analysis_s"
        ).fetchone()
    assert row is not None and row[0] is None
    assert "lock_timeout_events: 1 claimed in the log, not counted" in row[1]
    [key] = LockWaitAnalysis.objects.using("vault").values_list("pk", flat=True)
    text = browser("viewer").get(f"/admin/lockmon/lockwaitanalysis/{key}/change/").content.decode()
    assert "1 claimed in the log, not counted" in text


def test_the_check_says_that_stderr_proves_nothing(vault_db: str) -> None:
    with psycopg.connect(vault_db, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO lock_log.state (state_id, state, readable, since, log_format, file_name, retry_at)"
            " VALUES (1, 'log readable', true, now(), 'stderr', 'x.log', 'infinity')"
        )
    use_app_login()
    [line] = [one for one in doctor.log("vault") if one.name == "server log proves what it says"]
    assert line.state == doctor.WARNING and "csvlog" in (line.remedy or "")
