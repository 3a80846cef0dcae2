"""The periodic report: its figures, its three forms, its recommendations, its schedule and mail."""

from __future__ import annotations

import io
import json
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core import mail
from django.core.management import call_command
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from lockmon import tasks
from lockmon.calls.report import Pattern, Share, Totals, Watched
from lockmon.models import PastReport
from lockmon.report import figures, render
from tests.conftest import OpenSession
from tests.support import scenes
from tests.support.loops import rows
from tests.support.watching import watched_since

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "vault"])

QUIET = Watched(cycles=10, skipped=0, failed=0, missing=0.0, unsampled=None)


@pytest.fixture
def history(vault_db: str, session: OpenSession) -> str:
    """A vault that has seen one wait of an application called <b>api</b>, made to have lasted ten minutes."""
    watched_since(vault_db, timedelta(days=21))
    holder = session(vault_db, application_name="billing")
    waiter = session(vault_db, application_name="<b>api</b>|x")
    holder.run("SELECT pg_advisory_xact_lock(71, 1)")
    waiter.start("SELECT pg_advisory_xact_lock(71, 1)")
    waiter.wait_blocked()
    rows(vault_db, "SELECT * FROM lock_monitoring.run_lock_monitoring()")
    with psycopg.connect(vault_db, autocommit=True) as connection:
        scenes.watched(connection)
        connection.execute("SET session_replication_role = replica")
        connection.execute(
            "UPDATE lock_monitoring.lock_activity_s SET wait_start = wait_start - interval '10 minutes'"
            " WHERE NOT lock_granted"
        )
    return vault_db


def text(*arguments: str) -> str:
    out = io.StringIO()
    call_command("lockmon_report", *arguments, stdout=out)
    return out.getvalue()


def test_an_empty_vault_has_a_report(vault_db: str) -> None:
    watched_since(vault_db, timedelta(days=21))
    said = text()
    assert "Nobody waited for a lock." in said
    assert "1. Nothing needs doing" in said


def test_it_says_what_blocked_how_long_and_who_suffered(history: str) -> None:
    said = text("--period", "day")
    assert "1 wait for locks took 10 min" in said
    assert "| billing | 1 | 10 min" in said
    assert r"\<b>api\</b>\|x | 1 | 10 min" in said
    assert "Shorten the transactions of billing" in said
    assert "Set a lock_timeout" in said


def test_json_holds_the_same_figures(history: str) -> None:
    found: dict[str, Any] = json.loads(text("--format", "json"))
    assert found["totals"]["waits"] == 1
    assert found["totals"]["waited"] == pytest.approx(600, abs=60)
    assert found["before"]["waits"] == 0
    assert len(found["recommendations"]) <= 3


def test_html_needs_nothing_else_and_escapes_what_applications_call_themselves(
    history: str, tmp_path: Path
) -> None:
    file = tmp_path / "report.html"
    assert text("--format", "html", "--output", str(file)) == f"Written to {file}.\n"
    page = file.read_text(encoding="utf-8")
    HTMLParser().feed(page)
    assert "<b>api" not in page
    assert "&lt;b&gt;api" in page
    assert "<svg" in page
    assert "http://" not in page
    assert "src=" not in page


def test_recommendations_follow_from_the_figures() -> None:
    calm = Totals(waits=3, waited=10.0, longest=5.0, cancelled=0)
    assert figures.recommend(calm, (), (), (), QUIET, 1.0) == ("Nothing needs doing: little was waited for.",)
    bad = Totals(waits=300, waited=9000.0, longest=800.0, cancelled=9)
    share = (Share("billing", 200, 8000.0),)
    pattern = Pattern("a, b", "batch should update a first", 7, timezone.now())
    gap = Watched(cycles=1, skipped=0, failed=0, missing=900.0, unsampled=None)
    found = figures.recommend(bad, share, share, (pattern,), gap, 900.0)
    assert len(found) == 3
    assert found[0].startswith("Run a second loop: 15 min 00 s")
    assert found[1] == "7 deadlocks of one pattern: batch should update a first"


def test_the_task_stores_it_for_the_admin_and_mails_it(
    vault_db: str, settings: Settings, admin_client: Client
) -> None:
    settings.REPORT_RECIPIENTS = ["dba@example.com"]
    watched_since(vault_db, timedelta(days=21))
    assert "Nobody waited" in tasks.report("vault")
    (stored,) = PastReport.objects.all()
    assert stored.sent_to == "dba@example.com"
    (message,) = mail.outbox
    assert message.subject == stored.title
    assert "## Recommendations" in message.body
    page = admin_client.get(f"/admin/lockmon/pastreport/{stored.pk}/change/")
    assert page.status_code == 200
    assert "sandbox" in page.content.decode()
    assert admin_client.get("/admin/lockmon/pastreport/").status_code == 200
    assert admin_client.get("/admin/lockmon/monitorstate/").status_code == 200


def test_without_recipients_nothing_is_mailed(vault_db: str) -> None:
    tasks.report("vault", "month")
    assert mail.outbox == []
    assert PastReport.objects.get().period == "month"


def test_every_form_is_made(vault_db: str) -> None:
    report = figures.gather("vault", "week")
    assert all(form(report) for form in render.FORMATS.values())
