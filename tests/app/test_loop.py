"""The resident loop on a real server: watching, two loops, a kill, a cut connection, its own table locked."""

from __future__ import annotations

import signal

import psycopg
import pytest
from django.db import connections

from lockmon.calls import coverage
from lockmon.monitor.connection import open_connection
from lockmon.monitor.options import LoopOptions
from lockmon.monitor.tick import QuietLook
from tests.conftest import OpenSession
from tests.support.loops import (
    another_look,
    rows,
    running_loop,
    start_process,
    status,
    until_nobody_watches,
    until_skipping,
    until_watching,
)
from tests.support.poll import poll
from tests.support.servers import Server

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "vault"])

QUICK = LoopOptions(tick=0.2, full_interval=0.6, standby_poll=0.1, coverage_period=2.0)


def test_status_of_a_vault_that_nobody_ever_watched(vault_db: str) -> None:
    assert status(vault_db).state == "never started"


def test_the_loop_looks_each_tick_and_says_so(vault_db: str) -> None:
    with running_loop(QUICK) as loop:
        first = until_watching(vault_db)
        assert first.leader_pid
        assert first.standby_pid is None
        for _ in range(3):
            another_look(vault_db)
        assert status(vault_db).leader_pid == first.leader_pid
        assert loop.finish() == "Ended: it was stopped."
    until_nobody_watches(vault_db)
    assert rows(vault_db, "SELECT looks, cycles_run FROM lock_engine.coverage")


def test_a_wait_is_in_the_vault_while_it_lasts(vault_db: str, session: OpenSession) -> None:
    with running_loop():
        until_watching(vault_db)
        holder, waiter = session(vault_db), session(vault_db)
        holder.run("SELECT pg_advisory_xact_lock(11, 12)")
        waiter.start("SELECT pg_advisory_xact_lock(11, 12)")
        question = (
            "SELECT 1 FROM lock_monitoring.lock_activity_s WHERE load_end_date IS NULL"
            f" AND NOT lock_granted AND lock_pid = {waiter.pid}"
        )
        poll(lambda: rows(vault_db, question), 5, "the waiting lock in the vault")
        holder.run("ROLLBACK")
        waiter.result()
        waiter.run("ROLLBACK")
        poll(lambda: not rows(vault_db, question), 5, "the end of the wait in the vault")


def test_a_killed_leader_is_replaced(server: Server, vault_db: str) -> None:
    web = server.dsn(str(connections["default"].settings_dict["NAME"]))
    killed = start_process(vault_db, web)
    try:
        leader = until_watching(vault_db).leader_pid
        with running_loop():
            poll(lambda: status(vault_db).standby_pid, what="a standby")
            killed.send_signal(signal.SIGKILL)
            poll(lambda: status(vault_db).leader_pid not in (None, leader), 10, "the standby leading")
    finally:
        killed.kill()
        killed.communicate()


def test_the_foreground_command_ends_cleanly_on_sigterm(server: Server, vault_db: str) -> None:
    web = server.dsn(str(connections["default"].settings_dict["NAME"]))
    process = start_process(vault_db, web)
    try:
        until_watching(vault_db)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        assert rows(vault_db, "SELECT 1 FROM lock_engine.coverage"), "the last period was stored"
    finally:
        process.kill()
        process.communicate()


def test_a_cut_connection_is_opened_again_and_the_gap_recorded(vault_db: str) -> None:
    with running_loop(QUICK):
        leader = until_watching(vault_db).leader_pid
        rows(vault_db, f"SELECT pg_terminate_backend({leader})")
        poll(lambda: status(vault_db).leader_pid not in (None, leader), 5, "the loop on a new connection")
        # which of the two depends on whether the server's last words were read before its end was noticed
        gap = (
            "SELECT 1 FROM lock_engine.coverage_gap WHERE reason LIKE '%ended by an administrator%'"
            " OR reason LIKE '%the server closed the connection%'"
        )
        poll(lambda: rows(vault_db, gap), 5, "the gap")


def test_a_locked_table_of_its_own_is_skipped_named_and_outlived(vault_db: str, session: OpenSession) -> None:
    options = LoopOptions(tick=0.2, full_interval=0.6, skip_alarm=1.0, coverage_period=1.0)
    with running_loop(options):
        until_watching(vault_db)
        culprit = session(vault_db, application_name="culprit")
        culprit.run("LOCK TABLE lock_monitoring.lock_activity_s IN ACCESS EXCLUSIVE MODE")
        # something changes each tick, so that a cycle has something to store
        busy = session(vault_db)
        busy.run("SELECT pg_advisory_lock(77, 1)")
        skipping = until_skipping(vault_db)
        assert f"pid {culprit.pid}" in str(skipping.skipped_because)
        assert "lock_activity_s" in str(skipping.skipped_because)
        poll(lambda: float(status(vault_db).last_look_age_seconds or 99) < 1.0, 5, "a look just now")
        looks = skipping.last_look_at
        poll(lambda: (found := status(vault_db).last_look_at) and looks and found > looks, 3, "further looks")
        culprit.run("ROLLBACK")
        until_watching(vault_db, 5)
    skipped = rows(vault_db, "SELECT sum(cycles_skipped) AS skipped FROM lock_engine.coverage")
    assert int(str(skipped[0]["skipped"])) > 0


def test_another_cycle_that_never_ends_is_named(vault_db: str, session: OpenSession) -> None:
    with running_loop(LoopOptions(tick=0.2, full_interval=0.4, skip_alarm=1.0)):
        until_watching(vault_db)
        other = session(vault_db)
        other.run("SELECT pg_advisory_xact_lock(460, 1)")
        found = until_skipping(vault_db)
        assert f"pid {other.pid}" in str(found.skipped_because)
        assert "460,1" in str(found.skipped_because)


def test_the_quiet_look_sees_a_wait_both_ways_and_settles_for_one(
    vault_db: str, session: OpenSession
) -> None:
    opened = open_connection("vault", "test", LoopOptions())
    try:
        look = QuietLook(opened.connection)
        assert not any(look.look() for _ in range(10))
        assert look.by in ("activity", "locks")
        assert look.cost_ms is not None and look.cost_ms > 0
        holder, waiter = session(vault_db), session(vault_db)
        holder.run("SELECT pg_advisory_xact_lock(5, 6)")
        waiter.start("SELECT pg_advisory_xact_lock(5, 6)")
        waiter.wait_blocked()
        for by in ("activity", "locks"):
            look.by = by
            assert look.look()
    finally:
        opened.connection.close()


def test_the_session_limits_itself(vault_db: str) -> None:
    opened = open_connection("vault", "test", LoopOptions())
    try:
        limits = {
            name: opened.connection.execute("SELECT current_setting(%s)", [name]).fetchone()
            for name in ("statement_timeout", "lock_timeout", "synchronous_commit")
        }
        assert limits == {
            "statement_timeout": ("10s",),
            "lock_timeout": ("200ms",),
            "synchronous_commit": ("off",),
        }
        if opened.facts.version_num >= 140000:
            idle = opened.connection.execute("SELECT current_setting('idle_session_timeout')").fetchone()
            assert idle == ("20s",)
        name = opened.connection.execute("SELECT current_setting('application_name')").fetchone()
        assert name == ("one_vault_lockmon:test",)
    finally:
        opened.connection.close()


def test_a_gap_that_another_loop_watched_is_cut_off(vault_db: str) -> None:
    with psycopg.connect(vault_db, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp() - interval '10 minutes', clock_timestamp()")
        start, end = cursor.fetchone() or (None, None)
        assert start and end
        assert coverage.record_coverage_gap(cursor, start, end, "nobody was there") == pytest.approx(
            600, abs=1
        )
        assert coverage.record_coverage_gap(cursor, start, end, "said twice") is None
        cursor.execute("SELECT clock_timestamp()")
        (later,) = cursor.fetchone() or (None,)
        assert later
        # the second loop asks for the whole time; what the first recorded is not counted again
        again = coverage.record_coverage_gap(cursor, start, later, "said again") or 0
        assert again <= (later - end).total_seconds() + 0.001


def test_a_deadlock_under_the_loop_is_in_the_vault(vault_db: str, session: OpenSession) -> None:
    with running_loop():
        until_watching(vault_db)
        one, other = session(vault_db), session(vault_db)
        one.run("SELECT pg_advisory_xact_lock(61, 1)")
        other.run("SELECT pg_advisory_xact_lock(61, 2)")
        one.start("SELECT pg_advisory_xact_lock(61, 2)")
        one.wait_blocked()
        other.start("SELECT pg_advisory_xact_lock(61, 1)")
        poll(lambda: not (one.busy and other.busy), 10, "the end of the deadlock")
        question = (
            "SELECT involved_pids, sources FROM lock_monitoring.deadlock_event_s WHERE load_end_date IS NULL"
        )
        poll(lambda: rows(vault_db, question), 10, "the deadlock in the vault")
        (event,) = rows(vault_db, question)
        assert sorted(str(event["involved_pids"]).strip("[]").split(", ")) == sorted(
            [str(one.pid), str(other.pid)]
        )
