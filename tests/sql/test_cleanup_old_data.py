"""cleanup_old_data(): what is old and closed goes, hubs too; what is open or pointed at stays."""

from __future__ import annotations

import json
import re
from typing import Any

import psycopg
import pytest

from tests.conftest import Connect, OpenSession
from tests.support.history import fill
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


def end_all(stored: Stored) -> None:
    """End the other sessions of this database, and wait until they are gone."""
    others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    stored.rows(f"SELECT pg_terminate_backend(pid) {others}")
    poll(lambda: stored.value(f"SELECT count(*) = 0 {others}"), 10, "the sessions' end")


def test_what_ended_long_ago_goes_with_links_and_hubs(
    stored: Stored, vault_db: str, session: OpenSession
) -> None:
    prepare(vault_db)
    block_and_end(stored, vault_db, session)
    before = counts(stored)
    assert before["lock_blocking_l"] == 1
    age(stored, 31)
    end_all(stored)
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


def test_a_lock_whose_session_lives_stays_until_the_session_has_ended(
    stored: Stored, vault_db: str, session: OpenSession
) -> None:
    prepare(vault_db)
    holder = session(vault_db)
    holder.run("LOCK TABLE app.t0 IN SHARE MODE")
    stored.capture()
    holder.run("COMMIT")
    stored.capture()
    age(stored, 40)
    assert cleanup(stored, 30)["lock_activity_h"] == 0
    # a cycle writes that very hub again
    holder.run("LOCK TABLE app.t0 IN SHARE MODE")
    stored.capture()
    stored.check_rules()
    holder.run("COMMIT")
    stored.capture()
    end_all(stored)
    age(stored, 40)
    cleanup(stored, 30)
    assert counts(stored)["lock_activity_h"] == 0


def test_a_transaction_kept_open_with_a_cycle_in_it_holds_no_cleanup_up(
    stored: Stored, vault_db: str, session: OpenSession
) -> None:
    """The cycle holds its lock and has written a lock of a session that ends before it commits."""
    prepare(vault_db)
    holder, cycle = session(vault_db), session(vault_db)
    holder.run("LOCK TABLE app.t0 IN SHARE MODE")
    stored.capture()
    holder.run("COMMIT")
    stored.capture()
    age(stored, 40)
    holder.run("LOCK TABLE app.t0 IN SHARE MODE")
    cycle.run("SELECT * FROM lock_monitoring.capture_lock_activity()")
    pid = holder.pid
    stored.value("SELECT pg_terminate_backend(%s)", pid)
    poll(
        lambda: stored.value("SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = %s", pid),
        10,
        "the holder's end",
    )
    fill(stored.connection, 50, "2020-01-01", "2020-01-02")
    assert cleanup(stored, 30)["lock_activity_h"] >= 50
    cycle.run("COMMIT")
    stored.check_rules()
    open_rows = [row for row in stored.locks(pid) if row["table_name"] == "t0" and not row["load_end_date"]]
    assert len(open_rows) == 1
    stored.capture()
    stored.check_rules()


def test_cycles_run_while_a_cleanup_holds_all_that_it_deletes(
    stored: Stored, vault_db: str, session: OpenSession
) -> None:
    prepare(vault_db)
    fill(stored.connection, 300, "2020-01-01", "2020-01-02")
    cleaner, holder = session(vault_db), session(vault_db)
    said = cleaner.run("SELECT * FROM lock_monitoring.cleanup_old_data(30)")
    assert said is not None
    holder.run("LOCK TABLE app.t0 IN SHARE MODE")
    assert not stored.cycle()["monitoring_summary"].startswith("skipped")
    stored.capture()
    assert [row["table_name"] for row in stored.locks(holder.pid, "table_name = 't0'")] == ["t0"]
    last = stored.rows("SELECT * FROM lock_monitoring.cleanup_old_data(30)")[-1]["cleanup_summary"]
    assert f"in the way: another cleanup is running (pid {cleaner.pid})" in last
    cleaner.run("COMMIT")
    stored.check_rules()


@pytest.mark.slow
def test_a_cleanup_stops_at_its_budget_keeps_what_it_did_and_says_what_is_left(stored: Stored) -> None:
    fill(stored.connection, 90000, "2020-01-01", "2020-03-01")
    stored.connection.execute(
        "UPDATE lock_admin.setting SET value = '1' WHERE name = 'retention.budget_seconds'"
    )
    rows = stored.rows("SELECT * FROM lock_monitoring.cleanup_old_data(30)")
    left = re.search(r"([\d,]+) expired rows are left: run it again", rows[-1]["cleanup_summary"])
    assert left, rows[-1]
    really = stored.value(
        "SELECT (SELECT count(*) FROM lock_monitoring.lock_activity_s)"
        " + (SELECT count(*) FROM lock_monitoring.blocking_session_s)"
    )
    assert int(left[1].replace(",", "")) == really < 99000
    stored.connection.execute(
        "UPDATE lock_admin.setting SET value = '600' WHERE name = 'retention.budget_seconds'"
    )
    last = stored.rows("SELECT * FROM lock_monitoring.cleanup_old_data(30)")[-1]
    assert "nothing expired is left" in last["cleanup_summary"]
    assert sum(counts(stored).values()) == 0


def test_a_statement_timeout_ends_no_cleanup(stored: Stored) -> None:
    """The page login's way: 30 s of statement_timeout rolled everything back, each night."""
    fill(stored.connection, 60000, "2020-01-01", "2020-02-01")
    stored.connection.execute("SET statement_timeout = '10s'")
    for _ in range(10):
        if (
            "nothing expired is left"
            in stored.rows("SELECT * FROM lock_monitoring.cleanup_old_data(30)")[-1]["cleanup_summary"]
        ):
            break
    stored.connection.execute("RESET statement_timeout")
    assert sum(counts(stored).values()) == 0


def test_rows_of_one_moment_go_batch_by_batch_and_those_that_stay_do_not_stop_it(
    stored: Stored, vault_db: str, session: OpenSession
) -> None:
    """What stays of one load_date is passed over, not found again for ever."""
    holder = session(vault_db)
    holder.run("SELECT 1")
    fill(stored.connection, 200, "2020-01-01", "2020-01-01")
    stored.connection.execute(
        "UPDATE lock_monitoring.lock_activity_h h SET lock_activity_bk = a.pid || '|'"
        " || (date_part('epoch', a.backend_start) * 1000000)::bigint || '|' || h.lock_activity_bk"
        " FROM pg_stat_activity a"
        " WHERE a.pid = %s AND split_part(h.lock_activity_bk, '|', 2)::integer %% 3 = 0",
        [holder.pid],
    )
    state: Any = None
    for _ in range(100):
        one = stored.one(
            "SELECT * FROM lock_engine.delete_batch(now() - interval '1 day', %s::jsonb, 20)",
            json.dumps(state) if state else None,
        )
        state = one["state"]
        if state is None:
            break
    assert state is None
    assert counts(stored)["lock_activity_s"] == counts(stored)["lock_activity_h"] == 66
    stored.check_rules()


def test_a_batch_goes_on_where_the_one_before_was_killed(
    stored: Stored, vault_db: str, connect: Connect
) -> None:
    fill(stored.connection, 4000, "2020-01-01", "2020-02-01")
    other = connect(vault_db)
    with other.transaction(force_rollback=True):
        other.execute("SELECT * FROM lock_engine.delete_batch(now() - interval '1 day', NULL, 100)")
    state = other.execute(
        "SELECT state::text FROM lock_engine.delete_batch("
        "now() - interval '1 day', '{\"part\": \"locks\"}', 1000)"
    ).fetchone()
    assert state and state[0]
    pid = other.info.backend_pid
    stored.value("SELECT pg_terminate_backend(%s)", pid)
    assert counts(stored)["lock_activity_s"] == 3000
    connect(vault_db).execute("CALL lock_engine.clean_up(30)")
    assert sum(counts(stored).values()) == 0


def test_the_procedure_commits_each_batch_and_refuses_a_transaction(
    stored: Stored, vault_db: str, connect: Connect
) -> None:
    fill(stored.connection, 6000, "2020-01-01", "2020-02-01")
    caller = connect(vault_db)
    with pytest.raises(psycopg.errors.ActiveSqlTransaction) as refused, caller.transaction():
        caller.execute("SELECT 1")
        caller.execute("CALL lock_engine.clean_up(30)")
    assert "cannot run inside a transaction: run it by itself" in str(refused.value)
    caller.execute("SET ROLE lock_admin_role")
    row = caller.execute("CALL lock_engine.clean_up(30)").fetchone()
    assert row and "lock_activity_s: 6000 rows older than" in row[0] and "nothing expired is left" in row[0]
    assert sum(counts(stored).values()) == 0
    # more than one commit: the batches have transactions of their own
    assert stored.value("SELECT count(*) FROM lock_engine.retention_state") == 2


def test_what_the_site_refers_to_stays_and_the_rest_goes(stored: Stored) -> None:
    fill(stored.connection, 300, "2020-01-01", "2020-02-01")
    stored.connection.execute(
        "CREATE TABLE incident (lock_hk bytea REFERENCES lock_monitoring.lock_activity_h (lock_activity_hk));"
        "INSERT INTO incident SELECT lock_activity_hk FROM lock_monitoring.lock_activity_h"
        " WHERE lock_activity_bk IN ('old|7', 'old|250')"
    )
    cleanup(stored, 30)
    left = {row["lock_activity_bk"] for row in stored.rows("SELECT * FROM lock_monitoring.lock_activity_h")}
    assert left == {"old|7", "old|250"}
    stored.check_rules()


def test_hubs_that_a_release_before_left_without_rows_go(stored: Stored) -> None:
    fill(stored.connection, 100, "2020-01-01", "2020-02-01")
    stored.connection.execute(
        "DELETE FROM lock_monitoring.lock_blocking_l; DELETE FROM lock_monitoring.lock_activity_s;"
        "DELETE FROM lock_monitoring.blocking_session_s"
    )
    said = cleanup(stored, 30)
    assert (said["lock_activity_h"], said["blocking_session_h"]) == (100, 10)
    assert sum(counts(stored).values()) == 0


def test_a_locked_table_is_named_and_what_was_done_is_kept(
    stored: Stored, vault_db: str, session: OpenSession
) -> None:
    fill(stored.connection, 100, "2020-01-01", "2020-02-01")
    locker = session(vault_db)
    locker.run("LOCK TABLE lock_monitoring.blocking_session_s IN ACCESS EXCLUSIVE MODE")
    rows = stored.rows("SELECT * FROM lock_monitoring.cleanup_old_data(30)")
    assert f"in the way: pid {locker.pid} holds AccessExclusiveLock" in rows[-1]["cleanup_summary"]
    assert stored.value("SELECT count(*) FROM lock_monitoring.lock_activity_s") == 0
    locker.run("COMMIT")
    assert (
        "nothing expired is left"
        in stored.rows("SELECT * FROM lock_monitoring.cleanup_old_data(30)")[-1]["cleanup_summary"]
    )


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
