"""Whose a row is: what could not be read is never the system tenant, and for all tenants nothing is asked."""

from __future__ import annotations

import psycopg
import pytest

from tests.conftest import Connect, OpenSession
from tests.support.aside import (
    ACME,
    ASIDE,
    BOLT,
    LOCKS,
    PUBLISHED,
    aside,
    blocked_pair,
    of,
    places,
    seen_before,
    two_tenants,
)
from tests.support.poll import poll
from tests.support.stored import Stored


@pytest.fixture
def scene(vault_db: str) -> str:
    """A database with two tenants."""
    two_tenants(vault_db)
    return vault_db


@pytest.fixture
def stored(scene: str, connect: Connect) -> Stored:
    """The vault, as the DBA reads it; nothing may take longer than ten seconds."""
    connection = connect(scene)
    connection.execute("SET statement_timeout = '10s'")
    return Stored(connection)


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
        "row-level security",
    ),
    "a policy that hides": (
        "ALTER TABLE auth.user_h ENABLE ROW LEVEL SECURITY",
        "ALTER TABLE auth.user_h DISABLE ROW LEVEL SECURITY",
        "row-level security",
    ),
    "a column renamed": (
        "ALTER TABLE auth.user_h RENAME user_bk TO login",
        "ALTER TABLE auth.user_h RENAME login TO user_bk",
        "user_bk",
    ),
    "a right taken back": (
        "REVOKE SELECT (user_bk, tenant_hk) ON auth.user_h FROM lock_site_reader",
        "GRANT SELECT (user_bk, tenant_hk) ON auth.user_h TO lock_site_reader",
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
        "auth.user_h is a view, not a plain table",
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
    seen_before(stored.connection, "ACME")
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
    """Also whose name was read with all the others; one that nobody has read yet is not denied."""
    stored.connection.execute("SELECT lock_engine.ask_site(true)")
    locker = session(scene)
    locker.run("INSERT INTO auth.tenant_h (tenant_hk, tenant_bk, record_source) VALUES ('\\xcc', 'NEW', 't')")
    locker.run(LOCKS["table access exclusive"])
    for known in (ACME, BOLT):
        assert stored.rows("SELECT * FROM lock_monitoring.run_lock_monitoring(%s)", known)
    with pytest.raises(psycopg.errors.LockNotAvailable, match="cannot be read now"):
        stored.rows("SELECT * FROM lock_monitoring.run_lock_monitoring(%s)", b"\xcc")
    names = stored.rows("SELECT * FROM lock_engine.tenant_names()")
    assert {"ACME", "BOLT"} <= {row["tenant_bk"] for row in names}
    locker.run("COMMIT")
    assert stored.rows("SELECT * FROM lock_monitoring.run_lock_monitoring(%s)", b"\xcc")
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="There is no tenant"):
        stored.rows("SELECT * FROM lock_monitoring.run_lock_monitoring(%s)", b"\xdd")
