"""The application's locks on its tenants do not reach the vault: rows without a place are kept aside, and
move when the lock has gone."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from lockmon.install import install
from tests.conftest import Connect, OpenSession
from tests.support.poll import poll
from tests.support.servers import Server
from tests.support.sessions import Session
from tests.support.stored import VAULT_TABLES, Stored
from tests.support.tangle import prepare

ACME, BOLT = b"\xac\x3e", b"\xb0\x17"
# Whatever a tenant's row or all of its table may be locked by, so that a foreign key has to wait.
LOCKS = {
    "row for update": "SELECT * FROM auth.tenant_h WHERE tenant_bk = 'ACME' FOR UPDATE",
    "row with its key changed": "UPDATE auth.tenant_h SET tenant_hk = tenant_hk WHERE tenant_bk = 'ACME';"
    "UPDATE auth.tenant_h SET tenant_hk = '\\xacac' WHERE tenant_bk = 'ACME'",
    "row deleted": "DELETE FROM auth.tenant_h WHERE tenant_bk = 'ACME'",
    "table exclusive": "LOCK TABLE auth.tenant_h IN EXCLUSIVE MODE",
    "table access exclusive": "LOCK TABLE auth.tenant_h IN ACCESS EXCLUSIVE MODE",
    "users and tenants": "LOCK TABLE auth.tenant_h, auth.user_h IN ACCESS EXCLUSIVE MODE",
}


@pytest.fixture
def scene(vault_db: str, connect: Connect) -> str:
    """A database with two tenants."""
    prepare(vault_db)
    connect(vault_db).execute(
        "INSERT INTO auth.tenant_h (tenant_hk, tenant_bk, record_source)"
        " VALUES (%s, 'ACME', 't'), (%s, 'BOLT', 't')",
        [ACME, BOLT],
    )
    return vault_db


@pytest.fixture
def stored(scene: str, connect: Connect) -> Stored:
    """The vault, as the DBA reads it; nothing may take longer than ten seconds."""
    connection = connect(scene)
    connection.execute("SET statement_timeout = '10s'")
    return Stored(connection)


def of(stored: Stored, pid: int) -> list[dict[str, Any]]:
    """Hubs and rows of a session's locks, and in which table each one is."""
    return stored.rows(
        "SELECT h.tenant_hk, h.lock_activity_bk, h.load_date AS hub_date, s.load_date, s.load_end_date,"
        " s.satellite_id, s.resolution_action, h.tableoid::regclass::text AS hub_in,"
        " s.tableoid::regclass::text AS row_in"
        " FROM lock_monitoring.lock_activity_h h"
        " JOIN lock_monitoring.lock_activity_s s USING (lock_activity_hk)"
        " WHERE s.lock_pid = %s ORDER BY s.satellite_id",
        pid,
    )


def places(stored: Stored, pid: int) -> set[tuple[str, str]]:
    """Which tables have the session's hubs and rows."""
    return {(row["hub_in"], row["row_in"]) for row in of(stored, pid)}


PUBLISHED = {("lock_monitoring.lock_activity_h", "lock_monitoring.lock_activity_s")}
ASIDE = {("lock_engine.aside_lock_activity_h", "lock_engine.aside_lock_activity_s")}


def lasting(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What of the rows stays, whatever table they are in and whether they have ended since."""
    passing = (
        "hub_in",
        "row_in",
        "load_end_date",
        "resolution_action",
        "resolution_timestamp",
        "ended_how",
        "ended_at",
    )
    return [{key: row[key] for key in row if key not in passing} for row in rows]


def aside(stored: Stored) -> int:
    """How many rows are aside."""
    return sum(stored.value(f"SELECT count(*) FROM lock_engine.aside_{name}") for name in VAULT_TABLES)


def blocked_pair(scene: str, session: OpenSession, tenant: str, row: int) -> tuple[Session, Session]:
    """Two sessions of a tenant, the second waiting for the first."""
    pair = tuple(session(scene, application_name=f"tenant={tenant}") for _ in range(2))
    pair[0].run(f"UPDATE app.t0 SET n = 1 WHERE id = {row}")
    pair[1].start(f"UPDATE app.t0 SET n = 1 WHERE id = {row}")
    pair[1].wait_blocked()
    return pair[0], pair[1]


@pytest.mark.parametrize("lock", LOCKS)
def test_what_has_no_place_is_kept_aside_and_moves_when_the_lock_has_gone(
    scene: str, stored: Stored, session: OpenSession, lock: str
) -> None:
    root, waiter = blocked_pair(scene, session, "ACME", 1)
    stored.value("SELECT lock_engine.tenant_of('postgres', 'tenant=ACME')")  # seen before, as is usual
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


UNREADABLE = {
    "users locked": (
        "LOCK TABLE auth.user_h IN ACCESS EXCLUSIVE MODE",
        None,
        "lock timeout",
    ),
    "a policy that fails": (
        "ALTER TABLE auth.user_h ENABLE ROW LEVEL SECURITY;"
        "CREATE POLICY own ON auth.user_h USING (tenant_hk = current_setting('app.tenant')::bytea)",
        "DROP POLICY own ON auth.user_h; ALTER TABLE auth.user_h DISABLE ROW LEVEL SECURITY",
        "app.tenant",
    ),
    "a policy that hides": (
        "ALTER TABLE auth.user_h ENABLE ROW LEVEL SECURITY",
        "ALTER TABLE auth.user_h DISABLE ROW LEVEL SECURITY",
        "row security",
    ),
    "a column renamed": (
        "ALTER TABLE auth.user_h RENAME user_bk TO login",
        "ALTER TABLE auth.user_h RENAME login TO user_bk",
        "user_bk",
    ),
    "a right taken back": (
        "REVOKE SELECT (user_bk, tenant_hk) ON auth.user_h FROM lock_vault_owner",
        "GRANT SELECT (user_bk, tenant_hk) ON auth.user_h TO lock_vault_owner",
        "permission denied",
    ),
    "the table away": (
        "ALTER TABLE auth.user_h RENAME TO people",
        "ALTER TABLE auth.people RENAME TO user_h",
        "does not exist",
    ),
    "a view in its place": (
        "ALTER TABLE auth.user_h RENAME TO people; CREATE VIEW auth.user_h AS SELECT 1 / 0 AS user_bk",
        "DROP VIEW auth.user_h; ALTER TABLE auth.people RENAME TO user_h",
        "",
    ),
}


@pytest.mark.parametrize("what", UNREADABLE)
def test_whose_it_is_could_not_be_read_is_never_the_system(
    scene: str, stored: Stored, session: OpenSession, connect: Connect, what: str
) -> None:
    """It is counted and named, costs that look-up alone, and is put right once it can be read."""
    stored.connection.execute(
        "INSERT INTO auth.user_h (user_hk, user_bk, tenant_hk, record_source)"
        " VALUES ('\\x01', 'postgres', %s, 't')",
        [BOLT],
    )
    break_it, mend_it, words = UNREADABLE[what]
    dba = session(scene, autocommit=mend_it is not None)
    dba.run(break_it)
    named = session(scene, application_name="tenant=ACME")
    named.run("SELECT * FROM app.t0 LIMIT 1")
    root, waiter = blocked_pair(scene, session, "NOBODY", 1)
    stored.connection.execute("DELETE FROM lock_engine.tenant_claim")
    assert stored.capture()["blocking_locks"] > 0
    assert {bytes(row["tenant_hk"]) for row in of(stored, named.pid)} == {ACME}, (
        "it cost more than that look-up"
    )
    assert {bytes(row["tenant_hk"]) for row in of(stored, root.pid)} == {b""}
    assert places(stored, waiter.pid) == ASIDE and stored.episodes(root.pid)
    said = stored.one("SELECT * FROM lock_engine.part_state WHERE part = 'tenants'")
    assert said["failures_in_a_row"] >= 1 and words in said["last_error"]
    assert not stored.rows("SELECT * FROM lock_engine.tenant_claim WHERE claim = 'u:postgres'"), "remembered"
    stored.check_rules()
    dba.run(mend_it or "COMMIT")
    # the loop's next cycle: a failed look-up is not tried again within a fifth of a second
    poll(lambda: [stored.capture(), aside(stored) == 0][1], 5, "its place")
    assert stored.value("SELECT failures_in_a_row FROM lock_engine.part_state WHERE part = 'tenants'") == 0
    assert {bytes(row["tenant_hk"]) for row in of(stored, root.pid)} == {BOLT}
    assert bytes(stored.value("SELECT DISTINCT tenant_hk FROM ONLY lock_monitoring.lock_blocking_l")) == BOLT
    assert places(stored, root.pid) == places(stored, waiter.pid) == PUBLISHED
    stored.check_rules()


def test_a_tenant_that_was_deleted_is_looked_up_again(
    scene: str, stored: Stored, session: OpenSession
) -> None:
    stored.value("SELECT lock_engine.tenant_of('postgres', 'tenant=ACME')")
    stored.connection.execute("DELETE FROM auth.tenant_h WHERE tenant_bk = 'ACME'")
    holder = session(scene, application_name="tenant=ACME")
    holder.run("UPDATE app.t0 SET n = 1 WHERE id = 1")
    assert stored.capture()["locks_captured"] > 0
    assert of(stored, holder.pid)
    stored.capture()
    system = bytes(stored.value("SELECT lock_engine.system_tenant()"))
    assert {bytes(row["tenant_hk"]) for row in of(stored, holder.pid)} == {system}
    assert aside(stored) == 0


def test_for_all_tenants_the_tenants_table_is_not_touched(
    scene: str, stored: Stored, session: OpenSession
) -> None:
    locker = session(scene)
    locker.run(LOCKS["users and tenants"])
    stored.connection.execute("SET statement_timeout = '3s'")
    for call in (
        "run_lock_monitoring(NULL)",
        "capture_lock_activity(NULL)",
        "detect_blocking_sessions(NULL, 0)",
        "detect_deadlocks(NULL)",
        "analyze_lock_waits(NULL, 1)",
        "auto_resolve_blocking(NULL, 600, true)",
        "cleanup_old_data(30)",
    ):
        with stored.connection.transaction():
            stored.rows(f"SELECT * FROM lock_monitoring.{call}")
            asked = stored.rows(
                "SELECT l.mode FROM pg_locks l WHERE l.pid = pg_backend_pid() AND l.relation IN"
                " (SELECT c.oid FROM pg_class c WHERE c.relnamespace = 'auth'::regnamespace)"
            )
            assert asked == [], call


def test_a_tenant_is_known_from_before_while_the_table_is_locked(
    scene: str, stored: Stored, session: OpenSession
) -> None:
    stored.value("SELECT lock_engine.tenant_of('postgres', 'tenant=ACME')")
    locker = session(scene)
    locker.run(LOCKS["table access exclusive"])
    assert stored.rows("SELECT * FROM lock_monitoring.run_lock_monitoring(%s)", ACME)
    with pytest.raises(psycopg.errors.LockNotAvailable, match="cannot be read now"):
        stored.rows("SELECT * FROM lock_monitoring.run_lock_monitoring(%s)", BOLT)
    names = stored.rows("SELECT * FROM lock_engine.tenant_names()")
    assert "ACME" in {row["tenant_bk"] for row in names}


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


def test_satellites_that_a_site_has_partitioned_have_no_place_aside(
    scene: str, stored: Stored, session: OpenSession
) -> None:
    """A partitioned table can have no child: its rows are stored as soon as the tenant can be had."""
    stored.connection.execute(
        "ALTER TABLE lock_engine.aside_lock_activity_s NO INHERIT lock_monitoring.lock_activity_s"
    )
    root, waiter = blocked_pair(scene, session, "ACME", 1)
    locker = session(scene)
    locker.run(LOCKS["row for update"])
    assert stored.capture()["blocking_locks"] > 0
    assert of(stored, waiter.pid) == [] and stored.episodes(root.pid)
    stored.check_rules()
    locker.run("COMMIT")
    stored.capture()
    assert places(stored, root.pid) == places(stored, waiter.pid) == PUBLISHED
    stored.check_rules()
