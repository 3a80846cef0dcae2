"""The evaluator against a real vault: events, what people do with them, and messages."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import psycopg
import pytest
from django.db import connections

from lockmon import vault
from lockmon.alerts.evaluate import AlertEvaluator
from lockmon.calls import alerts as calls
from tests.conftest import OpenSession
from tests.support.alerting import HK, alert, outbox, say, states

QUERY = "SELECT count(*) FROM lock_monitoring.lock_activity_h WHERE lock_activity_bk LIKE 'bad%'"
pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "vault"])


def test_an_event_from_its_beginning_to_its_end(
    admin: psycopg.Connection[Any], evaluator: AlertEvaluator, requests: list[int]
) -> None:
    alert(admin)
    assert evaluator.run_once() == []
    say(admin, 5)
    assert [(one.kind, one.state, one.messages) for one in evaluator.run_once()] == [("raised", "warning", 1)]
    assert requests == [1]
    say(admin, 50)
    assert [(one.kind, one.state) for one in evaluator.run_once()] == [("worse", "critical")]
    assert evaluator.run_once() == []
    say(admin, 0)
    assert [(one.kind, one.state) for one in evaluator.run_once()] == [("resolved", "resolved")]
    assert states(admin) == ["warning", "critical", "resolved"]
    assert outbox(admin) == [(kind, "dba@example.org") for kind in ("raised", "worse", "resolved")]
    open_rows = admin.execute(
        "SELECT count(*) FROM monitoring.alert_event_s WHERE load_end_date IS NULL"
    ).fetchone()
    assert open_rows == (1,)
    overlaps = admin.execute(
        "SELECT count(*) FROM monitoring.alert_event_s a JOIN monitoring.alert_event_s b USING"
        " (alert_event_hk)"
        " WHERE b.load_date > a.load_date AND (a.load_end_date IS NULL OR b.load_date < a.load_end_date)"
    ).fetchone()
    assert overlaps == (0,)


def test_an_event_follows_its_worst_value_to_the_end(
    admin: psycopg.Connection[Any], evaluator: AlertEvaluator
) -> None:
    """It stayed at what it was when its level was reached: 6 of 300."""
    alert(admin)
    worst = (
        "SELECT worst_level, worst_value::int, count(*) OVER ()::int FROM monitoring.alert_event_s"
        " ORDER BY load_date DESC LIMIT 1"
    )
    seen = []
    for number in (11, 12, 30, 300, 301, 20, 0):
        say(admin, number)
        evaluator.run_once()
        seen.append(admin.execute(worst).fetchone())
    assert seen == [
        ("critical", 11, 1),
        ("critical", 11, 1),  # less than a tenth more
        ("critical", 30, 2),
        ("critical", 300, 3),
        ("critical", 300, 3),
        ("critical", 300, 3),
        ("critical", 301, 4),
    ]


def test_the_worst_value_is_no_other_events(
    admin: psycopg.Connection[Any], evaluator: AlertEvaluator
) -> None:
    alert(admin)
    for number in (300, 0, 5):
        say(admin, number)
        evaluator.run_once()
    rows = admin.execute(
        "SELECT worst_value::int FROM monitoring.alert_event_s WHERE load_end_date IS NULL ORDER BY raised_at"
    ).fetchall()
    assert rows == [(300,), (5,)]


def test_a_real_block_is_told_with_root_victims_and_hidden_literals(
    vault_db: str, admin: psycopg.Connection[Any], evaluator: AlertEvaluator, session: OpenSession
) -> None:
    admin.execute("CREATE TABLE public.accounts (id int PRIMARY KEY, owner text)")
    admin.execute("INSERT INTO public.accounts VALUES (1, 'x')")
    alert(admin, "SELECT count(*) FROM lock_catalog.sessions WHERE wait_event_type = 'Lock'")
    admin.execute(
        "UPDATE lock_admin.setting SET value = '[\"dba@example.org\"]' WHERE name = 'alerts.literals_to'"
    )
    alert(
        admin,
        "SELECT count(*) FROM lock_catalog.sessions WHERE wait_event_type = 'Lock'",
        notification_recipients=["dba@example.org", "channel:team"],
    )
    root = session(vault_db, application_name="billing-worker")
    root.run("UPDATE public.accounts SET owner = 'S3CRET-root' WHERE id = 1")
    victim = session(vault_db, application_name="api")
    victim.start("UPDATE public.accounts SET owner = 'S3CRET-victim' WHERE id = 1")
    victim.wait_blocked()
    (change,) = evaluator.run_once()
    assert change.messages == 2
    told = dict(admin.execute("SELECT recipient, context::text FROM monitoring.alert_message").fetchall())
    for text in told.values():
        assert "billing-worker" in text and str(root.pid) in text and str(victim.pid) in text
    assert "S3CRET" in told["dba@example.org"]
    assert "S3CRET" not in told["channel:team"]
    assert "UPDATE public.accounts SET owner = ?" in told["channel:team"]


def test_a_broken_query_is_an_alert_with_postgresqls_sentence(
    admin: psycopg.Connection[Any], evaluator: AlertEvaluator
) -> None:
    alert(admin, "SELECT count(*) FROM nowhere.nothing")
    (now,) = admin.execute("SELECT clock_timestamp()").fetchone() or (None,)
    assert isinstance(now, datetime)
    assert evaluator.run_once(now) == []
    assert evaluator.run_once(now + timedelta(seconds=29)) == []
    (change,) = evaluator.run_once(now + timedelta(seconds=30))
    assert change.state == "error"
    row = admin.execute("SELECT sentence FROM monitoring.alert_event_list").fetchone()
    assert row == ('relation "nowhere.nothing" does not exist',)


def test_a_storm_of_five_hundred_changes_yields_what_the_rules_allow(
    admin: psycopg.Connection[Any], evaluator: AlertEvaluator
) -> None:
    alert(admin, clear_after_seconds=30)
    (begun,) = admin.execute("SELECT clock_timestamp()").fetchone() or (None,)
    assert isinstance(begun, datetime)
    for index in range(60):
        admin.execute(
            "UPDATE monitoring.alert_configuration_s SET alert_query = %s WHERE alert_config_hk = %s"
            " AND load_end_date IS NULL",
            [f"SELECT {50 if index % 2 == 0 else 0}", HK],
        )
        evaluator.run_once(begun + timedelta(seconds=index))
    assert outbox(admin) == [("raised", "dba@example.org")]


def test_two_hundred_alerts_at_once_are_ten_messages_and_one_summary(
    admin: psycopg.Connection[Any], evaluator: AlertEvaluator
) -> None:
    for index in range(200):
        alert(admin, "SELECT 50", hk=f"alert {index:03}".encode())
    changes = evaluator.run_once()
    assert len(changes) == 200
    by_state = dict(
        admin.execute("SELECT state, count(*) FROM monitoring.alert_message GROUP BY 1").fetchall()
    )
    assert by_state == {"waiting": 10, "held": 190}
    admin.execute("UPDATE monitoring.alert_message SET created_at = created_at - interval '61 s'")
    evaluator.run_once()
    by_kind = dict(
        admin.execute(
            "SELECT kind, count(*) FROM monitoring.alert_message WHERE state <> 'merged' GROUP BY 1"
        ).fetchall()
    )
    assert by_kind == {"raised": 10, "digest": 1}
    held = admin.execute(
        "SELECT context -> 'held' FROM monitoring.alert_message WHERE kind = 'digest'"
    ).fetchone()
    assert held == (190,)


def test_people_acknowledge_snooze_and_resolve(
    admin: psycopg.Connection[Any], evaluator: AlertEvaluator
) -> None:
    alert(admin, "SELECT 50", escalate_minutes=15, repeat_minutes=60)
    evaluator.run_once()
    (key,) = admin.execute("SELECT alert_event_hk FROM monitoring.alert_event_h").fetchone() or (b"",)
    (now,) = admin.execute("SELECT clock_timestamp()").fetchone() or (None,)
    assert isinstance(now, datetime)
    with vault.admin_transaction("vault") as cursor:
        outcome = calls.act_on_alert_event(cursor, key, "acknowledge", "anna", "I am looking")
    assert (outcome.done, outcome.sentence) == (True, "Acknowledged by anna.")
    assert evaluator.run_once(now + timedelta(hours=3)) == [], "neither escalated nor reminded"
    with vault.admin_transaction("vault") as cursor:
        assert calls.act_on_alert_event(cursor, key, "snooze", "anna", None, now + timedelta(hours=1)).done
    with vault.admin_transaction("vault") as cursor:
        assert calls.act_on_alert_event(cursor, key, "resolve", "ben", "done").sentence == "Resolved by ben."
    with vault.admin_transaction("vault") as cursor:
        again = calls.act_on_alert_event(cursor, key, "resolve", "anna")
    assert not again.done and "already resolved" in again.sentence and "by ben" in again.sentence
    assert evaluator.run_once() == [], "still true, but quiet after a person resolved it"
    assert states(admin) == ["critical", "acknowledged", "snoozed", "resolved"]
    people = admin.execute(
        "SELECT changed_by, note FROM monitoring.alert_event_history ORDER BY satellite_id"
    ).fetchall()
    assert people == [
        ("evaluator", None),
        ("anna", "I am looking"),
        ("anna", "I am looking"),
        ("ben", "done"),
    ]
    connections["vault"].close()


def test_an_unacknowledged_event_escalates_to_more_people(
    admin: psycopg.Connection[Any], evaluator: AlertEvaluator
) -> None:
    alert(admin, "SELECT 50", escalate_minutes=15, escalation_recipients=["boss@example.org"])
    evaluator.run_once()
    (now,) = admin.execute("SELECT clock_timestamp()").fetchone() or (None,)
    assert isinstance(now, datetime)
    (change,) = evaluator.run_once(now + timedelta(minutes=16))
    assert change.state == "escalated"
    assert outbox(admin)[1:] == [("escalated", "dba@example.org"), ("escalated", "boss@example.org")]


def test_an_alert_that_is_switched_off_ends_its_event(
    admin: psycopg.Connection[Any], evaluator: AlertEvaluator
) -> None:
    alert(admin, "SELECT 50")
    evaluator.run_once()
    alert(admin, "SELECT 50", is_active=False)
    assert [one.kind for one in evaluator.run_once()] == ["resolved"]
    assert evaluator.run_once() == []


def test_a_quiet_round_writes_nothing(admin: psycopg.Connection[Any], evaluator: AlertEvaluator) -> None:
    alert(admin, "SELECT 5 + random()", warning_threshold=100, critical_threshold=None)
    (now,) = admin.execute("SELECT clock_timestamp()").fetchone() or (None,)
    assert isinstance(now, datetime)
    written = []
    for second in (0, 3, 6, 12, 15, 18):
        evaluator.run_once(now + timedelta(seconds=second))
        written.append(admin.execute("SELECT xmin::text FROM monitoring.alert_state").fetchall())
    assert [one == two for one, two in pairwise(written)] == [True, True, True, False, True]


def test_a_convoy_is_told_with_the_ddl_to_cancel(
    vault_db: str, admin: psycopg.Connection[Any], evaluator: AlertEvaluator, session: OpenSession
) -> None:
    admin.execute("CREATE TABLE public.accounts (id int)")
    alert(
        admin, "SELECT coalesce(max(blocked_total), 0) FROM monitoring.convoy_forecast", critical_threshold=2
    )
    reader = session(vault_db, application_name="report")
    reader.run("SELECT * FROM public.accounts")
    ddl = session(vault_db, application_name="migrate")
    ddl.start("ALTER TABLE public.accounts ADD COLUMN x int")
    ddl.wait_blocked()
    for _ in range(2):
        one = session(vault_db, application_name="api")
        one.start("SELECT * FROM public.accounts")
        one.wait_blocked()
    (change,) = evaluator.run_once()
    assert change.state == "critical"
    (extra,) = admin.execute("SELECT context ->> 'extra' FROM monitoring.alert_message").fetchone() or ("",)
    assert f"2 sessions queue behind the DDL of migrate (pid {ddl.pid})" in extra
    assert "no connection is left in" in extra and "Cancel the DDL" in extra


def test_nobody_is_told_where_nobody_is_named(
    admin: psycopg.Connection[Any], evaluator: AlertEvaluator
) -> None:
    alert(admin, "SELECT 50", notification_recipients=[])
    (change,) = evaluator.run_once()
    assert change.messages == 0
    assert evaluator.run_once() == []
    told = admin.execute("SELECT notification_count FROM monitoring.alert_event_list").fetchone()
    assert told == (0,)
