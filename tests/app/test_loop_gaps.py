"""What was not watched is on record, to within a second, whatever ended the watching."""

from __future__ import annotations

import itertools
import signal
import subprocess
import time
from collections.abc import Iterator
from datetime import datetime, timedelta

import psycopg
import pytest
from django.db import connections

from lockmon import watched
from lockmon.calls.watched import UnwatchedSpan
from lockmon.monitor.options import LoopOptions
from lockmon.monitor.presence import HELD_UP
from tests.conftest import OpenSession
from tests.support.loops import rows, running_loop, start_process, status, until_watching
from tests.support.poll import poll
from tests.support.servers import Server

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "vault"])

Process = subprocess.Popen[bytes]
TO_WITHIN = timedelta(seconds=1)


@pytest.fixture
def web(server: Server) -> str:
    return server.dsn(str(connections["default"].settings_dict["NAME"]))


@pytest.fixture
def processes() -> Iterator[list[Process]]:
    """Processes of the loop, which end with the test."""
    started: list[Process] = []
    yield started
    for process in started:
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.communicate()


def now(dsn: str) -> datetime:
    with psycopg.connect(dsn, autocommit=True) as connection, connection.cursor() as cursor:
        row = cursor.execute("SELECT clock_timestamp()").fetchone()
        assert row is not None
        moment: datetime = row[0]
        return moment


def gaps(dsn: str) -> list[UnwatchedSpan]:
    """What was not watched between the first look and now."""
    with psycopg.connect(dsn, autocommit=True) as connection, connection.cursor() as cursor:
        row = cursor.execute(
            "SELECT first_look_at, clock_timestamp() FROM lock_engine.watch_state"
        ).fetchone()
        assert row is not None
        return watched.unwatched(cursor, *row)


def seen_for(dsn: str, seconds: float) -> datetime:
    """Wait until the loop has watched for so long; its last look."""
    since = now(dsn)

    def reached() -> datetime | None:
        last = status(dsn).last_look_at
        return last if last is not None and last > since + timedelta(seconds=seconds) else None

    last = poll(reached, 30, "looks of the loop")
    assert last is not None
    return last


def reason(dsn: str, span_start: datetime) -> str:
    """Why it was not watched from then on; empty where it was. Other gaps are true where the machine has no
    time for the loop."""
    return next((gap.reason for gap in gaps(dsn) if gap.span_start == span_start), "")


def after(moment: datetime, dsn: str) -> UnwatchedSpan:
    """Wait for the gap that reaches over this moment and has ended; returns it."""

    def found() -> UnwatchedSpan | None:
        for gap in gaps(dsn):
            if gap.span_start <= moment < gap.span_end and gap.reason != "nobody has looked since":
                return gap
        return None

    gap = poll(found, 30, "the gap")
    assert gap is not None
    return gap


@pytest.mark.slow
def test_kill_9_of_everything_leaves_a_gap_that_is_right_to_a_second(
    vault_db: str, web: str, processes: list[Process]
) -> None:
    processes += [start_process(vault_db, web), start_process(vault_db, web)]
    until_watching(vault_db)
    poll(lambda: status(vault_db).standby_pid, 20, "a standby")
    seen = seen_for(vault_db, 1)
    for process in processes:
        process.kill()
    killed = now(vault_db)
    poll(lambda: now(vault_db) > killed + timedelta(seconds=4), 10, "some seconds")
    # earlier ones are true where the machine has no time for the loop
    open_gap = gaps(vault_db)[-1]
    assert open_gap.reason == "nobody has looked since"
    began = now(vault_db)
    processes.append(start_process(vault_db, web))
    gap = after(killed, vault_db)
    watching = until_watching(vault_db)
    assert seen - TO_WITHIN <= gap.span_start <= killed
    assert began < gap.span_end <= now(vault_db)
    # to within what this host's clock and the server's may differ
    assert watching.watching_since is not None
    assert began - TO_WITHIN < watching.watching_since < gap.span_end + TO_WITHIN
    poll(lambda: reason(vault_db, gap.span_start) == "no loop was running", 5, "the gap's reason")
    assert not_watched(vault_db, killed + timedelta(seconds=2))


def not_watched(dsn: str, moment: datetime) -> bool:
    with psycopg.connect(dsn, autocommit=True) as connection, connection.cursor() as cursor:
        return not watched.at(cursor, moment)


@pytest.mark.slow
def test_a_standby_that_takes_over_does_not_take_its_own_question_for_the_last_look(
    vault_db: str, web: str, processes: list[Process]
) -> None:
    processes += [start_process(vault_db, web)]
    leader = until_watching(vault_db).leader_pid
    # stands by, and does not ask for the lock again so soon
    with running_loop(LoopOptions(standby_poll=10.0)):
        poll(lambda: status(vault_db).standby_pid, 10, "a standby")
        seen = seen_for(vault_db, 1)
        processes[0].kill()
        killed = now(vault_db)
        poll(lambda: status(vault_db).leader_pid not in (None, leader), 30, "the standby leading")
        taken = now(vault_db)
        if taken - killed < timedelta(seconds=1.5):
            pytest.fail("the standby asked too soon for this test to show anything")
        gap = after(killed, vault_db)
        assert seen - TO_WITHIN <= gap.span_start <= killed
        assert gap.span_end >= taken - TO_WITHIN
        poll(lambda: "took over" in reason(vault_db, gap.span_start), 5, "the reason")


def test_a_frozen_loop_leaves_a_gap(vault_db: str, web: str, processes: list[Process]) -> None:
    processes += [start_process(vault_db, web)]
    until_watching(vault_db)
    seen = seen_for(vault_db, 1)
    processes[0].send_signal(signal.SIGSTOP)
    frozen = now(vault_db)
    poll(lambda: now(vault_db) > frozen + timedelta(seconds=4), 10, "some seconds")
    thawing = now(vault_db)
    processes[0].send_signal(signal.SIGCONT)
    first = seen_for(vault_db, 0)
    gap = after(frozen, vault_db)
    assert seen - TO_WITHIN <= gap.span_start <= frozen
    assert thawing <= gap.span_end <= first + TO_WITHIN
    poll(lambda: "held up" in reason(vault_db, gap.span_start), 5, "the reason")


def test_looks_that_cannot_be_stored_are_watched_time_once_they_are(
    vault_db: str, session: OpenSession
) -> None:
    with running_loop(LoopOptions(full_interval=1.0)):
        until_watching(vault_db)
        seen = seen_for(vault_db, 1)
        culprit = session(vault_db, application_name="culprit")
        busy = session(vault_db)
        culprit.run("LOCK TABLE lock_monitoring.lock_activity_s IN ACCESS EXCLUSIVE MODE")
        locked = now(vault_db)
        busy.run("SELECT pg_advisory_lock(78, 1)")
        poll(lambda: now(vault_db) > locked + timedelta(seconds=7), 15, "some seconds")
        open_gap = gaps(vault_db)[-1]
        assert open_gap.reason == "nobody has looked since"
        # the last cycle before the lock, at most a full interval and a tick earlier
        assert seen - timedelta(seconds=1) <= open_gap.span_start <= locked + timedelta(seconds=3)
        culprit.run("ROLLBACK")
        poll(lambda: not reason(vault_db, open_gap.span_start), 10, "what was kept in memory in the vault")
        assert not not_watched(vault_db, locked + timedelta(seconds=4))


def test_cycles_that_fail_each_time_are_not_watching(vault_db: str) -> None:
    with running_loop(LoopOptions(full_interval=1.0)):
        until_watching(vault_db)
        seen_for(vault_db, 1)
        with psycopg.connect(vault_db, autocommit=True) as dba:
            # something that changes must be stored, and cannot be
            dba.execute(
                "CREATE FUNCTION public.no_more() RETURNS trigger LANGUAGE plpgsql"
                " AS $$BEGIN RAISE EXCEPTION 'no_more'; END$$"
            )
            dba.execute(
                "CREATE TRIGGER no_more BEFORE INSERT ON lock_monitoring.lock_activity_s"
                " FOR EACH STATEMENT EXECUTE FUNCTION public.no_more()"
            )
            broken = now(vault_db)
            dba.execute("SELECT pg_advisory_lock(78, 2)")
            poll(lambda: now(vault_db) > broken + timedelta(seconds=6), 15, "some seconds")
            assert gaps(vault_db)[-1].reason == "nobody has looked since"
            dba.execute("DROP TRIGGER no_more ON lock_monitoring.lock_activity_s")
            gap = after(broken + timedelta(seconds=3), vault_db)
            poll(lambda: "no_more" in reason(vault_db, gap.span_start), 5, "the reason")
            assert gap.span_end > broken + timedelta(seconds=6)


@pytest.mark.slow
def test_a_cycle_called_from_elsewhere_promises_nothing_for_the_loop(
    vault_db: str, web: str, processes: list[Process]
) -> None:
    processes += [start_process(vault_db, web)]
    until_watching(vault_db)
    seen_for(vault_db, 1)
    rows(vault_db, "SELECT * FROM lock_monitoring.run_lock_monitoring()")
    seen = seen_for(vault_db, 1)
    processes[0].kill()
    killed = now(vault_db)
    poll(lambda: now(vault_db) > killed + timedelta(seconds=3), 10, "some seconds")
    rows(vault_db, "SELECT * FROM lock_monitoring.run_lock_monitoring()")
    gap = after(killed, vault_db)
    assert seen - TO_WITHIN <= gap.span_start <= killed
    assert killed + timedelta(seconds=3) <= gap.span_end
    # from here on nobody leads: what is called by hand or cron is watched as cron is
    rows(vault_db, "SELECT pg_sleep(2)")
    rows(vault_db, "SELECT * FROM lock_monitoring.run_lock_monitoring()")
    assert [one.span_start for one in gaps(vault_db)][-1] == gap.span_start


def test_a_clock_set_forward_is_a_gap_and_set_back_the_time_that_came_twice(vault_db: str) -> None:
    """The server's clock cannot be set here; what the vault says of the last look can."""
    with running_loop():
        until_watching(vault_db)
        seen_for(vault_db, 1)
        began = now(vault_db)
        rows(
            vault_db,
            "UPDATE lock_engine.watch_state SET first_look_at = first_look_at - interval '2 hours',"
            " last_look_at = last_look_at - interval '1 hour' RETURNING 1",
        )
        gap = after(now(vault_db) - timedelta(minutes=30), vault_db)
        before = now(vault_db)
        longest = timedelta(hours=1, seconds=2) + (before - began)
        assert timedelta(minutes=59) < gap.span_end - gap.span_start <= longest
        rows(
            vault_db,
            "UPDATE lock_engine.watch_state SET last_look_at = last_look_at + interval '1 hour' RETURNING 1",
        )
        poll(
            lambda: rows(
                vault_db, "SELECT 1 FROM lock_engine.coverage_gap WHERE reason LIKE '%set back by%'"
            ),
            5,
            "the time that came twice",
        )
        (twice,) = rows(
            vault_db,
            "SELECT gap_start, gap_end FROM lock_engine.coverage_gap WHERE reason LIKE '%set back by%'",
        )
        assert isinstance(twice["gap_start"], datetime)
        assert isinstance(twice["gap_end"], datetime)
        assert before <= twice["gap_start"] <= now(vault_db)
        longest = timedelta(hours=1, seconds=2) + (now(vault_db) - before)
        assert timedelta(minutes=59) < twice["gap_end"] - twice["gap_start"] < longest
        seen_for(vault_db, 1)


def test_a_look_is_stored_without_being_recorded_as_a_lock(vault_db: str) -> None:
    with running_loop():
        until_watching(vault_db)
        seen_for(vault_db, 4)
    table = "'lock_engine.watch_state'::regclass"
    assert rows(vault_db, f"SELECT 1 FROM lock_monitoring.lock_activity_s WHERE relation_oid = {table}") == []
    age = "SELECT pg_stat_force_next_flush()" if status_version(vault_db) >= 150000 else "SELECT 1"
    rows(vault_db, age)

    def counted() -> list[dict[str, object]]:
        return rows(
            vault_db,
            "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'watch_state'"
            " AND n_tup_upd > 6",
        )

    (updates,) = poll(counted, 20, "the statistics of the updates") or [{}]
    assert updates["n_tup_upd"] == updates["n_tup_hot_upd"], "no index is touched, the row stays on its page"


def status_version(dsn: str) -> int:
    with psycopg.connect(dsn) as connection:
        return connection.info.server_version


def test_the_record_of_a_living_loop_is_never_old(vault_db: str) -> None:
    """What a kill at this very moment would leave is at most about half a second behind what it has done."""
    with running_loop():
        until_watching(vault_db)
        seen_for(vault_db, 2)
        question = (
            "SELECT date_part('epoch', s.last_look_at - w.last_look_at) AS age, s.last_look_at"
            "  FROM lock_engine.monitor_status s, lock_engine.watch_state w"
        )
        ages: list[float] = []
        looks: set[datetime] = set()
        until = time.monotonic() + 4
        while time.monotonic() < until:
            (found,) = rows(vault_db, question)
            ages.append(float(str(found["age"])))
            assert isinstance(found["last_look_at"], datetime)
            looks.add(found["last_look_at"])
        # a machine that is busy with other things looks less often: the record is behind by that, too
        pause = max((later - sooner).total_seconds() for sooner, later in itertools.pairwise(sorted(looks)))
        assert sorted(ages)[len(ages) * 3 // 4] < 0.6 + pause
        assert {gap.reason for gap in gaps(vault_db)} <= {HELD_UP}
