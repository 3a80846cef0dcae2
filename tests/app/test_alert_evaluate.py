"""The evaluator against a real vault: events, messages, killed connections, the site's own tables."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import psycopg
import pytest
from django.db import connections

from lockmon import vault
from lockmon.alerts import delivery
from lockmon.alerts.evaluate import AlertEvaluator
from lockmon.alerts.sandbox import Sandbox
from lockmon.calls import alerts as calls
from lockmon.install import install
from tests.conftest import Connect, OpenSession
from tests.support.poll import poll

HK = b"test alert"
QUERY = "SELECT count(*) FROM lock_monitoring.lock_activity_h WHERE lock_activity_bk LIKE 'bad%'"
pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "vault"])


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Catch the requests to send: these tests look at the outbox. Sending has a file of its own."""
    asked: list[int] = []
    monkeypatch.setattr(delivery, "request_sending", lambda alias, tasks=1: asked.append(tasks))
    return asked


@pytest.fixture
def admin(vault_db: str, connect: Connect) -> psycopg.Connection[Any]:
    """A superuser's connection to a vault in which no alert but the test's own is on."""
    connection = connect(vault_db)
    connection.execute("UPDATE monitoring.alert_configuration_s SET is_active = false")
    return connection


@pytest.fixture
def evaluator(admin: psycopg.Connection[Any], requests: list[int]) -> Iterator[AlertEvaluator]:
    one = AlertEvaluator("vault")
    yield one
    one.close()


def alert(
    connection: psycopg.Connection[Any], query: str = "SELECT 0", hk: bytes = HK, **changes: Any
) -> int:
    """Save the test's alert, or its next version."""
    present = calls.alert_version(connection.cursor(), hk)
    values = {
        "alert_name": f"Test {hk.decode()}",
        "alert_category": "TEST",
        "alert_query": query,
        "warning_threshold": 0,
        "critical_threshold": 10,
        "alert_severity": "HIGH",
        "is_active": True,
        "clear_after_seconds": 0,
        "notification_recipients": ["dba@example.org"],
    }
    return calls.save_alert_configuration(
        connection.cursor(), hk, present.satellite_id if present else None, values | changes, "test", None
    )


def say(connection: psycopg.Connection[Any], value: object) -> None:
    """Let the alert's query give this value."""
    alert(connection, f"SELECT {value}")


def outbox(connection: psycopg.Connection[Any]) -> list[tuple[str, str]]:
    return connection.execute(
        "SELECT kind, recipient FROM monitoring.alert_message ORDER BY message_id"
    ).fetchall()


def states(connection: psycopg.Connection[Any]) -> list[str]:
    rows = connection.execute(
        "SELECT event_state FROM monitoring.alert_event_history ORDER BY satellite_id"
    ).fetchall()
    return [row[0] for row in rows]


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


def test_slow_queries_do_not_delay_the_others(
    admin: psycopg.Connection[Any], evaluator: AlertEvaluator
) -> None:
    admin.execute("UPDATE lock_admin.setting SET value = '1' WHERE name = 'alerts.query_timeout_seconds'")
    slow = "SELECT count(*) FROM generate_series(1, 1000000000)"
    for index in range(3):
        alert(admin, slow, hk=f"slow {index}".encode())
    alert(admin, "SELECT 0")
    evaluator.run_once()
    alert(admin, "SELECT 50")
    when_slow = (
        "SELECT evaluated_at FROM monitoring.alert_overview WHERE alert_name LIKE 'Test slow%' ORDER BY 1"
    )
    before = admin.execute(when_slow).fetchall()
    assert [one.alert_name for one in evaluator.run_once()] == ["Test test alert"]
    assert admin.execute(when_slow).fetchall() == before, "what timed out waits for its turn"
    row = admin.execute(
        "SELECT sentence FROM monitoring.alert_overview WHERE alert_name = 'Test slow 0'"
    ).fetchone()
    assert row == ("The query took longer than 1 s and was cancelled.",)


def test_only_one_evaluator_works(
    admin: psycopg.Connection[Any], evaluator: AlertEvaluator, requests: list[int]
) -> None:
    alert(admin, "SELECT 50")
    second = AlertEvaluator("vault")
    try:
        assert len(evaluator.run_once()) == 1
        assert second.run_once() == []
        alert(admin, "SELECT 0")
        evaluator.close()
        assert len(poll(second.run_once, what="the second one takes over")) == 1
    finally:
        second.close()


def test_it_goes_on_after_its_connections_were_killed(
    admin: psycopg.Connection[Any], evaluator: AlertEvaluator
) -> None:
    alert(admin, "SELECT 0")
    stop = threading.Event()
    thread = threading.Thread(target=evaluator.run_forever, args=(stop,))
    thread.start()
    names = "('one_vault_lockmon:admin', 'one_vault_lockmon:alert-sandbox')"
    pids = f"SELECT pid FROM pg_stat_activity WHERE application_name IN {names}"
    try:
        poll(lambda: len(admin.execute(pids).fetchall()) == 2, what="both connections")
        admin.execute(f"SELECT pg_terminate_backend(pid) FROM ({pids}) AS p")
        say(admin, 50)
        poll(lambda: states(admin) == ["critical"], 20, "the event after the reconnect")
    finally:
        stop.set()
        thread.join(10)
    assert not thread.is_alive()


def test_a_server_that_does_not_answer_is_left_at_the_deadline(admin: psycopg.Connection[Any]) -> None:
    sandbox = Sandbox("vault", "frozen")
    assert sandbox.evaluate("SELECT 1", 1).value == 1
    (pid,) = admin.execute(
        "SELECT pid FROM pg_stat_activity WHERE application_name = 'one_vault_lockmon:frozen'"
    ).fetchone() or (0,)
    os.kill(pid, signal.SIGSTOP)
    try:
        evaluated = sandbox.evaluate("SELECT 1", 0.5)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert evaluated.sentence == "PostgreSQL did not answer in time; the connection was ended."
    assert sandbox.evaluate("SELECT 2", 1).value == 2, "with a new connection"
    sandbox.close()


def test_a_query_keeps_no_session_lock_and_no_setting(admin: psycopg.Connection[Any]) -> None:
    sandbox = Sandbox("vault", "leftovers")
    # Written so that the name is not in the text: the wall behind the first refusal.
    hidden = "SELECT count(set_config('application_name', 'x', false)) FROM lock_catalog.sessions"
    assert sandbox.evaluate(hidden, 1).sentence is None
    rows = admin.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'one_vault_lockmon:leftovers'"
    ).fetchone()
    assert rows == (1,), "the setting was rolled back"
    locks = admin.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'").fetchone()
    assert locks == (0,)
    sandbox.close()


def test_a_quiet_round_writes_nothing(admin: psycopg.Connection[Any], evaluator: AlertEvaluator) -> None:
    alert(admin, "SELECT 5 + random()", warning_threshold=100, critical_threshold=None)
    (now,) = admin.execute("SELECT clock_timestamp()").fetchone() or (None,)
    assert isinstance(now, datetime)
    written = []
    for second in (0, 3, 6, 12, 15, 18):
        evaluator.run_once(now + timedelta(seconds=second))
        written.append(admin.execute("SELECT xmin::text FROM monitoring.alert_state").fetchall())
    assert [one == two for one, two in pairwise(written)] == [True, True, True, False, True]


PHASE_2 = """
CREATE TABLE monitoring.alert_definition_h (alert_definition_hk bytea PRIMARY KEY, alert_definition_bk
varchar(255) NOT NULL UNIQUE,
    tenant_hk bytea, load_date timestamptz DEFAULT util.current_load_date(), record_source varchar(100) NOT
    NULL DEFAULT 'ALERTING_SYSTEM');
CREATE TABLE monitoring.alert_definition_s (alert_definition_hk bytea NOT NULL REFERENCES
monitoring.alert_definition_h,
    load_date timestamptz DEFAULT util.current_load_date(), load_end_date timestamptz, hash_diff bytea NOT
    NULL,
    alert_name varchar(200) NOT NULL, alert_description text, alert_category varchar(50) NOT NULL,
    alert_severity varchar(20) NOT NULL,
    metric_source varchar(100), condition_logic text NOT NULL, threshold_value numeric(15,4),
    threshold_operator varchar(10),
    evaluation_frequency_minutes int DEFAULT 5, is_enabled boolean DEFAULT true, auto_resolve boolean
    DEFAULT false,
    escalation_enabled boolean DEFAULT false, escalation_delay_minutes int DEFAULT 30,
    suppression_window_minutes int DEFAULT 60,
    notification_channels text[], created_by varchar(100) DEFAULT SESSION_USER, last_modified_by
    varchar(100) DEFAULT SESSION_USER,
    record_source varchar(100) NOT NULL DEFAULT 'ALERTING_SYSTEM', PRIMARY KEY (alert_definition_hk,
    load_date));
CREATE TABLE monitoring.alert_instance_h (alert_instance_hk bytea PRIMARY KEY, alert_instance_bk
varchar(255) NOT NULL UNIQUE,
    alert_definition_hk bytea NOT NULL REFERENCES monitoring.alert_definition_h, tenant_hk bytea,
    load_date timestamptz DEFAULT util.current_load_date(), record_source varchar(100) NOT NULL DEFAULT
    'ALERT_ENGINE');
CREATE TABLE monitoring.alert_instance_s (alert_instance_hk bytea NOT NULL REFERENCES
monitoring.alert_instance_h,
    load_date timestamptz DEFAULT util.current_load_date(), load_end_date timestamptz, hash_diff bytea NOT
    NULL,
    alert_status varchar(20) NOT NULL, triggered_timestamp timestamptz NOT NULL, acknowledged_timestamp
    timestamptz,
    resolved_timestamp timestamptz, trigger_value numeric(15,4), trigger_details jsonb, impact_assessment
    text,
    urgency_level varchar(20), affected_systems text[], estimated_affected_users int,
    business_impact_description text,
    acknowledged_by varchar(100), resolved_by varchar(100), resolution_notes text, false_positive boolean
    DEFAULT false,
    suppression_reason text, escalation_level int DEFAULT 0, last_notification_sent timestamptz,
    notification_count int DEFAULT 0,
    record_source varchar(100) NOT NULL DEFAULT 'ALERT_ENGINE', PRIMARY KEY (alert_instance_hk, load_date));
"""


def test_events_are_copied_to_the_alert_tables_of_phase_2(
    vault_db: str, admin: psycopg.Connection[Any], evaluator: AlertEvaluator
) -> None:
    admin.execute(PHASE_2)
    install(vault_db, again=True)
    alert(admin, "SELECT 50")
    evaluator.run_once()
    (key,) = admin.execute("SELECT alert_event_hk FROM monitoring.alert_event_h").fetchone() or (b"",)
    with vault.admin_transaction("vault") as cursor:
        calls.act_on_alert_event(cursor, key, "acknowledge", "anna")
        calls.mirror_alert_events(cursor)
    alert(admin, "SELECT 0", alert_severity="LOW")
    evaluator.run_once()
    seen_there = admin.execute(
        "SELECT alert_status, load_end_date IS NULL, acknowledged_by, trigger_value FROM"
        " monitoring.alert_instance_s ORDER BY load_date"
    ).fetchall()
    assert [row[:3] for row in seen_there] == [
        ("OPEN", False, None),
        ("ACKNOWLEDGED", False, "anna"),
        ("RESOLVED", True, "anna"),
    ]
    definitions = admin.execute(
        "SELECT alert_severity, load_end_date IS NULL FROM monitoring.alert_definition_s ORDER BY load_date"
    ).fetchall()
    assert definitions == [("HIGH", False), ("LOW", True)]
    joined = admin.execute(
        "SELECT count(*) FROM monitoring.alert_instance_h JOIN monitoring.alert_definition_h USING"
        " (alert_definition_hk)"
    ).fetchone()
    assert joined == (1,)
    connections["vault"].close()


def test_a_sites_broken_alert_tables_do_not_stop_alerts(
    vault_db: str,
    admin: psycopg.Connection[Any],
    evaluator: AlertEvaluator,
    caplog: pytest.LogCaptureFixture,
) -> None:
    admin.execute(PHASE_2)
    install(vault_db, again=True)
    admin.execute("ALTER TABLE monitoring.alert_instance_s ADD COLUMN surprise int NOT NULL")
    alert(admin, "SELECT 50")
    assert len(evaluator.run_once()) == 1
    assert "could not be copied" in caplog.text
    assert outbox(admin) == [("raised", "dba@example.org")]


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


def test_a_message_can_be_written_while_the_graph_cannot_be_read(
    admin: psycopg.Connection[Any], evaluator: AlertEvaluator
) -> None:
    alert(admin, "SELECT 50")
    admin.execute("ALTER FUNCTION lock_catalog.waits_for() RENAME TO gone")
    (change,) = evaluator.run_once()
    assert change.messages == 1
    (problem,) = admin.execute(
        "SELECT context ->> 'situation_problem' FROM monitoring.alert_message"
    ).fetchone() or ("",)
    assert "does not exist" in problem


def test_nobody_is_told_where_nobody_is_named(
    admin: psycopg.Connection[Any], evaluator: AlertEvaluator
) -> None:
    alert(admin, "SELECT 50", notification_recipients=[])
    (change,) = evaluator.run_once()
    assert change.messages == 0
    assert evaluator.run_once() == []
    told = admin.execute("SELECT notification_count FROM monitoring.alert_event_list").fetchone()
    assert told == (0,)
