"""Wherever deadlocks are shown stands how many PostgreSQL counted and how many of them were missed."""

from __future__ import annotations

import html
import io
import json
import re

import psycopg
import pytest
from django.core.management import call_command

from lockmon.models.api_token import ApiToken
from tests.support import hostile, scenes
from tests.support.people import browser, person, use_app_login

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "vault"])

SENTENCE = (
    "PostgreSQL has counted 5 deadlocks since 2026-11-02 03:00: 3 captured (2 by sampling, 3 by the log), "
    "2 missed."
)


@pytest.fixture
def ledger(vault_db: str) -> str:
    """A vault whose ledger has five deadlocks, two of them missed; the key of a deadlock in it."""
    keys = hostile.fill(vault_db)
    with psycopg.connect(vault_db, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO lock_engine.deadlock_ledger (database_name, window_start, window_end,"
            " counted, captured, by_sampling, by_log, missed)"
            " VALUES ('one_vault', '2026-11-02 03:00Z', clock_timestamp(), 5, 3, 2, 3, 2)"
        )
    use_app_login()
    return keys["deadlock"]


def said_by(*words: str) -> str:
    """What a command prints."""
    out = io.StringIO()
    call_command(*words, stdout=out)
    return out.getvalue()


def test_on_the_list_and_on_a_deadlock_s_page(ledger: str) -> None:
    client = browser("viewer")
    for path in ("/admin/lockmon/deadlockevent/", f"/admin/monitor/deadlock/{ledger}/"):
        assert SENTENCE in client.get(path).content.decode(), path
    assert "3 of 5 captured" in client.get("/admin/").content.decode()


def test_patterns_over_time(ledger: str, vault_db: str) -> None:
    with psycopg.connect(vault_db, autocommit=True) as connection:
        scenes.watched(connection)
    client = browser("viewer")
    page = client.get(f"/admin/monitor/deadlock/{ledger}/").content.decode()
    assert "1 of this pattern, the first" in page
    assert "1 in the last 7 days, 0 in the 7 days before: <b>new</b>" in page
    insight = client.get("/admin/monitor/insight/").content.decode()
    assert "Deadlock patterns" in insight and "Not compared" not in insight
    assert SENTENCE in insight
    link = re.search(r'href="(/admin/lockmon/deadlockevent/\?when=any&amp;pattern=[^"]+)"', insight)
    assert link is not None
    listed = client.get(html.unescape(link[1])).content.decode()
    assert f"/admin/monitor/deadlock/{ledger}/" in listed


def test_hours_that_an_earlier_release_added_up_are_named(ledger: str, vault_db: str) -> None:
    client = browser("viewer")
    page = "/admin/monitor/insight/?period=week"
    assert "earlier release" not in client.get(page).content.decode()
    with psycopg.connect(vault_db, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO lock_engine.wait_rollup_state (rolled_from, rolled_until, counted_until)"
            " SELECT h - interval '9 days', h, h - interval '1 day'"
            " FROM (SELECT date_trunc('hour', now(), 'UTC') AS h) x"
            " ON CONFLICT (state_id) DO UPDATE SET rolled_from = EXCLUDED.rolled_from,"
            " counted_until = EXCLUDED.counted_until"
        )
    assert "are as an earlier release recorded them" in client.get(page).content.decode()
    assert "earlier release" not in client.get("/admin/monitor/insight/?period=hour").content.decode()


def test_a_week_that_nobody_watched_is_not_compared(ledger: str) -> None:
    client = browser("viewer")
    insight = client.get("/admin/monitor/insight/").content.decode()
    patterns = insight[insight.index("Deadlock patterns") : insight.index("count as one pattern")]
    assert "not watched" in patterns and "not compared" in patterns and "Not compared: nothing of" in patterns
    assert ">new<" not in patterns
    page = client.get(f"/admin/monitor/deadlock/{ledger}/").content.decode()
    assert "<b>new</b>" not in page and "Not compared: nothing of" in page


def test_in_report_command_and_api(ledger: str) -> None:
    assert "| Deadlocks counted by PostgreSQL / captured / missed | 5 / 3 / 2 |" in said_by("lockmon_report")
    assert "5 counted by PostgreSQL, 3 captured (sampling 2, log 3), 2 missed" in said_by("lockmon_deadlocks")
    _, token = ApiToken.make(user=person("viewer"), name="test")
    answer = browser("anonymous").get("/api/deadlocks", headers={"Authorization": f"Bearer {token}"})
    (line,) = json.loads(answer.content)["ledger"]
    assert (line["database"], line["counted"], line["captured"], line["missed"]) == ("one_vault", 5, 3, 2)


def test_a_quiet_server_and_a_ledger_that_cannot_be_read(vault_db: str) -> None:
    use_app_login()
    client = browser("viewer")
    assert "none was missed" in client.get("/admin/lockmon/deadlockevent/").content.decode()
    with psycopg.connect(vault_db, autocommit=True) as connection:
        connection.execute("REVOKE SELECT ON lock_engine.deadlock_ledger FROM lock_monitoring_role")
    page = client.get("/admin/lockmon/deadlockevent/").content.decode()
    assert "How many deadlocks were missed is unknown" in page
