"""The application's locks on its tenants do not reach the vault: rows without a place are kept aside, and
move when the lock has gone."""

from __future__ import annotations

import psycopg
import pytest
from psycopg.types.json import Jsonb

from lockmon.install import install
from tests.conftest import Connect, OpenSession
from tests.support.aside import (
    ACME,
    ASIDE,
    BOLT,
    LOCKS,
    PUBLISHED,
    aside,
    blocked_pair,
    lasting,
    of,
    places,
    seen_before,
    two_tenants,
)
from tests.support.poll import poll
from tests.support.servers import Server
from tests.support.stored import Stored
from tests.support.tangle import prepare


@pytest.fixture
def scene(vault_db: str, connect: Connect) -> str:
    """A database with two tenants."""
    two_tenants(vault_db)
    return vault_db


@pytest.fixture
def stored(scene: str, connect: Connect) -> Stored:
    """The vault, as the DBA reads it; nothing may take longer than ten seconds."""
    connection = connect(scene)
    connection.execute("SET statement_timeout = '10s'")
    return Stored(connection)


@pytest.mark.parametrize("lock", LOCKS)
def test_what_has_no_place_is_kept_aside_and_moves_when_the_lock_has_gone(
    scene: str, stored: Stored, session: OpenSession, lock: str
) -> None:
    root, waiter = blocked_pair(scene, session, "ACME", 1)
    seen_before(stored.connection, "ACME")  # seen before, as is usual
    locker = session(scene)
    locker.run(LOCKS[lock])
    for _ in range(3):
        assert not stored.cycle()["monitoring_summary"].startswith("skipped")
    assert stored.capture()["blocking_locks"] > 0
    assert places(stored, root.pid) == places(stored, waiter.pid) == ASIDE
    assert (
        stored.episodes(root.pid)
        and stored.value("SELECT count(*) FROM lock_monitoring.lock_blocking_l") == 1
    )
    assert (
        stored.value("SELECT count(*) FROM lock_monitoring.lock_activity_dashboard WHERE waiting_locks > 0")
        == 1
    )
    assert stored.value("SELECT session_pid FROM lock_monitoring.blocking_sessions_dashboard") == root.pid
    assert stored.rows("SELECT * FROM lock_monitoring.analyze_lock_waits(NULL, 1)")
    stored.check_rules()
    before = lasting(of(stored, waiter.pid))
    episode = lasting(stored.episodes(root.pid))
    assert {bytes(row["tenant_hk"]) for row in before} == {ACME}
    locker.run("ROLLBACK")
    assert not stored.cycle()["monitoring_summary"].startswith("skipped")
    assert places(stored, root.pid) == places(stored, waiter.pid) == PUBLISHED
    after = lasting(of(stored, waiter.pid))
    assert after[: len(before)] == before, "not with its own times"
    assert lasting(stored.episodes(root.pid))[: len(episode)] == episode
    assert aside(stored) == 0
    assert stored.rows("SELECT * FROM lock_engine.aside_tenant") == []
    stored.check_rules()


def test_a_locked_tenant_harms_no_other(scene: str, stored: Stored, session: OpenSession) -> None:
    acme, _ = blocked_pair(scene, session, "ACME", 1)
    bolt, _ = blocked_pair(scene, session, "BOLT", 2)
    mixed = session(scene, application_name="tenant=BOLT")
    mixed.start("UPDATE app.t0 SET n = 1 WHERE id = 1")
    mixed.wait_blocked()
    locker = session(scene)
    locker.run(LOCKS["row for update"])
    stored.capture()
    assert places(stored, acme.pid) == ASIDE
    assert places(stored, bolt.pid) == places(stored, mixed.pid) == PUBLISHED
    links = stored.rows(
        "SELECT tableoid::regclass::text AS of, tenant_hk FROM lock_monitoring.lock_blocking_l"
    )
    assert sorted((row["of"], bytes(row["tenant_hk"])) for row in links) == [
        ("lock_engine.aside_lock_blocking_l", ACME),
        # the waiter is BOLT's, but what blocks it has no place yet
        ("lock_engine.aside_lock_blocking_l", BOLT),
        ("lock_monitoring.lock_blocking_l", BOLT),
    ]
    locker.run("COMMIT")
    stored.capture()
    assert aside(stored) == 0 and places(stored, acme.pid) == PUBLISHED
    assert stored.value("SELECT count(*) FROM ONLY lock_monitoring.lock_blocking_l") == 3


def test_rows_end_and_change_while_they_are_aside(scene: str, stored: Stored, session: OpenSession) -> None:
    root, waiter = blocked_pair(scene, session, "ACME", 1)
    locker = session(scene)
    locker.run(LOCKS["row for update"])
    stored.capture()
    waits = [row for row in of(stored, waiter.pid) if row["load_end_date"] is None]
    second = session(scene, application_name="tenant=ACME")
    second.start("UPDATE app.t0 SET n = 1 WHERE id = 1")
    second.wait_blocked()
    stored.capture()
    root.run("ROLLBACK")
    waiter.result()
    stored.capture()
    assert waits and any(row["resolution_action"] == "granted" for row in of(stored, waiter.pid))
    assert places(stored, root.pid) == places(stored, waiter.pid) == places(stored, second.pid) == ASIDE
    stored.check_rules()
    locker.run("COMMIT")
    waiter.run("COMMIT")
    second.result()
    stored.capture()
    assert places(stored, root.pid) == places(stored, waiter.pid) == PUBLISHED
    stored.check_rules()


def test_a_hub_that_is_stored_already_goes_on_while_its_tenant_is_locked(
    scene: str, stored: Stored, session: OpenSession
) -> None:
    root, waiter = blocked_pair(scene, session, "ACME", 1)
    stored.capture()
    locker = session(scene)
    locker.run(LOCKS["table access exclusive"])
    more = session(scene, application_name="tenant=ACME")
    more.start("UPDATE app.t0 SET n = 1 WHERE id = 1")
    more.wait_blocked()
    stored.capture()
    assert places(stored, root.pid) == places(stored, waiter.pid) == PUBLISHED
    assert places(stored, more.pid) == ASIDE
    locker.run("COMMIT")
    stored.capture()
    assert aside(stored) == 0
    stored.check_rules()


def test_three_hundred_locked_tenants_cost_a_bounded_time(
    scene: str, stored: Stored, session: OpenSession, connect: Connect
) -> None:
    """Each question may wait a millisecond, all together fifty."""
    count = 60
    stored.connection.execute(
        "INSERT INTO auth.tenant_h (tenant_hk, tenant_bk, record_source)"
        " SELECT int4send(n), 'T' || n, 't' FROM generate_series(1, 300) n"
    )
    owners = [session(scene, application_name=f"tenant=T{number}") for number in range(1, count + 1)]
    for owner in owners:
        owner.run("SELECT * FROM app.t0 LIMIT 1")
    free = session(scene, application_name="tenant=ACME")
    free.run("SELECT * FROM app.t0 LIMIT 1")
    locker = session(scene)
    locker.run("SELECT * FROM auth.tenant_h WHERE tenant_bk LIKE 'T%' FOR UPDATE")
    poll(lambda: [stored.capture(), places(stored, free.pid) == PUBLISHED][1], 10, "the free tenant's place")
    assert all(places(stored, owner.pid) == ASIDE for owner in owners)
    tries = stored.value("SELECT sum(tries) FROM lock_engine.aside_tenant")
    stored.capture()
    # 25 ms at 1 ms each, and the first question of a cycle is always put
    assert stored.value("SELECT sum(tries) FROM lock_engine.aside_tenant") - tries <= 30
    locker.run("COMMIT")
    stored.capture()
    assert aside(stored) == 0 and all(places(stored, owner.pid) == PUBLISHED for owner in owners)


def test_it_moves_without_a_change_of_the_locks(scene: str, stored: Stored, session: OpenSession) -> None:
    """A cycle that finds the locks unchanged stores nothing new, and moves what is aside nevertheless."""
    holder = session(scene, application_name="tenant=ACME")
    holder.run("UPDATE app.t0 SET n = 1 WHERE id = 1")
    locker = session(scene)
    locker.run(LOCKS["row for update"])
    stored.capture()
    assert places(stored, holder.pid) == ASIDE
    locker.run("COMMIT")
    locker.close()
    stored.capture()
    stored.connection.execute("SELECT pg_stat_clear_snapshot()")
    stored.capture()
    assert aside(stored) == 0


def test_killed_half_way_nothing_is_lost_or_doubled(
    scene: str, stored: Stored, session: OpenSession, connect: Connect
) -> None:
    root, waiter = blocked_pair(scene, session, "ACME", 1)
    locker = session(scene)
    locker.run(LOCKS["row for update"])
    stored.capture()
    before = lasting(of(stored, waiter.pid))
    locker.run("COMMIT")
    mover = session(scene)
    mover.run("SELECT * FROM lock_monitoring.capture_lock_activity()")  # moved, not yet committed
    stored.connection.execute("SELECT pg_terminate_backend(%s)", [mover.pid])
    poll(lambda: not stored.rows("SELECT 1 FROM pg_stat_activity WHERE pid = %s", mover.pid), 5, "its end")
    assert places(stored, waiter.pid) == ASIDE
    assert lasting(of(stored, waiter.pid)) == before
    stored.capture()
    assert places(stored, waiter.pid) == places(stored, root.pid) == PUBLISHED
    assert lasting(of(stored, waiter.pid))[: len(before)] == before


def test_the_applications_lock_is_not_held_up_by_a_cycle(
    scene: str, stored: Stored, session: OpenSession
) -> None:
    """A cycle asks for the tenant's row last of all: while it writes, the application takes it."""
    holder = session(scene, application_name="tenant=ACME")
    holder.run("UPDATE app.t0 SET n = 1 WHERE id = 1")
    slow = session(scene)
    application = session(scene)
    # the cycle is stopped where it has written its locks and goes on to the episodes
    blocker = session(scene)
    blocker.run("LOCK TABLE lock_monitoring.blocking_session_s IN ACCESS EXCLUSIVE MODE")
    slow.run("SET lock_timeout = 0")
    slow.start("SELECT * FROM lock_monitoring.capture_lock_activity()")
    slow.wait_blocked()
    assert len(application.run("SELECT * FROM auth.tenant_h WHERE tenant_bk = 'ACME' FOR UPDATE NOWAIT")) == 1
    application.run("ROLLBACK")
    blocker.run("ROLLBACK")
    slow.result()


def test_a_deadlock_of_a_locked_tenant_is_stored(scene: str, stored: Stored, connect: Connect) -> None:
    members = [
        {"pid": pid, "user": "postgres", "application": "tenant=ACME", "query": "UPDATE", "wanted": "row"}
        for pid in (11, 12)
    ]
    locker = connect(scene, autocommit=False)
    locker.execute(LOCKS["row for update"])
    with stored.connection.transaction():
        stored.connection.execute("SELECT lock_engine.defer_keys(clock_timestamp())")
        stored.connection.execute(
            "SELECT lock_engine.store_deadlock(NULL, clock_timestamp(), 11, %s, '{log}', 'db', NULL, NULL)",
            [Jsonb(members)],
        )
        stored.connection.execute("SELECT lock_engine.place_rows()")
    told = stored.one("SELECT * FROM lock_monitoring.deadlock_history")
    assert told["involved_pids"] == [11, 12] and bytes(told["tenant_hk"]) == ACME
    assert stored.value("SELECT count(*) FROM lock_engine.aside_deadlock_involvement_l") == 2
    assert stored.value("SELECT count(*) FROM ONLY lock_monitoring.deadlock_event_h") == 0
    locker.rollback()
    stored.cycle()
    assert aside(stored) == 0
    assert stored.one("SELECT * FROM lock_monitoring.deadlock_history") == told
    assert stored.value("SELECT count(*) FROM ONLY lock_monitoring.deadlock_involvement_l") == 2


def test_people_read_what_is_aside_and_cannot_write_it(
    scene: str, stored: Stored, session: OpenSession
) -> None:
    holder = session(scene, application_name="tenant=ACME")
    holder.run("UPDATE app.t0 SET n = 1 WHERE id = 1")
    session(scene).run(LOCKS["row for update"])
    stored.capture()
    for role in ("lock_monitoring_role", "lock_admin_role"):
        with stored.connection.transaction(force_rollback=True):
            stored.connection.execute(f"SET LOCAL ROLE {role}")
            assert places(stored, holder.pid) == ASIDE
            for statement in (
                "DELETE FROM lock_engine.aside_lock_activity_s",
                "UPDATE lock_engine.aside_tenant SET reason = ''",
                "INSERT INTO lock_engine.tenant_seen VALUES ('', '', now())",
                "SELECT lock_engine.set_aside(now(), NULL, '')",
            ):
                with (
                    pytest.raises(psycopg.errors.InsufficientPrivilege),
                    stored.connection.transaction(),
                ):
                    stored.connection.execute(statement)


def test_retention_deletes_what_is_aside_too(scene: str, stored: Stored, session: OpenSession) -> None:
    holder = session(scene, application_name="tenant=ACME")
    holder.run("UPDATE app.t0 SET n = 1 WHERE id = 1")
    other = session(scene, application_name="tenant=BOLT")
    other.run("UPDATE app.t0 SET n = 1 WHERE id = 2")
    session(scene).run(LOCKS["row for update"])
    stored.capture()
    kept = of(stored, other.pid)
    assert kept and places(stored, holder.pid) == ASIDE
    holder.close()
    stored.capture()
    for table in ("h", "s"):
        stored.connection.execute(
            f"UPDATE lock_engine.aside_lock_activity_{table} SET load_date = load_date - interval '60 days'"
        )
    stored.connection.execute(
        "UPDATE lock_engine.aside_lock_activity_s SET load_end_date = load_end_date - interval '59 days'"
    )
    stored.rows("SELECT * FROM lock_monitoring.cleanup_old_data(30)")
    assert of(stored, holder.pid) == []
    assert stored.value("SELECT count(*) FROM lock_engine.aside_lock_activity_s") == 0
    assert len(of(stored, other.pid)) >= len(kept)
    stored.capture()
    assert aside(stored) == 0 and stored.rows("SELECT * FROM lock_engine.aside_tenant") == []


def test_an_update_leaves_what_is_aside_where_it_is(
    server: Server, template_vault: str, connect: Connect, session: OpenSession
) -> None:
    name = server.create_database(template=template_vault)
    dsn = server.dsn(name)
    prepare(dsn)
    stored = Stored(connect(dsn))
    stored.connection.execute(
        "INSERT INTO auth.tenant_h (tenant_hk, tenant_bk, record_source) VALUES (%s, 'ACME', 't')", [ACME]
    )
    root, waiter = blocked_pair(dsn, session, "ACME", 1)
    locker = session(dsn)
    locker.run(LOCKS["row for update"])
    stored.capture()
    before = lasting(of(stored, waiter.pid))
    assert places(stored, root.pid) == ASIDE
    install(dsn, again=True)
    assert lasting(of(stored, waiter.pid)) == before
    locker.run("COMMIT")
    stored.capture()
    assert places(stored, root.pid) == PUBLISHED
    assert lasting(of(stored, waiter.pid))[: len(before)] == before


@pytest.mark.parametrize("lock", ["row for update", "users and tenants"])
def test_an_imported_deadlock_of_a_locked_tenant_is_stored(
    scene: str, stored: Stored, session: OpenSession, lock: str
) -> None:
    """A log file that a person reads in, while the tenant of who is in it cannot be had."""
    seen_before(stored.connection, "ACME")
    locker = session(scene)
    locker.run(LOCKS[lock])
    record = (
        '2026-11-20 03:12:01.123 UTC,"app","shop",11,"10.0.0.7:5000",6921.b,3,"UPDATE",'
        '2026-11-20 03:00:00 UTC,3/4,734,ERROR,40P01,"deadlock detected","'
        "Process 11 waits for ShareLock on transaction 733; blocked by process 12.\n"
        "Process 12 waits for ShareLock on transaction 734; blocked by process 11.\n"
        'Process 11: UPDATE a SET n = 1\nProcess 12: UPDATE b SET n = 2"'
        ',"See server log for query details.",,,"while updating tuple (0,1) in relation ""a"""'
        ',"UPDATE a",,,"tenant=ACME","client backend",,0\n'
    )
    taken = stored.one("SELECT * FROM lock_log.ingest('f', 'csvlog', 0, %s, true)", record.encode())
    assert taken["records"] == 1
    told = stored.one("SELECT * FROM lock_monitoring.deadlock_history")
    assert bytes(told["tenant_hk"]) == ACME and aside(stored) > 0
    assert stored.rows("SELECT * FROM lock_engine.part_state WHERE part = 'logged deadlocks'") == []
    locker.run("ROLLBACK")
    stored.cycle()
    assert aside(stored) == 0
    assert stored.one("SELECT * FROM lock_monitoring.deadlock_history") == told
