"""Whose a session is: the tenant its application name claims, else its login's, else the system's."""

from __future__ import annotations

import pytest

from tests.conftest import Connect, OpenSession
from tests.support.stored import Stored
from tests.support.tangle import prepare

ACME, BOLT = b"\xac\x3e", b"\xb0\x17"


@pytest.fixture
def scene(vault_db: str, connect: Connect) -> str:
    """A database with two tenants; the login clerk belongs to BOLT."""
    prepare(vault_db)
    connection = connect(vault_db)
    connection.execute(
        "INSERT INTO auth.tenant_h (tenant_hk, tenant_bk, record_source)"
        " VALUES (%s, 'ACME', 't'), (%s, 'BOLT', 't')",
        [ACME, BOLT],
    )
    connection.execute(
        "INSERT INTO auth.user_h (user_hk, user_bk, tenant_hk, record_source)"
        " VALUES ('\\x01', 'clerk', %s, 't')",
        [BOLT],
    )
    connection.execute(
        "DO $$ BEGIN IF to_regrole('clerk') IS NULL THEN CREATE ROLE clerk LOGIN; END IF; END $$"
    )
    connection.execute("GRANT USAGE ON SCHEMA app TO clerk")
    connection.execute("GRANT ALL ON ALL TABLES IN SCHEMA app TO clerk")
    return vault_db


@pytest.fixture
def stored(scene: str, connect: Connect) -> Stored:
    """The vault, as the DBA reads it."""
    return Stored(connect(scene))


def tenants_of(stored: Stored, pid: int) -> set[bytes]:
    """The tenants of all hubs of a session's locks."""
    rows = stored.rows(
        "SELECT DISTINCT h.tenant_hk FROM lock_monitoring.lock_activity_h h"
        " JOIN lock_monitoring.lock_activity_s s USING (lock_activity_hk) WHERE s.lock_pid = %s",
        pid,
    )
    return {bytes(row["tenant_hk"]) for row in rows}


@pytest.mark.parametrize(
    ("application_name", "user", "expected"),
    [
        ("tenant=ACME", "postgres", ACME),
        ("billing tenant=ACME worker", "clerk", ACME),
        ("a;tenant=BOLT;b", "postgres", BOLT),
        ("billing", "clerk", BOLT),
        ("tenant=NOBODY", "clerk", BOLT),
        ("mytenant=ACME", "postgres", None),
        ("tenant=NOBODY", "postgres", None),
        ("", "postgres", None),
    ],
)
def test_the_claim_then_the_login_then_the_system(
    scene: str, stored: Stored, session: OpenSession, application_name: str, user: str, expected: bytes | None
) -> None:
    one = session(scene, user=user, application_name=application_name)
    one.run("UPDATE app.t0 SET n = 1 WHERE id = 1")
    stored.capture()
    system = bytes(stored.value("SELECT lock_engine.system_tenant()"))
    assert tenants_of(stored, one.pid) == {expected or system}


def test_business_keys_are_not_unique_and_the_lowest_key_counts(
    scene: str, stored: Stored, session: OpenSession
) -> None:
    stored.connection.execute(
        "INSERT INTO auth.tenant_h (tenant_hk, tenant_bk, record_source) VALUES ('\\x0001', 'ACME', 't'),"
        " ('\\xff', 'ACME', 't')"
    )
    one = session(scene, application_name="tenant=ACME")
    one.run("UPDATE app.t0 SET n = 1 WHERE id = 1")
    stored.capture()
    assert tenants_of(stored, one.pid) == {b"\x00\x01"}


def test_a_tenant_is_shown_its_own_and_what_it_waits_for(
    scene: str, stored: Stored, session: OpenSession
) -> None:
    """The filter is on what is returned; everything is stored."""
    acme = session(scene, application_name="tenant=ACME")
    bolt = session(scene, application_name="tenant=BOLT")
    own = session(scene, application_name="tenant=BOLT")
    acme.run("UPDATE app.t0 SET n = 1 WHERE id = 1")
    bolt.start("UPDATE app.t0 SET n = 1 WHERE id = 1")
    bolt.wait_blocked()
    own.run("LOCK TABLE app.t1 IN ACCESS EXCLUSIVE MODE")
    bystander = session(scene)
    bystander.start("SELECT count(*) FROM app.t1")
    bystander.wait_blocked()
    everything = stored.capture()

    def pids(tenant: bytes) -> set[int]:
        rows = stored.rows("SELECT * FROM lock_monitoring.detect_blocking_sessions(%s, 0)", tenant)
        return {row["blocking_session_id"] for row in rows}

    assert pids(ACME) == {acme.pid}
    assert pids(BOLT) == {acme.pid, own.pid}
    figures = {
        tenant: stored.one("SELECT * FROM lock_monitoring.run_lock_monitoring(%s)", tenant)
        for tenant in (ACME, BOLT)
    }
    assert figures[ACME]["blocking_sessions"] == 1 and figures[BOLT]["blocking_sessions"] == 2
    assert figures[BOLT]["monitoring_summary"].startswith("1 session waits behind 2 root blockers; ")
    counted = stored.one("SELECT * FROM lock_monitoring.capture_lock_activity(%s)", ACME)
    assert 0 < counted["locks_captured"] < everything["locks_captured"]
    assert counted["blocking_locks"] == 1
    assert stored.locks(bystander.pid), "the filter is not on what is stored"


def test_a_link_belongs_to_the_waiters_tenant(scene: str, stored: Stored, session: OpenSession) -> None:
    acme, bolt = (
        session(scene, application_name="tenant=ACME"),
        session(scene, application_name="tenant=BOLT"),
    )
    acme.run("UPDATE app.t0 SET n = 1 WHERE id = 1")
    bolt.start("UPDATE app.t0 SET n = 1 WHERE id = 1")
    bolt.wait_blocked()
    stored.capture()
    assert bytes(stored.value("SELECT tenant_hk FROM lock_monitoring.lock_blocking_l")) == BOLT
    assert bytes(stored.value("SELECT tenant_hk FROM lock_monitoring.blocking_session_h")) == ACME


def test_an_analysis_is_of_the_tenants_own_waits_and_blockers(
    scene: str, stored: Stored, session: OpenSession
) -> None:
    reader = session(scene, application_name="tenant=ACME")
    reader.run("SELECT count(*) FROM app.t0")
    migration = session(scene, application_name="tenant=ACME")
    migration.start("ALTER TABLE app.t0 ADD COLUMN note text")
    migration.wait_blocked()
    queued = session(scene, application_name="tenant=ACME")
    queued.start("SELECT count(*) FROM app.t0")
    queued.wait_blocked()
    stored.capture()
    found = {
        tenant: stored.one("SELECT * FROM lock_monitoring.analyze_lock_waits(%s, 1)", tenant)
        for tenant in (ACME, BOLT)
    }
    assert found[ACME]["blocking_events"] == 2 and "definition queued" in str(found[ACME]["recommendations"])
    assert found[BOLT]["total_lock_events"] == 0
    # the vault is younger than the period
    (advice,) = found[BOLT]["recommendations"]
    assert advice.startswith("Nobody was seen waiting for a lock; ")
    kept = stored.rows("SELECT tenant_hk FROM lock_monitoring.lock_wait_analysis_h")
    assert {bytes(row["tenant_hk"]) for row in kept} == {ACME, BOLT}
