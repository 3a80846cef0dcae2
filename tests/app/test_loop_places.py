"""Who leads, stands by and waits, and how a task of the queue gives way to a process and to the next task."""

from __future__ import annotations

import psycopg
import pytest
from django.db import connections

from lockmon.monitor import loop as loops
from lockmon.monitor.options import LoopOptions
from tests.support.loops import another_look, rows, running_loop, status, until_nobody_watches, until_watching
from tests.support.poll import poll

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "vault"])

QUICK = LoopOptions(tick=0.2, full_interval=0.5, standby_poll=0.1)


def leads_since(dsn: str, other: int | None) -> int:
    """Wait for a leader that is not `other`; its server process."""
    poll(lambda: status(dsn).leader_pid not in (None, other), 10, "another leader")
    pid = until_watching(dsn).leader_pid
    assert pid is not None and pid != other
    return pid


def test_one_leads_one_stands_by_a_third_waits_for_its_place(vault_db: str) -> None:
    """Whichever of the other two asks first when the leader ends leads; the other one stands by."""
    with running_loop(QUICK) as first:
        leader = until_watching(vault_db).leader_pid
        with running_loop(QUICK) as second:
            standby = poll(lambda: status(vault_db).standby_pid, what="a standby")
            with running_loop(QUICK) as third:
                connected = (
                    "SELECT pid FROM pg_stat_activity WHERE application_name = 'one_vault_lockmon:loop'"
                )
                poll(lambda: len(rows(vault_db, connected)) == 3, what="the third")
                (waits,) = {row["pid"] for row in rows(vault_db, connected)} - {leader, standby}
                now = status(vault_db)
                assert (now.leader_pid, now.standby_pid) == (leader, standby)
                first.finish()
                leads_since(vault_db, leader)
                poll(lambda: status(vault_db).standby_pid not in (None, leader), 10, "who stands by")
                now = status(vault_db)
                assert {now.leader_pid, now.standby_pid} == {standby, waits}
                assert (second.ended, third.ended) == (None, None)


def test_a_task_ends_at_once_where_a_process_leads(vault_db: str) -> None:
    with running_loop(QUICK):
        leader = until_watching(vault_db).leader_pid
        with running_loop(QUICK, in_task=True) as task:
            poll(lambda: task.ended, what="the task's end")
            assert task.ended == "A loop watches 'vault' already: this task was not needed."
        with running_loop(QUICK):
            poll(lambda: status(vault_db).standby_pid, what="a standby")
            with running_loop(QUICK, in_task=True) as task:
                poll(lambda: task.ended, what="the end of a task beside leader and standby")
                assert "was not needed" in str(task.ended)
        assert status(vault_db).leader_pid == leader


def test_a_task_watches_until_a_process_does(vault_db: str) -> None:
    with running_loop(QUICK, in_task=True) as task:
        leader = until_watching(vault_db).leader_pid
        with running_loop(QUICK) as process:
            assert leads_since(vault_db, leader)
            poll(lambda: task.ended, what="the task's end")
            assert task.ended == "Ended: it handed over to the next loop."
            another_look(vault_db)
            assert process.ended is None
    longest = "SELECT 1 FROM lock_engine.coverage_gap WHERE gap_end - gap_start >= interval '2 s'"
    assert rows(vault_db, longest) == []


def test_a_task_watches_until_the_next_one_does(vault_db: str) -> None:
    before = None
    with running_loop(QUICK, in_task=True) as first:
        before = until_watching(vault_db).leader_pid
        with running_loop(QUICK, in_task=True) as second:
            leads_since(vault_db, before)
            poll(lambda: first.ended, what="the first one's end")
            assert first.ended == "Ended: it handed over to the next loop."
            assert second.ended is None


def test_a_task_watches_for_two_minutes_at_most(vault_db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert 100 < loops.TASK_LIFE < 120
    monkeypatch.setattr(loops, "TASK_LIFE", 1.0)
    with running_loop(QUICK, in_task=True) as task:
        until_watching(vault_db)
        poll(lambda: task.ended, what="its end")
        assert task.ended == "Ended: its task was over, and none has begun since."
    until_nobody_watches(vault_db)


def test_whoever_takes_the_standbys_lock_does_not_end_a_task(vault_db: str) -> None:
    """Anybody can take an advisory lock: of a stranger a task would hand over to nobody."""
    with psycopg.connect(vault_db, autocommit=True) as admin:
        admin.execute("DROP ROLE IF EXISTS takes_places; CREATE ROLE takes_places LOGIN")
    try:
        with psycopg.connect(
            vault_db, autocommit=True, user="takes_places", application_name="one_vault_lockmon:loop"
        ) as stranger:
            stranger.execute("SELECT pg_advisory_lock(460, 4)")
            with running_loop(QUICK, in_task=True) as task:
                until_watching(vault_db)
                for _ in range(5):
                    another_look(vault_db)
                assert task.ended is None
    finally:
        with psycopg.connect(vault_db, autocommit=True) as admin:
            admin.execute("DROP ROLE takes_places")


def test_a_task_that_stands_by_goes_when_a_process_leads(
    vault_db: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The leader that it stands by for is another than the one that it saw when it came."""
    monkeypatch.setattr(loops, "LEADER_CHECK", 0.2)
    login = str(connections["vault"].settings_dict["USER"])
    with psycopg.connect(
        vault_db, autocommit=True, user=login, application_name="one_vault_lockmon:loop of a task"
    ) as lead:
        lead.execute("SELECT pg_advisory_lock(460, 3)")
        with running_loop(QUICK, in_task=True) as task:
            poll(lambda: status(vault_db).standby_pid, what="the task standing by")
            assert task.ended is None
            lead.execute("SET application_name = 'one_vault_lockmon:loop'")
            poll(lambda: task.ended, what="its end")
            assert "was not needed" in str(task.ended)
