"""What people are told of a copy, and what the evaluator, the sender and the report do not do in one."""

from __future__ import annotations

import io
from collections.abc import Iterator

import psycopg
import pytest
from django.core import mail
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import Client

from lockmon import doctor
from lockmon.alerts import delivery
from lockmon.alerts.evaluate import AlertEvaluator
from lockmon.report.making import make
from lockmon.views.heart import read_heart
from tests.support import people

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "vault"])


@pytest.fixture
def copy(vault_db: str) -> Iterator[str]:
    """A vault that was made for another database, with alerts and a message to send."""
    people.use_app_login()
    with psycopg.connect(vault_db, autocommit=True) as dba:
        dba.execute("UPDATE lock_engine.home SET database_oid = 1")
        dba.execute(
            "INSERT INTO monitoring.alert_message (kind, recipient, dedupe_key, context)"
            " VALUES ('raised', 'dba@example.com', 'k', '{}')"
        )
    yield vault_db


def count(dsn: str, table: str) -> int:
    with psycopg.connect(dsn) as connection:
        row = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
    assert row is not None
    return int(row[0])


def adopt(*arguments: str) -> str:
    out = io.StringIO()
    call_command("lockmon_adopt", *arguments, stdout=out)
    return out.getvalue()


def test_no_alert_is_evaluated_and_no_message_sent_until_the_command_adopts_it(copy: str) -> None:
    evaluator = AlertEvaluator("vault")
    try:
        assert evaluator.run_once() == []
        assert count(copy, "monitoring.alert_state") == 0
        assert not delivery.send_one("vault")
        assert mail.outbox == []
        with pytest.raises(CommandError, match="reason is needed"):
            adopt("--reason", " ")
        assert "This vault acts in" in adopt("--reason", "it replaces the old one")
        assert "already" in adopt("--reason", "again")
        evaluator.run_once()
        assert count(copy, "monitoring.alert_state") > 0
        assert not delivery.send_one("vault"), "what the original had to send is not sent by the copy"
        assert "was disarmed" in adopt("--reason", "a clone", "--disarm")
        stored = count(copy, "lock_engine.home")
    finally:
        evaluator.close()
    assert stored == 3


def test_pages_check_page_and_health_say_so(copy: str) -> None:
    heart = read_heart()
    assert not heart.ok and "This vault is a copy" in heart.sentence and "lockmon_adopt" in heart.sentence
    viewer = people.browser("viewer")
    for page in ("", "monitor/live/", "lockmon/policy/", "lockmon/alert/"):
        assert "This vault is a copy" in viewer.get(f"/admin/{page}").content.decode(), page
    (found,) = doctor.place("vault")
    assert found.state == doctor.FAILURE and "lockmon_adopt" in found.remedy
    assert Client().get("/readyz").json()["disarmed"] == ["vault"]
    adopt("--reason", "it replaces the old one")
    (found,) = doctor.place("vault")
    assert found.state == doctor.OK
    assert "disarmed" not in Client().get("/readyz").json()


def test_a_copy_makes_its_report_and_mails_it_to_nobody(copy: str, settings: object) -> None:
    settings.REPORT_RECIPIENTS = ["dba@example.com"]  # type: ignore[attr-defined]
    assert make("vault", "day").sent_to == ""
    assert mail.outbox == []
    adopt("--reason", "it replaces the old one")
    assert make("vault", "day").sent_to == "dba@example.com"


def test_a_setting_that_nothing_can_use_is_a_line_of_the_check_page(vault_db: str) -> None:
    assert [line.state for line in doctor.values("vault")] == [doctor.OK]
    with psycopg.connect(vault_db, autocommit=True) as dba:
        dba.execute("ALTER TABLE lock_admin.setting DISABLE TRIGGER ALL")
        dba.execute("UPDATE lock_admin.setting SET value = '\"maybe\"' WHERE name = 'door.enabled'")
        dba.execute("ALTER TABLE lock_admin.setting ENABLE TRIGGER ALL")
    (found,) = doctor.values("vault")
    assert (found.state, found.name) == (doctor.FAILURE, "door.enabled")
    assert "true or false" in found.meaning and "maybe" in found.meaning


def test_the_list_of_actions_says_whose_attempts_were_only_counted(vault_db: str) -> None:
    people.use_app_login()
    with psycopg.connect(vault_db, autocommit=True) as dba:
        dba.execute(
            "INSERT INTO lock_admin.denied_count VALUES"
            " (now(), 'onevault_app', 'eve <b>', 3000, 50, now(), now()),"
            " (now(), 'reader', '', 51, 50, now(), now()), (now(), 'spared_role', '', 7, 7, now(), now())"
        )
    said = people.browser("viewer").get("/admin/lockmon/actionlog/").content.decode()
    assert "eve &lt;b&gt;: 2,950 more" in said
    assert "database role reader: 1 more" in said
    assert "spared_role" not in said
