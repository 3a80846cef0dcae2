"""Retention beside what others do: their locks, their policies, their cycles, and its own end half way."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from lockmon import retention
from tests.conftest import Connect, OpenSession
from tests.support.history import fill
from tests.support.poll import poll
from tests.support.stored import VAULT_TABLES, Stored

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "vault"])

OLD = 400
LOCKED = (
    "LOCK TABLE auth.tenant_h IN ACCESS EXCLUSIVE MODE",
    "SELECT * FROM auth.tenant_h FOR UPDATE",
    "LOCK TABLE monitoring.alert_event_s, monitoring.alert_message IN ACCESS EXCLUSIVE MODE",
)
POLICIES = (
    "ALTER TABLE {0} ENABLE ROW LEVEL SECURITY; ALTER TABLE {0} FORCE ROW LEVEL SECURITY;"
    " CREATE POLICY theirs ON {0} USING (current_setting('the.application') = 'x')"
)


@pytest.fixture
def stored(vault_db: str, connect: Connect) -> Stored:
    """A vault with old rows, as the DBA reads it."""
    stored = Stored(connect(vault_db))
    fill(stored.connection, OLD, "2020-01-01", "2020-02-01")
    return stored


def left(stored: Stored) -> int:
    """How many rows the vault has, of all its tables."""
    return sum(int(stored.value(f"SELECT count(*) FROM lock_monitoring.{name}")) for name in VAULT_TABLES)


def store(stored: Stored, rows: int, days: float, mark: str) -> None:
    """So many locks of the 23 hours before so many days ago."""
    ended = datetime.now().astimezone() - timedelta(days=days, minutes=5)
    fill(stored.connection, rows, (ended - timedelta(hours=23)).isoformat(), ended.isoformat(), mark)


def by_function(stored: Stored, dsn: str) -> str:
    """The guide's cron line; its last line."""
    return str(stored.rows("SELECT * FROM lock_monitoring.cleanup_old_data(30)")[-1]["cleanup_summary"])


def by_procedure(stored: Stored, dsn: str) -> str:
    """From psql; its last line."""
    return str(stored.one("CALL lock_engine.clean_up(30)")["report"]).splitlines()[-1]


def by_command(stored: Stored, dsn: str) -> str:
    """What `lockmon_cleanup` and the schedule do; its last line."""
    return retention.clean("vault", 30)[-1].cleanup_summary


WAYS = (by_function, by_procedure, by_command)
Way = Callable[[Stored, str], str]


@pytest.fixture(autouse=True)
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two refusals end the command, not thirty seconds of them."""
    monkeypatch.setattr(retention, "PATIENCE", 2)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("lock", LOCKED[:2])
def test_a_locked_tenant_holds_no_cleanup_up(
    stored: Stored, vault_db: str, session: OpenSession, way: Way, lock: str
) -> None:
    session(vault_db).run(lock)
    assert "nothing expired is left" in way(stored, vault_db)
    assert left(stored) == 0


@pytest.mark.parametrize("way", (by_function, by_command))
def test_locked_alert_tables_leave_the_vault_to_be_cleaned_and_are_said(
    stored: Stored, vault_db: str, session: OpenSession, way: Way
) -> None:
    locker = session(vault_db)
    locker.run(LOCKED[2])
    last = way(stored, vault_db)
    assert "Total: 920 rows deleted" in last and "in the way: " in last
    assert left(stored) == 0
    locker.run("ROLLBACK")
    assert "in the way" not in way(stored, vault_db)


@pytest.mark.parametrize("way", (by_function, by_command))
@pytest.mark.parametrize("table", ["auth.tenant_h", "monitoring.alert_message"])
def test_policies_of_the_site_stop_no_cleanup(stored: Stored, vault_db: str, way: Way, table: str) -> None:
    """A policy's expression that fails takes nothing back that was deleted before."""
    stored.connection.execute(
        "INSERT INTO monitoring.alert_message (kind, recipient, dedupe_key, context, state, created_at)"
        " VALUES ('test', 'x', 'x', '{}', 'sent', '2020-01-01')"
    )
    stored.connection.execute(POLICIES.format(table))
    last = way(stored, vault_db)
    assert "Total: 920 rows deleted" in last
    assert left(stored) == 0
    if table.startswith("monitoring"):
        assert "in the way: alerts: " in last and "the.application" in last
    else:
        assert "in the way" not in last


def test_a_trigger_of_the_site_that_fails_takes_nothing_back(stored: Stored, vault_db: str) -> None:
    stored.connection.execute(
        "CREATE FUNCTION public.no() RETURNS trigger LANGUAGE plpgsql"
        " AS $$ BEGIN RAISE EXCEPTION 'episodes are for ever'; END $$;"
        "CREATE TRIGGER no BEFORE DELETE ON lock_monitoring.blocking_session_s"
        " FOR EACH ROW EXECUTE FUNCTION public.no()"
    )
    last = by_function(stored, vault_db)
    assert "in the way: sessions: episodes are for ever" in last
    assert "40 expired rows are left" in last
    assert stored.value("SELECT count(*) FROM lock_monitoring.lock_activity_s") == 0
    stored.connection.execute("DROP TRIGGER no ON lock_monitoring.blocking_session_s")
    by_function(stored, vault_db)
    assert left(stored) == 0


@pytest.mark.parametrize("way", (by_procedure, by_command))
def test_what_a_batch_deleted_is_committed_while_the_cleanup_goes_on(
    stored: Stored,
    vault_db: str,
    session: OpenSession,
    connect: Connect,
    way: Way,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Killed at any moment it has done what it did: seen by others before it has ended."""
    monkeypatch.setattr(retention, "PATIENCE", 30)
    locker = session(vault_db)
    locker.run("LOCK TABLE lock_monitoring.blocking_session_s IN ACCESS EXCLUSIVE MODE")
    said: list[str] = []
    other = Stored(connect(vault_db))
    cleaning = threading.Thread(target=lambda: said.append(way(other, vault_db)))
    cleaning.start()
    try:
        poll(
            lambda: stored.value("SELECT count(*) = 0 FROM lock_monitoring.lock_activity_s"),
            20,
            "the first batches, committed",
        )
        assert cleaning.is_alive() and not said
    finally:
        locker.run("ROLLBACK")
        cleaning.join(60)
    assert "nothing expired is left" in said[0] and left(stored) == 0


def test_a_look_is_stored_while_somebody_keeps_a_cleanups_transaction_open(
    stored: Stored, vault_db: str, session: OpenSession
) -> None:
    """What it forgot of the coverage is said in a row that no look writes."""
    stored.capture()
    stored.connection.execute(
        "UPDATE lock_engine.watch_state SET first_look_at = now() - interval '90 days';"
        "INSERT INTO lock_engine.coverage_gap (gap_start, gap_end, reason)"
        " VALUES (now() - interval '50 days', now() - interval '49 days', 'a test'),"
        " (now() - interval '3 days', now() - interval '2 days', 'a test')"
    )
    cleaner = session(vault_db)
    cleaner.run("SELECT * FROM lock_monitoring.cleanup_old_data(30)")
    before = stored.value("SELECT last_look_at FROM lock_engine.watch_state")
    assert not stored.cycle()["monitoring_summary"].startswith("skipped")
    assert stored.value("SELECT last_look_at FROM lock_engine.watch_state") > before
    cleaner.run("COMMIT")
    bounds = stored.one(
        "SELECT known_from < now() - interval '30 days' AS old,"
        " known_from > now() - interval '32 days' AS known, forgotten FROM lock_engine.watch_bounds(now())"
    )
    assert bounds == {"old": True, "known": True, "forgotten": True}
    assert stored.value("SELECT count(*) FROM lock_engine.coverage_gap") == 1


def test_coverage_goes_in_pieces_and_what_it_knew_is_unknown_from_the_first(stored: Stored) -> None:
    stored.capture()
    stored.connection.execute(
        "UPDATE lock_engine.watch_state SET first_look_at = now() - interval '400 days';"
        "INSERT INTO lock_engine.coverage_gap (gap_start, gap_end, reason)"
        " SELECT now() - make_interval(days => 300, secs => 2 * g),"
        " now() - make_interval(days => 300, secs => 2 * g - 1), 'a test' FROM generate_series(1, 250) g"
    )
    call = (
        "SELECT state ->> 'part' AS part, (deleted ->> 'coverage')::integer AS deleted FROM"
        " lock_engine.delete_batch(now() - interval '30 days', '{\"part\": \"coverage\"}', 100)"
    )
    assert stored.one(call) == {"part": "coverage", "deleted": 100}
    assert stored.value("SELECT known_from > now() - interval '32 days' FROM lock_engine.watch_bounds(now())")
    assert [stored.one(call)["deleted"] for _ in range(2)] == [100, 50]
    assert stored.one(call) == {"part": "alerts", "deleted": 0}


def test_three_nights_of_the_guides_cron_leave_nothing_expired(stored: Stored, vault_db: str) -> None:
    """What comes in a day is what expires in a night. Rows are dated, no clock is moved."""
    a_day = 1500
    by_function(stored, vault_db)
    for day in range(3):
        store(stored, 300, 20 + day, f"day {day}")
    young = left(stored)
    for night in range(3):
        store(stored, a_day, 30, f"old {night}")
        store(stored, a_day, 0, f"new {night}")
        young += a_day * 23 // 10
        assert "nothing expired is left" in by_function(stored, vault_db)
        assert left(stored) == young
    stored.check_rules()


def test_a_second_cleanup_stands_back(stored: Stored, vault_db: str, session: OpenSession) -> None:
    first = session(vault_db)
    first.run("SELECT * FROM lock_engine.delete_batch(now() - interval '30 days', NULL, 10)")
    assert f"in the way: another cleanup is running (pid {first.pid})" in by_command(stored, vault_db)
    assert left(stored) == 920
    first.run("ROLLBACK")
    by_command(stored, vault_db)
    assert left(stored) == 0
