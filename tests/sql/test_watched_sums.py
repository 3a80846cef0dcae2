"""Sums count watched seconds only, before and after whole hours were rolled up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from tests.conftest import Connect
from tests.support import scenes
from tests.support.stored import Stored

# a whole hour and a half, well in the past
BEGAN = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=4)
ENDED = BEGAN + timedelta(minutes=90)
GAP = (BEGAN + timedelta(minutes=10), BEGAN + timedelta(minutes=70))


@pytest.fixture
def vault(vault_db: str, connect: Connect) -> psycopg.Connection[Any]:
    """A vault watched for long, with one wait of ninety minutes; its blocker's row counts three."""
    connection = connect(vault_db)
    scenes.watched(connection)
    scenes.insert(
        connection,
        "lock_activity_s",
        {
            "lock_activity_hk": scenes.hub(connection, "lock_activity", "one"),
            "load_date": BEGAN,
            "load_end_date": ENDED,
            "hash_diff": b"1",
            "lock_type": "relation",
            "lock_mode": "AccessExclusiveLock",
            "relation_name": "app.accounts",
            "schema_name": "app",
            "table_name": "accounts",
            "lock_pid": 1,
            "user_name": "clerk",
            "lock_granted": False,
            "wait_start": BEGAN,
            "wait_start_is_bound": False,
            "resolution_action": "granted",
            "object_key": "relation:1:2",
            "blocking_nodes": [2],
            "root_nodes": [2],
            "record_source": "test",
        },
    )
    scenes.insert(
        connection,
        "blocking_session_s",
        {
            "blocking_session_hk": scenes.hub(connection, "blocking_session", "one"),
            "load_date": BEGAN,
            "load_end_date": ENDED,
            "hash_diff": b"1",
            "session_pid": 2,
            "session_start_time": BEGAN,
            "application_name": "billing",
            "user_name": "app",
            "database_name": "d",
            "blocked_sessions_count": 3,
            "blocking_severity": "HIGH",
            "backend_type": "client backend",
            "record_source": "test",
            "node": 2,
            "is_root": True,
            "kind": "idle_in_transaction",
            "blocking_since": BEGAN,
            "ended_how": "released",
        },
    )
    return connection


def gap(vault: psycopg.Connection[Any], start: datetime, end: datetime) -> None:
    vault.execute(
        "INSERT INTO lock_engine.coverage_gap (gap_start, gap_end, reason) VALUES (%s, %s, 'x')", [start, end]
    )


def one(vault: psycopg.Connection[Any], question: str, *values: Any) -> Any:
    row = vault.execute(question, values).fetchone()
    return None if row is None else row[0]


def lost(vault: psycopg.Connection[Any], dimension: str, start: datetime, end: datetime) -> float:
    question = "SELECT sum(seconds) FROM lock_engine.losses_between(%s, %s, %s)"
    return float(one(vault, question, [dimension], start, end) or 0)


def hours(vault: psycopg.Connection[Any]) -> list[float]:
    question = "SELECT seconds FROM lock_engine.waiting_by_hour(%s, %s) ORDER BY hour"
    return [row[0] for row in vault.execute(question, [BEGAN, BEGAN + timedelta(hours=2)]).fetchall()]


def test_seconds_count_only_where_somebody_watched(vault: psycopg.Connection[Any]) -> None:
    day = (BEGAN - timedelta(hours=19), BEGAN + timedelta(hours=5))
    assert lost(vault, "all", *day) == 90 * 60
    assert lost(vault, "application", *day) == 90 * 60, "the waits, not what their blocker's row counts"
    assert hours(vault) == [3600, 1800]
    gap(vault, *GAP)
    for rolled in (False, True):
        if rolled:
            assert one(vault, "SELECT lock_engine.roll_up_waits('1 minute')") > 0
        assert lost(vault, "all", *day) == 30 * 60
        assert lost(vault, "relation", *day) == 30 * 60
        assert lost(vault, "application", *day) == 30 * 60
        assert hours(vault) == [600, 1200]
        assert lost(vault, "all", GAP[0], GAP[1]) == 0
        assert lost(vault, "all", BEGAN + timedelta(minutes=5), BEGAN + timedelta(minutes=75)) == 10 * 60


def test_a_gap_that_is_found_after_its_hour_was_rolled_up_counts_too(vault: psycopg.Connection[Any]) -> None:
    assert one(vault, "SELECT lock_engine.roll_up_waits('1 minute')") > 0
    assert hours(vault) == [3600, 1800]
    gap(vault, *GAP)
    assert hours(vault) == [600, 1200]
    assert one(vault, "SELECT lock_engine.roll_up_waits('1 minute')") > 0
    assert hours(vault) == [600, 1200]
    watched = "SELECT seconds FROM lock_engine.wait_rollup WHERE dimension = 'watched' AND hour = %s"
    assert one(vault, watched, BEGAN) == pytest.approx(600)
    assert one(vault, watched, BEGAN + timedelta(hours=1)) == pytest.approx(3000)


def test_a_wait_knows_all_its_seconds_and_those_that_were_watched(vault: psycopg.Connection[Any]) -> None:
    gap(vault, *GAP)
    question = "SELECT wait_seconds, seconds_in_period FROM lock_engine.waits_between(NULL, %s, %s)"
    ((length, within),) = vault.execute(question, [BEGAN, ENDED]).fetchall()
    assert (length, within) == (90 * 60, 30 * 60)


def test_what_is_open_counts_no_longer_than_somebody_looks(vault: psycopg.Connection[Any]) -> None:
    vault.execute("UPDATE lock_monitoring.lock_activity_s SET load_end_date = NULL, resolution_action = NULL")
    vault.execute(
        "UPDATE lock_engine.watch_state SET last_look_at = %s, by_loop = true",
        [BEGAN + timedelta(minutes=20)],
    )
    assert lost(vault, "all", BEGAN, BEGAN + timedelta(hours=5)) == 20 * 60
    question = "SELECT wait_end FROM lock_engine.waits_between(NULL, %s, %s)"
    assert one(vault, question, BEGAN, ENDED) == BEGAN + timedelta(minutes=20)


def test_the_analysis_counts_and_compares_by_watched_hours(vault: psycopg.Connection[Any]) -> None:
    stored = Stored(vault)
    gap(vault, *GAP)
    stored.rows("SELECT * FROM lock_monitoring.analyze_lock_waits(NULL, 6)")
    row = stored.one("SELECT * FROM lock_monitoring.lock_wait_analysis_s WHERE load_end_date IS NULL")
    assert float(row["blocked_seconds"]) == 30 * 60
    share = float(row["watched_share"])
    assert share == pytest.approx(5 / 6, abs=0.01)
    assert float(row["previous_watched_share"]) == 1
    watched = 6 * 3600 * share
    assert float(row["lock_efficiency_score"]) == pytest.approx(100 * (1 - 1800 / watched), abs=0.2)
    assert row["trend_direction"] == "RISING"
    # most of the period before was not watched: no trend, but the reason
    gap(vault, BEGAN - timedelta(hours=6), BEGAN - timedelta(hours=2))
    stored.rows("SELECT * FROM lock_monitoring.analyze_lock_waits(NULL, 6)")
    row = stored.one("SELECT * FROM lock_monitoring.lock_wait_analysis_s ORDER BY satellite_id DESC LIMIT 1")
    assert row["trend_direction"] is None
    assert any("were watched, 80.0 % of each are asked for" in reason for reason in row["unknown"])


def test_a_beginning_that_the_log_proves_counts_everywhere(vault: psycopg.Connection[Any]) -> None:
    """Before PostgreSQL 14 the vault knows the earliest moment at which a wait may have begun."""
    vault.execute(
        "UPDATE lock_monitoring.lock_activity_s SET wait_start = wait_start - interval '30 minutes',"
        " wait_start_is_bound = true, log_end_at = load_end_date, waited_ms = 6300000"
    )
    day = (BEGAN - timedelta(hours=19), BEGAN + timedelta(hours=5))
    for dimension in ("all", "relation", "application", "user"):
        assert lost(vault, dimension, *day) == 105 * 60, dimension
    waits = "SELECT sum(own_seconds) FROM lock_engine.waits_between(NULL, %s, %s)"
    assert one(vault, waits, *day) == 105 * 60
    episode = (
        "SELECT sum(seconds) FROM lock_engine.behind_episodes("
        "ARRAY(SELECT blocking_session_hk FROM lock_monitoring.blocking_session_h))"
    )
    assert one(vault, episode) == 105 * 60
    half_way = "SELECT seconds FROM lock_engine.behind_at(%s)"
    assert one(vault, half_way, BEGAN + timedelta(minutes=45)) == 60 * 60
