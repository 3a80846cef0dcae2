"""Numbers that rules are made of, each on both of its sides: a graph given by hand, in which nothing else
differs; the steps of durations; how long a function of ours waits for a lock."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import psycopg
import pytest

from tests.support.readings import IN_VAULT, NODES, PARTS, asked

AT = datetime(2026, 12, 1, 3, 0, tzinfo=UTC)
# PostgreSQL's table "Conflicting Lock Modes", as lock_catalog.locks has it: bit n for the n-th mode
MODES = {
    "AccessShareLock": (2, 256),
    "RowShareLock": (4, 384),
    "RowExclusiveLock": (8, 480),
    "ShareUpdateExclusiveLock": (16, 496),
    "ShareLock": (32, 472),
    "ShareRowExclusiveLock": (64, 504),
    "ExclusiveLock": (128, 508),
    "AccessExclusiveLock": (256, 510),
}
MILLISECOND = timedelta(milliseconds=1)
MICROSECOND = timedelta(microseconds=1)


def lock(pid: int, mode: str, wait_start: datetime | None = None, granted: bool = False) -> dict[str, Any]:
    """A row of lock_catalog.locks: a lock on one relation."""
    bit, conflicts = MODES[mode]
    of = {
        "lock_type": "relation",
        "database_oid": 5,
        "relation_oid": 7,
        "object_hash": 70,
        "object_key": "r:5:7",
    }
    return of | {
        "pid": pid,
        "lock_mode": mode,
        "mode_bit": bit,
        "conflict_bits": conflicts,
        "granted": granted,
        "wait_start": None if wait_start is None else wait_start.isoformat(),
        "virtualtransaction": f"{pid}/1",
    }


def graph(vault: psycopg.Connection[Any], locks: list[dict[str, Any]]) -> dict[int, dict[str, Any]]:
    """The graph of these locks, where every waiter waits for pid 1."""
    pids = {one["pid"] for one in locks}
    begun = (AT - timedelta(minutes=1)).isoformat()
    like = {
        "backend_start": begun,
        "earliest_wait": begun,
        "backend_type": "client backend",
        "state": "active",
    }
    parts: dict[str, list[dict[str, Any]]] = {part: [] for part in PARTS}
    parts |= {
        "sessions": [like | {"pid": pid, "lock_group": pid, "query": ""} for pid in pids],
        "locks": locks,
        "blockers": [{"pid": one["pid"], "blockers": [1]} for one in locks if not one["granted"]],
    }
    given = [AT.isoformat(), [], *(json.dumps(parts[part]) for part in PARTS)]
    return {row["node"]: row for row in asked(vault, NODES.format(IN_VAULT), given)}


@pytest.mark.parametrize(
    ("apart", "alone"), [(20 * MILLISECOND - MICROSECOND, True), (20 * MILLISECOND, False)]
)
def test_waits_of_conflicting_modes_less_than_20_ms_apart_have_no_order(
    vault: psycopg.Connection[Any], apart: timedelta, alone: bool
) -> None:
    """Then each is asked about alone: two like ones behind them are no run."""
    first = AT - timedelta(seconds=9)
    found = graph(
        vault,
        [
            lock(1, "AccessExclusiveLock", granted=True),
            lock(2, "ExclusiveLock", first),
            lock(3, "ShareLock", first + apart),
            lock(4, "ShareLock", first + timedelta(seconds=1)),
        ],
    )
    assert found[4]["run_head"] == (4 if alone else 3)


@pytest.mark.parametrize(("waiters", "alone"), [(16, True), (64, True), (65, False)])
def test_up_to_64_waiters_without_an_order_are_asked_about_one_by_one(
    vault: psycopg.Connection[Any], waiters: int, alone: bool
) -> None:
    found = graph(
        vault,
        [lock(1, "AccessExclusiveLock", granted=True), lock(2, "ExclusiveLock")]
        + [lock(pid, "ShareLock") for pid in range(3, waiters + 2)],
    )
    heads = {row["run_head"] for node, row in found.items() if node > 2}
    assert heads == (set(range(3, waiters + 2)) if alone else {3})


@pytest.mark.parametrize(("classes", "named"), [(40, {1}), (41, {1, 41})])
def test_from_the_41st_class_on_the_head_of_the_class_ahead_is_named(
    vault: psycopg.Connection[Any], classes: int, named: set[int]
) -> None:
    """Up to there PostgreSQL says who blocks; here it says pid 1 of everybody."""
    modes = ("ExclusiveLock", "ShareLock")
    last = classes + 1
    found = graph(
        vault,
        [lock(1, "AccessExclusiveLock", granted=True)]
        + [lock(pid, modes[pid % 2], AT - timedelta(seconds=100 - pid)) for pid in range(2, last + 1)],
    )
    assert {*found[last]["hard_blockers"], *found[last]["soft_blockers"]} == named


@pytest.mark.parametrize("between", MODES)
@pytest.mark.parametrize("mode", MODES)
def test_a_conflicting_request_between_two_like_ones_parts_them(
    vault: psycopg.Connection[Any], mode: str, between: str
) -> None:
    """What does not conflict with them, or is like them, leaves them one run."""
    order = ((2, mode), (3, between), (4, mode))
    found = graph(
        vault,
        [lock(1, "AccessExclusiveLock", granted=True)]
        + [lock(pid, of, AT - timedelta(seconds=10 - pid)) for pid, of in order],
    )
    parted = mode != between and MODES[mode][1] & MODES[between][0] != 0
    assert found[4]["run_head"] == (4 if parted else 2)


def test_durations_are_written_again_at_round_lengths(vault: psycopg.Connection[Any]) -> None:
    minute, hour, day, year = 60, 3600, 86400, 31536000
    wanted = [0, 1, 2, 5, 10, 30]
    wanted += [n * minute for n in (1, 2, 5, 10, 30)]
    wanted += [n * hour for n in (1, 2, 5, 10)]
    wanted += [n * day for n in (1, 2, 5, 10, 30)]
    wanted += [year, 100 * year]
    row = vault.execute("SELECT lock_engine.duration_steps()").fetchone()
    assert row is not None and row[0] == wanted
    assert all(one < other for one, other in pairwise(row[0]))


LOCK_TIMEOUTS = {
    # a person waits for an answer, and what he asked for is to be done
    "5s": "adopt disarm save_policy set_policy_mode",
    "2s": "auto_resolve cleanup_old_data execute_action request_action",
    "1s": "act_on_alert_event add_alert_message analyze_lock_waits auto_resolve_blocking backtest_policy"
    " capture_lock_activity claim_alert_message detect_blocking_sessions detect_deadlocks"
    " finish_alert_message follow_up forget_alerts merge_held_alert_messages mirror_alert_events"
    " record_denied resolve_plan run_lock_monitoring run_policies save_alert_configuration session_facts"
    " store_alert_states version_alert_configuration write_alert_event",
    # within a cycle, a look or a page
    "200ms": "claim_patterns cleanup_report collect_deadlocks delete_batch own_logins place_rows"
    " rescue_plan_of roll_up_waits run_cycle store_seen",
    "50ms": "ask_site_here part_failed part_ok",
    "5ms": "check_keys read_site store_analysis_hub",
    "1ms": "tenant_state",
}


def test_no_function_waits_longer_for_a_lock_than_it_may(vault: psycopg.Connection[Any]) -> None:
    rows = vault.execute(
        "SELECT p.proname, substring(c.setting FROM '=(.*)')"
        " FROM pg_proc AS p, unnest(p.proconfig) AS c (setting)"
        " WHERE c.setting LIKE 'lock_timeout=%' AND p.pronamespace::regnamespace::text IN"
        " ('lock_admin', 'lock_catalog', 'lock_engine', 'lock_log', 'lock_monitoring', 'monitoring')"
    ).fetchall()
    wanted = {name: limit for limit, names in LOCK_TIMEOUTS.items() for name in names.split()}
    assert dict(rows) == wanted


def test_signals_count_for_an_hour(vault: psycopg.Connection[Any]) -> None:
    vault.execute("SET session_replication_role = replica")
    for minutes, action in ((59, 1), (61, 2)):
        vault.execute(
            "INSERT INTO lock_admin.action_log (action_id, step, origin, action, target_pid, logged_at)"
            " OVERRIDING SYSTEM VALUE VALUES (%s, 'signal', 'person', 'cancel', 1,"
            " clock_timestamp() - make_interval(mins => %s))",
            [action, minutes],
        )
    assert vault.execute("SELECT lock_admin.signals_in_last_hour()").fetchone() == (1,)
