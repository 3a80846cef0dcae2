"""The admin's pages of alerts with a real vault: who may what, versions, trying a query, acting on events."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.contrib.auth.models import Group, User
from django.db import connections
from django.test import Client
from django.urls import reverse

from lockmon.alerts import delivery
from lockmon.alerts.evaluate import AlertEvaluator
from lockmon.calls import alerts as calls
from lockmon.groups import ADMINS, READERS, ensure_groups
from tests.conftest import Connect
from tests.support.alerting import HK, alert

KEY = HK.hex()
pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "vault"])


@pytest.fixture
def admin(vault_db: str, connect: Connect) -> Iterator[psycopg.Connection[Any]]:
    connection = connect(vault_db)
    save(connection, "SELECT 50")
    yield connection
    connections["vault"].close()


def save(connection: psycopg.Connection[Any], query: str, **changes: Any) -> int:
    """Save the test's alert, whose recipient is not for everybody to see."""
    ours: dict[str, Any] = {"alert_name": "Test alert", "notification_recipients": ["hidden@example.org"]}
    return alert(connection, query, **ours | changes)


def person(group: str) -> Client:
    ensure_groups()
    user = User.objects.create_user(f"user of {group}"[:30], is_staff=True)
    user.groups.add(Group.objects.get(name=group))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def dba(admin: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch) -> Client:
    monkeypatch.setattr(delivery, "request_sending", lambda alias, tasks=1: None)
    return person(ADMINS)


@pytest.fixture
def viewer(admin: psycopg.Connection[Any]) -> Client:
    return person(READERS)


def url(name: str, *args: str) -> str:
    return reverse(f"admin:{name}", args=args)


def form(version: int | None, **changes: Any) -> dict[str, Any]:
    return {
        "alert_name": "Test alert",
        "description": "",
        "alert_query": "SELECT 50",
        "warning_threshold": "0",
        "critical_threshold": "10",
        "alert_severity": "HIGH",
        "alert_category": "TEST",
        "is_active": "on",
        "notification_recipients": "hidden@example.org",
        "for_at_least_seconds": "0",
        "clear_after_seconds": "30",
        "repeat_minutes": "60",
        "escalate_minutes": "15",
        "escalation_recipients": "",
        "change_note": "because",
        "version": "" if version is None else str(version),
    } | changes


def version_of(connection: psycopg.Connection[Any]) -> calls.AlertVersion:
    found = calls.alert_version(connection.cursor(), HK)
    assert found is not None
    return found


def raise_event(connection: psycopg.Connection[Any]) -> str:
    evaluator = AlertEvaluator("vault")
    try:
        evaluator.run_once()
    finally:
        evaluator.close()
    row = connection.execute(
        "SELECT event_key FROM monitoring.alert_event_list WHERE alert_name = 'Test alert'"
    ).fetchone()
    assert row is not None
    return str(row[0])


def test_the_list_shows_every_alert_with_its_state(viewer: Client, admin: psycopg.Connection[Any]) -> None:
    page = viewer.get(url("lockmon_alert_changelist")).content.decode()
    assert "Critical blocking sessions" in page and "Test alert" in page
    assert "hidden@example.org" not in page
    assert url("lockmon_alert_add") not in page


def test_a_viewer_reads_everything_but_recipients_and_changes_nothing(
    viewer: Client, dba: Client, admin: psycopg.Connection[Any]
) -> None:
    event = raise_event(admin)
    for name, args in (
        ("lockmon_alert_change", (KEY,)),
        ("lockmon_alert_history", (KEY,)),
        ("lockmon_alert_event", (event,)),
        ("lockmon_alertevent_changelist", ()),
        ("lockmon_alertmessage_changelist", ()),
    ):
        response = viewer.get(url(name, *args))
        assert response.status_code == 200, name
        assert b"hidden@example.org" not in response.content, name
    before = version_of(admin)
    for name, args, data in (
        ("lockmon_alert_change", (KEY,), form(before.satellite_id, alert_severity="LOW")),
        ("lockmon_alert_add", (), form(None, alert_name="mine")),
        ("lockmon_alert_copy", (KEY,), form(None, alert_name="mine")),
        ("lockmon_alert_switch", (KEY,), {"to": "off", "version": before.satellite_id}),
        ("lockmon_alert_snooze", (KEY,), {"minutes": "60", "version": before.satellite_id}),
        ("lockmon_alert_test", (KEY,), {}),
        ("lockmon_alert_event", (event,), {"action": "resolve"}),
        ("lockmon_alertevent_act", ("resolve",), {"keys": event}),
    ):
        assert viewer.post(url(name, *args), data).status_code == 403, name
    assert version_of(admin) == before


def test_saving_runs_the_query_and_writes_a_new_version(dba: Client, admin: psycopg.Connection[Any]) -> None:
    before = version_of(admin)
    assert "hidden@example.org" in dba.get(url("lockmon_alert_change", KEY)).content.decode()
    data = form(before.satellite_id, alert_query="SELECT 5", critical_threshold="7", change_note="less noise")
    page = dba.post(url("lockmon_alert_change", KEY), data, follow=True).content.decode()
    assert "The query returns 5 now. That means warning (warning above 0, critical from 7 up)." in page
    after = version_of(admin)
    assert (after.alert_query, after.changed_by, after.change_note) == (
        "SELECT 5",
        f"user of {ADMINS}"[:30],
        "less noise",
    )
    history = dba.get(url("lockmon_alert_history", KEY)).content.decode()
    assert "less noise" in history and "SELECT 50" in history


def test_trying_shows_the_value_and_saves_nothing(dba: Client, admin: psycopg.Connection[Any]) -> None:
    before = version_of(admin)
    data = form(before.satellite_id, alert_query="SELECT 3", **{"try": "1"})
    page = dba.post(url("lockmon_alert_change", KEY), data).content.decode()
    assert "The query returns 3 now. That means warning" in page
    assert version_of(admin) == before


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"alert_query": "SELECT 1; DROP TABLE x"}, "cannot open multi-query plan"),
        ({"alert_query": "SELECT pg_sleep(9)"}, "may not call"),
        ({"alert_query": "SELECT 1, 2"}, "2 columns"),
        ({"alert_query": "SELECT nonsense"}, "does not exist"),
        ({"warning_threshold": "", "critical_threshold": ""}, "without one it would never speak"),
        ({"notification_recipients": "https://hooks.example.org/SECRET"}, "does not belong here"),
        ({"notification_recipients": "channel:nobody"}, "is not configured"),
        ({"repeat_minutes": "-1"}, "greater than or equal to 0"),
    ],
)
def test_what_cannot_work_is_refused_with_a_sentence(
    dba: Client, admin: psycopg.Connection[Any], changes: dict[str, str], sentence: str
) -> None:
    before = version_of(admin)
    response = dba.post(url("lockmon_alert_change", KEY), form(before.satellite_id, **changes))
    assert response.status_code == 200
    assert sentence in response.content.decode()
    assert version_of(admin) == before


def test_an_edit_meanwhile_is_noticed(dba: Client, admin: psycopg.Connection[Any]) -> None:
    shown = version_of(admin).satellite_id
    save(admin, "SELECT 7")
    page = dba.post(url("lockmon_alert_change", KEY), form(shown, alert_query="SELECT 8")).content.decode()
    assert "Not saved: test changed this alert at" in page
    assert version_of(admin).alert_query == "SELECT 7"


def test_add_copy_switch_and_snooze(dba: Client, admin: psycopg.Connection[Any]) -> None:
    page = dba.post(
        url("lockmon_alert_add"), form(None, alert_name="Brand new"), follow=True
    ).content.decode()
    assert "Saved." in page
    again = dba.post(url("lockmon_alert_add"), form(None, alert_name="Brand new")).content.decode()
    assert "There is already an alert with this name" in again
    assert "Test alert (copy)" in dba.get(url("lockmon_alert_copy", KEY)).content.decode()

    dba.post(url("lockmon_alert_switch", KEY), {"to": "off", "version": version_of(admin).satellite_id})
    assert version_of(admin).is_active is False
    page = dba.post(
        url("lockmon_alert_switch", KEY), {"to": "on", "version": "1"}, follow=True
    ).content.decode()
    assert "Not saved" in page and version_of(admin).is_active is False
    dba.post(url("lockmon_alert_snooze", KEY), {"minutes": "60", "version": version_of(admin).satellite_id})
    assert version_of(admin).snoozed_until is not None
    dba.post(
        url("lockmon_alert_snooze", KEY),
        {"wake": "1", "minutes": "60", "version": version_of(admin).satellite_id},
    )
    assert version_of(admin).snoozed_until is None


def test_a_test_message_is_put_into_the_outbox(dba: Client, admin: psycopg.Connection[Any]) -> None:
    page = dba.post(url("lockmon_alert_test", KEY), follow=True).content.decode()
    assert "on its way" in page
    rows = admin.execute("SELECT kind, recipient FROM monitoring.alert_message").fetchall()
    assert rows == [("test", "hidden@example.org")]


def test_an_event_is_acknowledged_on_its_page_and_resolved_from_the_list(
    dba: Client, admin: psycopg.Connection[Any]
) -> None:
    event = raise_event(admin)
    page = dba.post(url("lockmon_alert_event", event), {"action": "acknowledge", "note": "mine"}, follow=True)
    assert f"Acknowledged by user of {ADMINS}"[:40] in page.content.decode()
    chosen = {"action": "resolve", "_selected_action": [event]}
    confirmation = dba.post(url("lockmon_alertevent_changelist"), chosen, follow=True).content.decode()
    assert "Resolve 1 alert event?" in confirmation
    dba.post(url("lockmon_alertevent_act", "resolve"), {"keys": event, "note": "done"})
    row = admin.execute(
        "SELECT event_state, note FROM monitoring.alert_event_list WHERE event_key = %s", [event]
    ).fetchone()
    assert row == ("resolved", "done")


@pytest.mark.parametrize("key", ["zz", "00", "ab" * 32])
def test_a_key_of_nothing_is_not_found(dba: Client, key: str) -> None:
    for name in ("lockmon_alert_change", "lockmon_alert_history", "lockmon_alert_event"):
        assert dba.get(url(name, key)).status_code == 404


def test_hostile_names_are_escaped(dba: Client, admin: psycopg.Connection[Any]) -> None:
    save(admin, "SELECT 50", alert_name="<script>alert(1)</script>", description="<b>x</b>")
    for address in (
        url("lockmon_alert_changelist"),
        url("lockmon_alert_change", KEY),
        url("lockmon_alert_history", KEY),
    ):
        assert "<script>alert(1)" not in dba.get(address).content.decode()
