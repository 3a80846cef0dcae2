"""cleanup_old_data(): what is old and closed goes, hubs too; what is open or pointed at stays."""

from __future__ import annotations

import psycopg
import pytest

from tests.conftest import Connect, OpenSession
from tests.support.poll import poll
from tests.support.servers import Server
from tests.support.stored import VAULT_TABLES, Stored
from tests.support.tangle import prepare


@pytest.fixture
def stored(vault_db: str, connect: Connect) -> Stored:
    """The vault, as the DBA reads it."""
    return Stored(connect(vault_db))


def age(stored: Stored, days: int) -> None:
    """Make everything stored so many days older."""
    for table, columns in (
        ("lock_activity_s", ("load_date", "load_end_date")),
        ("blocking_session_s", ("load_date", "load_end_date")),
        ("lock_activity_h", ("load_date",)),
        ("blocking_session_h", ("load_date",)),
        ("lock_blocking_l", ("load_date",)),
    ):
        sets = ", ".join(f"{name} = {name} - make_interval(days => {days})" for name in columns)
        stored.connection.execute(f"UPDATE lock_monitoring.{table} SET {sets}")


def counts(stored: Stored) -> dict[str, int]:
    """Rows of each table of the vault."""
    return {name: stored.value(f"SELECT count(*) FROM lock_monitoring.{name}") for name in VAULT_TABLES}


def cleanup(stored: Stored, days: int | None) -> dict[str, int]:
    """The lines of a cleanup, by the table's name."""
    rows = stored.rows("SELECT * FROM lock_monitoring.cleanup_old_data(%s)", days)
    return {row["cleanup_summary"].split(":")[0]: row["records_cleaned"] for row in rows}


def block_and_end(stored: Stored, dsn: str, session: OpenSession) -> None:
    """A blocking episode that has ended, with its wait and its link."""
    root, waiter = session(dsn), session(dsn)
    root.run("UPDATE app.t0 SET n = 1 WHERE id = 1")
    waiter.start("UPDATE app.t0 SET n = 1 WHERE id = 1")
    waiter.wait_blocked()
    stored.capture()
    root.run("COMMIT")
    waiter.result()
    waiter.run("COMMIT")

    def closed() -> bool:
        stored.capture()
        return bool(
            stored.value(
                "SELECT count(*) = 0 FROM lock_monitoring.lock_activity_s WHERE load_end_date IS NULL"
            )
        )

    # a session of the test before this one may still be on its way out
    poll(closed, 10, "nothing open")


def test_what_ended_long_ago_goes_with_links_and_hubs(
    stored: Stored, vault_db: str, session: OpenSession
) -> None:
    prepare(vault_db)
    block_and_end(stored, vault_db, session)
    before = counts(stored)
    assert before["lock_blocking_l"] == 1
    age(stored, 31)
    said = cleanup(stored, 30)
    after = counts(stored)
    assert {name: count for name, count in after.items() if count} == {}
    assert {name: said[name] for name in VAULT_TABLES} == {
        name: before[name] - after[name] for name in VAULT_TABLES
    }
    assert said["Total"] == sum(before.values()) - sum(after.values())
    stored.check_rules()


def test_what_is_young_stays(stored: Stored, vault_db: str, session: OpenSession) -> None:
    prepare(vault_db)
    block_and_end(stored, vault_db, session)
    age(stored, 29)
    before = stored.fingerprint()
    assert cleanup(stored, 30)["Total"] == 0
    assert stored.fingerprint() == before


def test_an_open_row_stays_whatever_its_age(stored: Stored, vault_db: str, session: OpenSession) -> None:
    prepare(vault_db)
    holder, waiter = session(vault_db), session(vault_db)
    holder.run("LOCK TABLE app.t0 IN SHARE MODE")
    waiter.start("LOCK TABLE app.t0 IN EXCLUSIVE MODE")
    waiter.wait_blocked()
    stored.capture()
    age(stored, 400)
    before = counts(stored)
    assert cleanup(stored, 30)["Total"] == 0
    assert counts(stored) == before
    # The next cycle goes on with the rows and hubs that stayed.
    stored.capture()
    stored.check_rules()


def test_of_a_lock_that_goes_on_only_the_old_versions_go(
    stored: Stored, vault_db: str, session: OpenSession
) -> None:
    prepare(vault_db)
    holder = session(vault_db)
    holder.run("LOCK TABLE app.t0 IN SHARE MODE")
    stored.capture()
    holder.run("COMMIT")
    stored.capture()
    age(stored, 40)
    holder.run("LOCK TABLE app.t0 IN SHARE MODE")
    stored.capture()
    cleanup(stored, 30)
    rows = [row for row in stored.locks(holder.pid) if row["table_name"] == "t0"]
    assert [row["load_end_date"] for row in rows] == [None]
    stored.check_rules()


def test_more_than_one_batch(stored: Stored) -> None:
    stored.connection.execute(
        """
        WITH h AS (
            INSERT INTO lock_monitoring.lock_activity_h
                   (lock_activity_hk, lock_activity_bk, tenant_hk, load_date, record_source)
            SELECT sha256(g::text::bytea), 'old ' || g, (SELECT tenant_hk FROM auth.tenant_h LIMIT 1),
                   now() - interval '50 days', 'test' FROM generate_series(1, 10500) AS g
            RETURNING lock_activity_hk)
        INSERT INTO lock_monitoring.lock_activity_s
               (lock_activity_hk, load_date, load_end_date, hash_diff, lock_type, lock_mode, lock_pid,
                record_source)
        SELECT h.lock_activity_hk, now() - interval '50 days', now() - interval '49 days', '', 'relation',
               'ShareLock', 1, 'test' FROM h
        """
    )
    said = cleanup(stored, 30)
    assert (said["lock_activity_s"], said["lock_activity_h"]) == (10500, 10500)


def test_hubs_wait_for_the_next_cleanup_while_a_cycle_runs(
    stored: Stored, vault_db: str, session: OpenSession
) -> None:
    prepare(vault_db)
    block_and_end(stored, vault_db, session)
    age(stored, 31)
    cycle = session(vault_db)
    cycle.run("SELECT pg_advisory_xact_lock(460, 1)")
    rows = stored.rows("SELECT * FROM lock_monitoring.cleanup_old_data(30)")
    said = {row["cleanup_summary"] for row in rows}
    assert "lock_activity_h: left for the next cleanup, as a monitoring cycle is running" in said
    assert counts(stored)["lock_activity_s"] == 0 and counts(stored)["lock_activity_h"] > 0
    cycle.run("COMMIT")
    cleanup(stored, 30)
    assert counts(stored)["lock_activity_h"] == 0


@pytest.mark.parametrize("days", [-1, 36501, None])
def test_senseless_days_are_refused_and_nothing_is_deleted(
    stored: Stored, vault_db: str, session: OpenSession, days: int | None
) -> None:
    prepare(vault_db)
    block_and_end(stored, vault_db, session)
    age(stored, 100)
    before = stored.fingerprint()
    with pytest.raises(psycopg.errors.InvalidParameterValue) as refused:
        cleanup(stored, days)
    said = "NULL" if days is None else str(days)
    assert refused.value.diag.message_primary == (
        f"p_retention_days must be between 0 and 36500 days, not {said}; nothing was deleted."
    )
    assert stored.fingerprint() == before


def test_only_lock_admin_role_may_clean_up(stored: Stored, server: Server, vault_db: str) -> None:
    with psycopg.connect(vault_db, autocommit=True) as connection:
        connection.execute("SET ROLE lock_monitoring_role")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT * FROM lock_monitoring.cleanup_old_data(30)")
        connection.execute("SET ROLE lock_admin_role")
        assert connection.execute("SELECT * FROM lock_monitoring.cleanup_old_data(30)").fetchall()


def test_the_action_log_is_exempt(stored: Stored, vault_db: str, session: OpenSession) -> None:
    asked = stored.one("SELECT * FROM lock_admin.request_action('cancel', 1, now(), 'a test')")
    assert asked["accepted"] is False
    before = stored.value("SELECT count(*) FROM lock_admin.action_log")
    assert before > 0
    cleanup(stored, 0)
    assert stored.value("SELECT count(*) FROM lock_admin.action_log") == before
