"""run_lock_monitoring(): what a cycle says, and that it never waits for anybody."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from tests.conftest import Connect, OpenSession
from tests.support.poll import poll
from tests.support.servers import Server
from tests.support.stored import VAULT_TABLES, Stored
from tests.support.tangle import prepare

STATE_TABLES = (
    "lock_engine.cycle_state",
    "lock_engine.tenant_claim",
    "lock_engine.deadlock_counter",
    "lock_engine.deadlock_capture",
    "lock_engine.deadlock_ledger",
    "lock_engine.deadlock_observation",
    "lock_admin.setting",
    "lock_admin.action_log",
    "lock_log.event",
    "lock_log.source",
    "lock_log.state",
)


@pytest.fixture
def scene(vault_db: str) -> str:
    """A database with the vault and some tables."""
    prepare(vault_db)
    return vault_db


@pytest.fixture
def stored(scene: str, connect: Connect) -> Stored:
    """The vault, as the DBA reads it; nothing may take longer than ten seconds."""
    connection = connect(scene)
    connection.execute("SET statement_timeout = '10s'")
    return Stored(connection)


def test_a_quiet_database_is_said_to_be_quiet(stored: Stored) -> None:
    figures = stored.cycle()
    assert figures["monitoring_summary"].startswith("Nobody is waiting; ")
    assert (figures["blocking_sessions"], figures["critical_issues"]) == (0, 0)
    assert figures["recommendations"] == []


def test_blocking_is_summed_up_with_advice_for_each_root(
    scene: str, stored: Stored, session: OpenSession
) -> None:
    roots = [session(scene), session(scene)]
    for number, root in enumerate(roots):
        root.run(f"LOCK TABLE app.t{number} IN ACCESS EXCLUSIVE MODE")
    for number in (0, 0, 1):
        waiter = session(scene)
        waiter.start(f"SELECT count(*) FROM app.t{number}")
        waiter.wait_blocked()
    figures = poll(
        lambda: found if (found := stored.cycle())["blocking_sessions"] == 2 else None, 5, "two blockers"
    )
    assert figures["monitoring_summary"].startswith("3 sessions wait behind 2 root blockers; ")
    advice = figures["recommendations"]
    assert len(advice) == 2 and "2 sessions wait behind it" in advice[0] and "1 session waits" in advice[1]
    assert f"Session {roots[0].pid} is idle inside an open transaction" in advice[0]
    again = stored.cycle()
    assert again["recommendations"] == advice and again["blocking_sessions"] == 2


def test_a_cycle_leaves_young_locks_to_the_setting(scene: str, stored: Stored, session: OpenSession) -> None:
    holder = session(scene)
    holder.run("LOCK TABLE app.t0 IN SHARE MODE")
    stored.connection.execute(
        "UPDATE lock_admin.setting SET value = '3600' WHERE name = 'capture.min_transaction_age_seconds'"
    )
    stored.cycle()
    assert stored.locks(holder.pid) == []
    # Waiting and blocking locks are kept always.
    waiter = session(scene)
    waiter.start("LOCK TABLE app.t0 IN EXCLUSIVE MODE")
    waiter.wait_blocked()
    poll(lambda: [stored.cycle(), stored.locks(waiter.pid)][1], 5, "the wait in the vault")
    assert [row["lock_mode"] for row in stored.locks(holder.pid, "blocking_count > 0")] == ["ShareLock"]
    stored.connection.execute(
        "UPDATE lock_admin.setting SET value = '0' WHERE name = 'capture.min_transaction_age_seconds'"
    )
    young = session(scene)
    young.run("LOCK TABLE app.t1 IN SHARE MODE")
    stored.cycle()
    assert [row["lock_mode"] for row in stored.locks(young.pid, "table_name = 't1'")] == ["ShareLock"]
    stored.check_rules()


def test_a_second_cycle_is_skipped_and_names_the_first(
    scene: str, stored: Stored, session: OpenSession
) -> None:
    first = session(scene)
    first.run(
        "SELECT * FROM lock_monitoring.run_lock_monitoring()"
    )  # its transaction keeps the advisory lock
    before = stored.fingerprint()
    figures = stored.cycle()
    assert figures["monitoring_summary"] == f"skipped: another cycle is running (pid {first.pid})"
    assert [figures[name] for name in ("locks_captured", "blocking_sessions", "critical_issues")] == [
        None
    ] * 3
    assert stored.capture()["locks_captured"] is None
    assert stored.fingerprint() == before
    first.run("COMMIT")
    assert stored.cycle()["locks_captured"] is not None


@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
def test_a_cycle_in_a_frozen_snapshot_is_refused_with_a_sentence(stored: Stored, level: str) -> None:
    stored.connection.execute(f"BEGIN ISOLATION LEVEL {level}")
    with pytest.raises(psycopg.errors.InvalidTransactionState, match=f"this transaction is {level}"):
        stored.cycle()
    stored.connection.execute("ROLLBACK")
    assert stored.cycle()["locks_captured"] is not None


@pytest.fixture(scope="module")
def lasting(server: Server, template_vault: str) -> Iterator[str]:
    """One database for all tables that are locked in turn."""
    name = server.create_database(template=template_vault)
    prepare(server.dsn(name))
    yield server.dsn(name)
    server.drop_database(name)


@pytest.mark.parametrize("table", [*(f"lock_monitoring.{name}" for name in VAULT_TABLES), *STATE_TABLES])
def test_the_monitor_does_not_hang_when_its_own_table_is_locked(
    lasting: str, connect: Connect, session: OpenSession, table: str
) -> None:
    stored = Stored(connect(lasting))
    stored.connection.execute("SET statement_timeout = '10s'")
    root, waiter, locker = (session(lasting) for _ in range(3))
    root.run("UPDATE app.t0 SET n = 1 WHERE id = 1")
    waiter.start("UPDATE app.t0 SET n = 1 WHERE id = 1")
    waiter.wait_blocked()
    locker.run(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
    said = stored.cycle()["monitoring_summary"]
    # A cycle that did not need the table goes on; one that did says who has it.
    assert not said.startswith("skipped") or f"pid {locker.pid} holds" in said, said
    if table in (*(f"lock_monitoring.{name}" for name in VAULT_TABLES[:5]), "lock_engine.cycle_state"):
        assert said == f"skipped: pid {locker.pid} holds AccessExclusiveLock on {table}"
    # The live tree reads without writing, and goes on.
    assert stored.rows("SELECT * FROM lock_catalog.graph")
    if table.endswith("blocking_session_s"):
        with pytest.raises(
            psycopg.errors.LockNotAvailable, match=f"pid {locker.pid} holds AccessExclusiveLock"
        ):
            stored.rows("SELECT * FROM lock_monitoring.detect_blocking_sessions(NULL, 0)")
    locker.run("ROLLBACK")
    assert not stored.cycle()["monitoring_summary"].startswith("skipped")
    stored.check_rules()


def test_no_cycle_fails_whichever_of_our_tables_is_locked(
    lasting: str, connect: Connect, session: OpenSession
) -> None:
    """Every table that there is, as an upgrade or a dump may lock any of them."""
    stored = Stored(connect(lasting))
    stored.connection.execute("SET statement_timeout = '10s'")
    root, waiter, locker = (session(lasting) for _ in range(3))
    tables = [
        name
        for (name,) in stored.connection.execute(
            "SELECT format('%s.%s', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n"
            " ON n.oid = c.relnamespace WHERE c.relkind = 'r'"
            " AND n.nspname IN ('lock_engine', 'lock_admin', 'lock_log', 'monitoring') ORDER BY 1"
        )
        if name not in STATE_TABLES
    ]
    assert len(tables) > 20
    for number, table in enumerate(tables):
        # each cycle has something to store
        if number % 2 == 0:
            root.run("UPDATE app.t0 SET n = 1 WHERE id = 1")
            waiter.start("UPDATE app.t0 SET n = 1 WHERE id = 1")
            waiter.wait_blocked()
        else:
            root.run("ROLLBACK")
            waiter.result()
            waiter.run("ROLLBACK")
        locker.run(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        said = stored.cycle()["monitoring_summary"]
        assert not said.startswith("skipped") or f"pid {locker.pid} holds" in said, (table, said)
        locker.run("ROLLBACK")
    assert not stored.cycle()["monitoring_summary"].startswith("skipped")
    stored.check_rules()


def test_looking_for_the_culprit_does_not_wait_either(
    scene: str, stored: Stored, session: OpenSession
) -> None:
    """An upgrade replaces views, too: those that tell who holds what."""
    stored.connection.execute("SET statement_timeout = '10s'")
    upgrade = session(scene)
    upgrade.run("LOCK TABLE lock_catalog.locks IN ACCESS EXCLUSIVE MODE")
    said = "skipped: locked by another session: canceling statement due to lock timeout"
    assert stored.cycle()["monitoring_summary"] == said
    (nothing_deleted,) = stored.rows("SELECT * FROM lock_engine.delete_batch(now() - interval '30 days')")
    assert nothing_deleted["in_the_way"] == "a view of lock_catalog is locked by another session"
    upgrade.run("SELECT pg_advisory_xact_lock(460, 1), pg_advisory_xact_lock(460, 8)")
    assert stored.cycle()["monitoring_summary"] == "skipped: another cycle is running"
    (nothing_deleted,) = stored.rows("SELECT * FROM lock_engine.delete_batch(now() - interval '30 days')")
    assert nothing_deleted["in_the_way"] == "another cleanup is running"


def test_a_table_locked_in_the_middle_of_a_cycle_leaves_no_half_written_cycle(
    scene: str, stored: Stored, session: OpenSession
) -> None:
    """The locks are stored before the sessions: where the latter cannot be, neither is."""
    root, waiter, locker = (session(scene) for _ in range(3))
    root.run("UPDATE app.t0 SET n = 1 WHERE id = 1")
    waiter.start("UPDATE app.t0 SET n = 1 WHERE id = 1")
    waiter.wait_blocked()
    locker.run("LOCK TABLE lock_monitoring.blocking_session_h IN SHARE MODE")
    before = stored.fingerprint()
    assert stored.cycle()["monitoring_summary"].startswith(f"skipped: pid {locker.pid} holds ShareLock")
    assert stored.fingerprint() == before


def test_an_unknown_tenant_is_refused_in_one_sentence(stored: Stored) -> None:
    before = stored.fingerprint()
    for function in (
        "run_lock_monitoring",
        "capture_lock_activity",
        "detect_blocking_sessions",
        "analyze_lock_waits",
    ):
        with pytest.raises(psycopg.errors.InvalidParameterValue) as refused:
            stored.rows(f"SELECT * FROM lock_monitoring.{function}(%s)", b"nobody")
        assert str(refused.value.diag.message_primary) == (
            "There is no tenant with tenant_hk 6e6f626f6479;"
            " give one of auth.tenant_h, or NULL for all tenants."
        )
    assert stored.fingerprint() == before
