"""What release candidate 1 recorded as cancelled is put right where nothing proves it."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import errors

from lockmon.install import install
from tests.conftest import Connect, OpenSession
from tests.support.poll import poll
from tests.support.stored import Stored

ROW = "UPDATE demo.accounts SET balance = balance WHERE id = {}"


def test_cancelled_stays_where_it_is_proven(site: str, connect: Connect, session: OpenSession) -> None:
    stored = Stored(connect(site))
    holder, failed, cancelled, logged, by_door = (session(site) for _ in range(5))
    failed.connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    failed.run("SELECT count(*) FROM demo.accounts")
    first = session(site)
    first.run(ROW.format(1))
    holder.run(ROW.format(2))
    failed.start(ROW.format(1))
    failed.wait_blocked()
    # the other two have a blocker that goes on as well, so that only the logs speak
    others = [logged, by_door]
    for number, waiter in enumerate(others, start=3):
        first.run(ROW.format(number))
        waiter.start(ROW.format(number))
        waiter.wait_blocked()
    cancelled.start(ROW.format(2))
    cancelled.wait_blocked()
    stored.capture()
    signalled = stored.value("SELECT clock_timestamp()")
    for waiter in (cancelled, *others):
        stored.value("SELECT pg_cancel_backend(%s)", waiter.pid)
        with pytest.raises(errors.QueryCanceled):
            waiter.result()
    first.run("COMMIT")
    with pytest.raises(errors.SerializationFailure):
        failed.result()
    poll(lambda: stored.value("SELECT clock_timestamp()") > signalled, what="the clock")
    stored.capture()
    ended = "NOT lock_granted AND load_end_date IS NOT NULL"

    def how(pid: int) -> str:
        return str(stored.locks(pid, ended)[-1]["resolution_action"])

    waiters = (failed, cancelled, *others)
    assert [how(waiter.pid) for waiter in waiters] == ["cancelled"] * 4, "as that release said"
    stored.connection.execute(
        "INSERT INTO lock_log.event (record_hash, kind, logged_at, pid, source, stored_at)"
        " VALUES ('a test', 'cancelled', %s, %s, 'a test', now())",
        [signalled, logged.pid],
    )
    stored.connection.execute(
        "INSERT INTO lock_admin.action_log"
        " (step, origin, action, target_pid, target_backend_start, logged_at)"
        " SELECT 'signal', 'sql', 'cancel', s.pid, s.backend_start, %s"
        " FROM pg_stat_activity s WHERE s.pid = %s",
        [signalled, by_door.pid],
    )
    # what others have made of the table is not run by an update
    stored.connection.execute(
        "CREATE FUNCTION public.in_the_way() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN RAISE EXCEPTION ''a trigger ran''; END'"
    )
    stored.connection.execute(
        "CREATE TRIGGER in_the_way BEFORE UPDATE ON lock_monitoring.lock_activity_s"
        " FOR EACH ROW EXECUTE FUNCTION public.in_the_way()"
    )
    assert install(site).changed
    assert [how(waiter.pid) for waiter in waiters] == ["unknown", "cancelled", "cancelled", "cancelled"]
    trigger = "SELECT tgenabled FROM pg_trigger WHERE tgname = 'in_the_way'"
    assert stored.value(trigger) in ("O", b"O")
