"""Alerts while queries are slow, connections end, a server is silent, or another evaluator works."""

from __future__ import annotations

import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from lockmon.alerts.evaluate import AlertEvaluator
from lockmon.alerts.sandbox import Sandbox
from tests.support.alerting import alert, say, states
from tests.support.poll import poll

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "vault"])


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


def test_a_connection_that_is_ended_within_a_query_is_no_answer_of_the_query(
    admin: psycopg.Connection[Any],
) -> None:
    """Whoever asked comes again with a new connection; the alert's own history says nothing of it."""
    sandbox = Sandbox("vault", "ended")
    busy = (
        "SELECT pid FROM pg_stat_activity"
        " WHERE application_name = 'one_vault_lockmon:ended' AND state = 'active'"
    )
    with ThreadPoolExecutor(1) as beside:
        told = beside.submit(sandbox.evaluate, "SELECT count(*) FROM generate_series(1, 1000000000)", 30)
        (pid,) = poll(lambda: admin.execute(busy).fetchone(), what="the query")
        admin.execute("SELECT pg_terminate_backend(%s)", [pid])
        with pytest.raises(psycopg.OperationalError):
            told.result()
    assert sandbox.evaluate("SELECT 2", 1).value == 2
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
    # a site's own function, whose name tells nothing, takes a lock that outlives a rollback
    admin.execute(
        "CREATE SCHEMA site; CREATE FUNCTION site.grab() RETURNS integer LANGUAGE plpgsql"
        " AS 'BEGIN PERFORM pg_catalog.pg_advisory_lock(7); RETURN 1; END';"
        " CREATE VIEW site.grabs AS SELECT site.grab() AS n;"
        " GRANT USAGE ON SCHEMA site TO PUBLIC; GRANT SELECT ON site.grabs TO PUBLIC"
    )
    assert sandbox.evaluate("SELECT n FROM site.grabs", 1).value == 1
    locks = admin.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'").fetchone()
    assert locks == (0,)
    sandbox.close()


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
