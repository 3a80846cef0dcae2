"""The dashboards: what is shown is true now, also when cycles have stopped."""

from __future__ import annotations

import pytest

from tests.conftest import Connect, OpenSession
from tests.support import scenes
from tests.support.poll import poll
from tests.support.sessions import Session
from tests.support.stored import Row, Stored
from tests.support.tangle import prepare


@pytest.fixture
def scene(vault_db: str) -> str:
    """A database with the vault and some tables."""
    prepare(vault_db)
    return vault_db


@pytest.fixture
def stored(scene: str, connect: Connect) -> Stored:
    """The vault, as the DBA reads it."""
    return Stored(connect(scene))


def blocking(stored: Stored) -> list[Row]:
    """The dashboard of blocking sessions."""
    return stored.rows("SELECT * FROM lock_monitoring.blocking_sessions_dashboard")


def activity(stored: Stored) -> list[Row]:
    """The dashboard of locks, tables of the scene only."""
    return stored.rows("SELECT * FROM lock_monitoring.lock_activity_dashboard WHERE schema_name = 'app'")


def stop_cycles(stored: Stored) -> None:
    """As if the last good cycle were a minute old."""
    stored.connection.execute(
        "UPDATE lock_engine.cycle_state SET checked_at = checked_at - interval '1 minute'"
    )


def row_queue(dsn: str, session: OpenSession, waiters: int) -> tuple[Session, list[Session]]:
    """A root and those who wait for its row."""
    root = session(dsn, application_name="billing")
    root.run("UPDATE app.t0 SET n = 1 WHERE id = 1")
    queue = []
    for _ in range(waiters):
        one = session(dsn)
        one.start("UPDATE app.t0 SET n = 1 WHERE id = 1")
        queue.append(one.wait_blocked())
    return root, queue


def test_roots_come_first_and_severity_is_ranked_not_sorted_as_text(
    scene: str, stored: Stored, session: OpenSession
) -> None:
    root, _ = row_queue(scene, session, 3)
    other = session(scene)
    other.run("LOCK TABLE app.t1 IN ACCESS EXCLUSIVE MODE")
    reader = session(scene)
    reader.start("SELECT count(*) FROM app.t1")
    reader.wait_blocked()
    stored.capture()
    # As if time had passed: HIGH for the one, CRITICAL for the other.
    for pid, minutes in ((root.pid, 10), (other.pid, 2)):
        stored.connection.execute(
            "UPDATE lock_monitoring.blocking_session_s"
            " SET blocking_since = blocking_since - make_interval(mins => %s) WHERE session_pid = %s",
            [minutes, pid],
        )
    rows = blocking(stored)
    assert [(row["session_pid"], row["blocking_severity"], row["is_root"]) for row in rows[:2]] == [
        (root.pid, "CRITICAL", True),
        (other.pid, "HIGH", True),
    ]
    assert not any(row["is_root"] for row in rows[2:])
    assert [row["escalation_level"] for row in rows[:2]] == [3, 2]
    assert [row["urgency_level"] for row in rows[:2]] == ["IMMEDIATE", "URGENT"]
    assert rows[0]["blocking_duration_seconds"] >= 600


def test_ages_grow_between_two_cycles(scene: str, stored: Stored, session: OpenSession) -> None:
    row_queue(scene, session, 2)
    stored.capture()
    first = blocking(stored)[0]

    def older() -> Row | None:
        row = blocking(stored)[0]
        return row if row["blocking_duration_seconds"] > first["blocking_duration_seconds"] else None

    later = poll(older, 5, "a second more", interval=0.1)
    assert later["satellite_id"] == first["satellite_id"], "nothing was stored in between"
    assert later["blocking_impact_score"] > first["blocking_impact_score"]


def test_what_the_guides_queries_read_is_there(scene: str, stored: Stored, session: OpenSession) -> None:
    root, _ = row_queue(scene, session, 1)
    stored.capture()
    row = blocking(stored)[0]
    assert row["session_pid"] == root.pid and row["application_name"] == "billing"
    assert row["is_superuser"] is True and row["kill_threshold_seconds"] == 300
    assert row["auto_kill_eligible"] is False, "a superuser's session is never ended by itself"
    assert "COMMIT or ROLLBACK" in row["recommended_action"]
    assert row["query_preview"] == "UPDATE app.t0 SET n = 1 WHERE id = 1"


def test_locks_are_summed_up_by_type_mode_and_relation(
    scene: str, stored: Stored, session: OpenSession
) -> None:
    for _ in range(2):
        session(scene).run("LOCK TABLE app.t0 IN SHARE MODE")
    waiter = session(scene, application_name="other")
    waiter.start("LOCK TABLE app.t0 IN EXCLUSIVE MODE")
    waiter.wait_blocked()
    stored.capture()
    rows = {row["lock_mode"]: row for row in activity(stored)}
    assert set(rows) == {"ShareLock", "ExclusiveLock"}
    share, exclusive = rows["ShareLock"], rows["ExclusiveLock"]
    assert (share["lock_count"], share["waiting_locks"], share["blocking_locks"]) == (2, 0, 2)
    assert (exclusive["lock_count"], exclusive["waiting_locks"], exclusive["blocking_locks"]) == (1, 1, 0)
    assert share["relation_name"] == "app.t0" and share["distinct_applications"] == 1
    # Waits first.
    assert activity(stored)[0]["lock_mode"] == "ExclusiveLock"


def test_when_cycles_stop_the_dead_are_not_shown_and_the_living_are(
    scene: str, stored: Stored, session: OpenSession
) -> None:
    root, (first, second) = row_queue(scene, session, 2)
    other = session(scene)
    other.run("LOCK TABLE app.t1 IN SHARE MODE")
    stored.capture()
    root.close()
    first.result()
    first.close()
    second.result()
    for pid in (root.pid, first.pid):
        stored.wait_gone(pid)
    stop_cycles(stored)
    assert stored.value(
        "SELECT count(*) FROM lock_monitoring.blocking_session_s WHERE load_end_date IS NULL"
    ), "nobody has end-dated them"
    assert [row["session_pid"] for row in blocking(stored)] == []
    shown = stored.rows(
        "SELECT relation_name, lock_mode FROM lock_monitoring.lock_activity_dashboard"
        " WHERE relation_name = 'app.t1'"
    )
    assert shown == [{"relation_name": "app.t1", "lock_mode": "ShareLock"}]
    other.close()
    second.close()
    poll(lambda: activity(stored) == [], 10, "nothing of sessions that are gone")


def test_when_cycles_stop_a_decided_prepared_transaction_is_not_shown(
    scene: str, stored: Stored, session: OpenSession
) -> None:
    maker, waiter = session(scene), session(scene)
    maker.run("UPDATE app.t0 SET n = 1 WHERE id = 1")
    maker.run("PREPARE TRANSACTION 'undecided'")
    waiter.start("UPDATE app.t0 SET n = 1 WHERE id = 1")
    waiter.wait_blocked()
    stored.capture()
    stop_cycles(stored)
    assert [row["prepared_gid"] for row in blocking(stored)] == ["undecided"]
    assert [row["session_pid"] for row in blocking(stored)] == [0]
    assert any(row["lock_mode"] == "RowExclusiveLock" for row in activity(stored))
    stored.connection.execute("ROLLBACK PREPARED 'undecided'")
    waiter.result()
    waiter.close()
    assert blocking(stored) == []
    poll(lambda: activity(stored) == [], 10, "no lock of a transaction that was rolled back")


def test_a_pid_given_again_is_not_the_session_that_had_it(
    scene: str, stored: Stored, session: OpenSession
) -> None:
    row_queue(scene, session, 1)
    stored.capture()
    stored.connection.execute(
        "UPDATE lock_monitoring.blocking_session_s"
        " SET session_start_time = session_start_time - interval '1 hour'"
    )
    stop_cycles(stored)
    assert blocking(stored) == []


def test_each_dashboard_answers_an_empty_vault(stored: Stored) -> None:
    for name in (
        "lock_activity_dashboard",
        "blocking_sessions_dashboard",
        "deadlock_events_dashboard",
        "lock_wait_analysis_dashboard",
    ):
        assert stored.rows(f"SELECT * FROM lock_monitoring.{name}") == []


def test_analyses_are_rated(stored: Stored) -> None:
    stored.rows("SELECT * FROM lock_monitoring.analyze_lock_waits(NULL, 1)")
    (row,) = stored.rows("SELECT * FROM lock_monitoring.lock_wait_analysis_dashboard")
    assert (row["efficiency_score"], row["efficiency_rating"]) == (None, None), "nobody has watched"
    stored.rows("DELETE FROM lock_monitoring.lock_wait_analysis_s RETURNING 1")
    scenes.watched(stored.connection, days=30 / 1440)
    stored.rows("SELECT * FROM lock_monitoring.analyze_lock_waits(NULL, 1)")
    (row,) = stored.rows("SELECT * FROM lock_monitoring.lock_wait_analysis_dashboard")
    assert (row["efficiency_score"], row["efficiency_rating"]) == (100, None), "half of it was watched"
    stored.rows("DELETE FROM lock_monitoring.lock_wait_analysis_s RETURNING 1")
    scenes.watched(stored.connection)
    stored.rows("SELECT * FROM lock_monitoring.analyze_lock_waits(NULL, 1)")
    (row,) = stored.rows("SELECT * FROM lock_monitoring.lock_wait_analysis_dashboard")
    assert (row["efficiency_score"], row["efficiency_rating"]) == (100, "EXCELLENT")
    assert row["avg_wait_time_ms"] is None
