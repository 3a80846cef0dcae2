"""analyze_lock_waits(): figures from what was stored, checked against waits whose figures are known."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import psycopg
import pytest

from tests.conftest import Connect, OpenSession
from tests.support import scenes
from tests.support.poll import poll
from tests.support.stored import Row, Stored
from tests.support.tangle import prepare


@pytest.fixture
def stored(vault_db: str, connect: Connect) -> Stored:
    """The vault, as the DBA reads it, watched for long."""
    scenes.watched(connect(vault_db))
    return Stored(connect(vault_db))


def wait(stored: Stored, key: str, minutes_ago: float, seconds: float, **other: Any) -> None:
    """A wait that began so many minutes ago and lasted so long, in two versions as a long wait has."""
    begin = stored.value("SELECT clock_timestamp() - make_interval(secs => %s)", minutes_ago * 60.0)
    middle, end = begin + timedelta(seconds=seconds / 2), begin + timedelta(seconds=seconds)
    hk = scenes.hub(stored.connection, "lock_activity", key)
    for number, (load, ended) in enumerate(((begin, middle), (middle, end))):
        values: dict[str, Any] = {
            "lock_activity_hk": hk,
            "load_date": load,
            "load_end_date": ended,
            "hash_diff": bytes([number]),
            "lock_type": "relation",
            "lock_mode": "AccessExclusiveLock",
            "relation_name": "app.accounts",
            "schema_name": "app",
            "table_name": "accounts",
            "lock_pid": 4711,
            "user_name": "clerk",
            "lock_granted": False,
            "wait_start": begin,
            "wait_start_is_bound": False,
            "resolution_action": "granted" if number else None,
            "object_key": "relation:1:2",
            "record_source": "test",
        }
        scenes.insert(stored.connection, "lock_activity_s", values | other)


def analyze(stored: Stored, hours: int = 1) -> tuple[Row, Row]:
    """What the function returns, and the open row that it stored."""
    returned = stored.one("SELECT * FROM lock_monitoring.analyze_lock_waits(NULL, %s)", hours)
    kept = stored.one(
        "SELECT * FROM lock_monitoring.lock_wait_analysis_s WHERE load_end_date IS NULL"
        " ORDER BY load_date DESC LIMIT 1"
    )
    return returned, kept


def test_without_waits_nothing_is_invented(stored: Stored) -> None:
    scenes.watched(stored.connection, days=62 / 1440)
    returned, kept = analyze(stored)
    assert returned["average_wait_time_ms"] is None and returned["efficiency_score"] == 100
    assert returned["recommendations"] == ["Nobody waited for a lock in this period."]
    unknown = (
        "average_lock_wait_time_ms",
        "max_lock_wait_time_ms",
        "most_contended_table",
        "most_blocked_user",
        "lock_escalation_events",
        "intent_lock_conflicts",
        "trend_direction",
        "forecast_next_period",
        "maintenance_window_impact",
        "contention_hotspots",
    )
    assert {name: kept[name] for name in unknown} == dict.fromkeys(unknown)
    assert any(reason.startswith("trend_direction: ") for reason in kept["unknown"])


def test_true_wait_times_and_the_share_of_time_somebody_waited(stored: Stored) -> None:
    # 2 s and 12 s overlap by 1 s; 4 s stand alone: 13 + 4 seconds in which somebody waited.
    wait(stored, "a", 30, 12)
    wait(stored, "b", 30 - 11 / 60, 2, user_name="reader", lock_mode="AccessShareLock")
    wait(
        stored,
        "c",
        10,
        4,
        relation_name="app.orders",
        table_name="orders",
        lock_type="transactionid",
        lock_mode="ShareLock",
    )
    returned, kept = analyze(stored)
    assert returned["total_lock_events"] == 3 and returned["average_wait_time_ms"] == 6000
    assert float(returned["efficiency_score"]) == pytest.approx(100 * (1 - 17 / 3600), abs=0.01)
    figures = {
        "max_lock_wait_time_ms": 12000,
        "p50_lock_wait_time_ms": 4000,
        "p95_lock_wait_time_ms": 11200,
        "blocked_seconds": 18,
        "most_contended_table": "app.accounts",
        "most_blocked_user": "clerk",
        "peak_concurrent_locks": 2,
        "shared_lock_conflicts": 1,
        "exclusive_lock_conflicts": 1,
        "update_lock_conflicts": 1,
    }
    assert {name: kept[name] for name in figures} == figures
    hot = kept["contention_hotspots"]
    assert [(one["object"], one["waits"], one["blocked_seconds"]) for one in hot] == [
        ("app.accounts", 2, 14.0),
        ("app.orders", 1, 4.0),
    ]
    assert returned["recommendations"][0].startswith("app.accounts cost the most waiting")


def test_a_wait_counts_with_the_part_that_lies_in_the_period(stored: Stored) -> None:
    # the period ends with the minute, which must not end meanwhile
    poll(
        lambda: stored.value("SELECT date_part('second', clock_timestamp()) < 45"), 20, "a minute's beginning"
    )
    end = stored.value("SELECT date_trunc('minute', clock_timestamp()) + interval '1 minute'")
    now = stored.value("SELECT clock_timestamp()")
    border = 60 - (end - now).total_seconds() / 60
    wait(stored, "across the border", border + 0.5, 60)
    _, kept = analyze(stored)
    assert float(kept["blocked_seconds"]) == pytest.approx(30, abs=1.5)
    assert kept["average_lock_wait_time_ms"] == 60000, "the wait itself is as long as it was"
    assert float(kept["previous_blocked_seconds"]) == pytest.approx(30, abs=1.5)


@pytest.mark.parametrize(
    ("before", "after", "trend"), [(100, 10, "FALLING"), (10, 100, "RISING"), (50, 51, "STABLE")]
)
def test_the_trend_compares_with_the_period_before(
    stored: Stored, before: float, after: float, trend: str
) -> None:
    wait(stored, "before", 90, before)
    wait(stored, "after", 30, after)
    assert analyze(stored)[1]["trend_direction"] == trend


def test_a_bound_is_called_a_bound(stored: Stored) -> None:
    wait(stored, "a", 30, 2, wait_start_is_bound=True)
    assert "1 of 1 waits: their beginning is known as a bound only" in analyze(stored)[1]["unknown"]


def test_a_row_wait_whose_table_nobody_showed_says_so(stored: Stored) -> None:
    wait(
        stored,
        "a",
        30,
        2,
        lock_type="transactionid",
        relation_name="transaction 77",
        schema_name=None,
        table_name=None,
        object_key="transactionid:77",
    )
    kept = analyze(stored)[1]
    assert kept["most_contended_table"] is None
    assert kept["contention_hotspots"][0]["object"] == "transactionid (table unknown)"


def test_a_real_wait_is_analysed(stored: Stored, vault_db: str, session: OpenSession) -> None:
    prepare(vault_db)
    root, waiter = session(vault_db), session(vault_db)
    root.run("UPDATE app.t0 SET n = 1 WHERE id = 1")
    waiter.start("UPDATE app.t0 SET n = 1 WHERE id = 1")
    waiter.wait_blocked()
    poll(lambda: [stored.cycle(), stored.locks(waiter.pid, "NOT lock_granted")][1], 5, "the wait stored")
    root.run("COMMIT")
    waiter.result()
    stored.cycle()
    returned, kept = analyze(stored)
    assert returned["blocking_events"] == 1 and kept["most_contended_table"] == "app.t0"
    assert kept["most_blocking_user"] == kept["most_blocked_user"] == "postgres"
    (row, *_) = stored.locks(waiter.pid, "NOT lock_granted")
    last = stored.locks(waiter.pid, "NOT lock_granted")[-1]
    end = last["log_end_at"] or last["last_seen_at"]
    truth = (end - row["wait_start"]).total_seconds() * 1000
    bounded = [reason for reason in kept["unknown"] if "their end is known between two looks only" in reason]
    assert len(bounded) == (last["log_end_at"] is None)
    assert float(kept["max_lock_wait_time_ms"]) == pytest.approx(truth, abs=1)


def test_the_same_analysis_again_is_one_row_and_a_changed_one_a_new_version(stored: Stored) -> None:
    wait(stored, "a", 30, 2)

    def within_a_minute() -> bool:
        return bool(stored.value("SELECT extract(second FROM clock_timestamp()) < 50"))

    poll(within_a_minute, 15, "enough of the minute left", interval=0.2)
    for _ in range(3):
        analyze(stored)
    assert stored.value("SELECT count(*) FROM lock_monitoring.lock_wait_analysis_s") == 1
    wait(stored, "b", 20, 2)
    analyze(stored)
    rows = stored.rows("SELECT * FROM lock_monitoring.lock_wait_analysis_s ORDER BY load_date")
    assert [row["load_end_date"] is None for row in rows] == [False, True]
    assert rows[0]["load_end_date"] == rows[1]["load_date"]


@pytest.mark.parametrize("hours", [0, -5, 8785, None])
def test_senseless_hours_are_refused_in_one_sentence(stored: Stored, hours: int | None) -> None:
    before = stored.fingerprint()
    with pytest.raises(psycopg.errors.InvalidParameterValue) as refused:
        stored.rows("SELECT * FROM lock_monitoring.analyze_lock_waits(NULL, %s)", hours)
    said = "NULL" if hours is None else str(hours)
    assert refused.value.diag.message_primary == (
        f"p_analysis_period_hours must be between 1 and 8784 hours, not {said}."
    )
    assert stored.fingerprint() == before
