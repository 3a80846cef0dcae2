"""A part of the monitor that fails is counted and named, and takes nothing else with it."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from tests.conftest import Connect


@pytest.fixture
def dba(vault_db: str, connect: Connect) -> psycopg.Connection[Any]:
    return connect(vault_db)


def failing(dba: psycopg.Connection[Any]) -> list[str]:
    """The parts without which the monitor says that it watches."""
    row = dba.execute("SELECT failing_parts FROM lock_engine.monitor_status").fetchone()
    assert row is not None
    return list(row[0])


def fail(dba: psycopg.Connection[Any], part: str, message: str = "it broke") -> None:
    dba.execute("SELECT lock_engine.part_failed(%s, 'P0001', %s, 1, 'pid 7')", [part, message])


def test_a_part_is_failing_from_its_second_failure_in_a_row(dba: psycopg.Connection[Any]) -> None:
    fail(dba, "episodes", "first")
    assert failing(dba) == []
    fail(dba, "episodes", "second")
    assert failing(dba) == ["episodes"]
    row = dba.execute(
        "SELECT failures_in_a_row, failures, set_aside, what, last_sqlstate, last_error, last_ok_at, "
        "failing_since < last_failed_at FROM lock_engine.part_state"
    ).fetchone()
    assert row == (2, 2, 1, "pid 7", "P0001", "second", None, True)
    dba.execute("SELECT lock_engine.part_ok('episodes')")
    assert failing(dba) == []
    row = dba.execute(
        "SELECT failures_in_a_row, failures, set_aside, what, last_error, failing_since, "
        "last_ok_at > last_failed_at FROM lock_engine.part_state"
    ).fetchone()
    assert row == (0, 2, 0, None, "second", None, True)
    fail(dba, "episodes")
    assert failing(dba) == []


def test_one_run_counts_once_however_often_it_says_so(dba: psycopg.Connection[Any]) -> None:
    with dba.transaction():
        for _again in range(3):
            fail(dba, "tenants")
    assert failing(dba) == []


def test_a_working_part_leaves_no_row(dba: psycopg.Connection[Any]) -> None:
    dba.execute("SELECT lock_engine.part_ok('links')")
    assert dba.execute("SELECT count(*) FROM lock_engine.part_state").fetchone() == (0,)


def test_made_up_parts_fill_no_table(dba: psycopg.Connection[Any]) -> None:
    dba.execute(
        "SELECT lock_engine.part_failed('part ' || repeat('x', n), 'P0001', 'no')"
        " FROM generate_series(1, 34) n"
    )
    for letter in "abcdefghijklmnopqrstuvwxyz":
        fail(dba, f"part {letter}")
    assert dba.execute("SELECT count(*) FROM lock_engine.part_state").fetchone() == (50,)
    fail(dba, "part a")
    assert "part a" in failing(dba)


def test_counting_waits_for_nobody(dba: psycopg.Connection[Any], vault_db: str, connect: Connect) -> None:
    other = connect(vault_db, autocommit=False)
    other.execute("LOCK TABLE lock_engine.part_state")
    dba.execute("SET statement_timeout = '5s'")
    fail(dba, "episodes")
    dba.execute("SELECT lock_engine.part_ok('episodes')")
    other.rollback()
    assert dba.execute("SELECT count(*) FROM lock_engine.part_state").fetchone() == (0,)


@pytest.mark.parametrize("state", ["57014", "57P01", "57P02", "53200", "53100", "55P03", "40P01", "25006"])
def test_what_no_part_may_catch(dba: psycopg.Connection[Any], state: str) -> None:
    assert dba.execute("SELECT lock_engine.ends_all(%s)", [state]).fetchone() == (True,)


@pytest.mark.parametrize("state", ["22003", "23505", "23514", "22P02", "42883", "42501", "P0001", "22021"])
def test_what_a_part_is_to_catch(dba: psycopg.Connection[Any], state: str) -> None:
    assert dba.execute("SELECT lock_engine.ends_all(%s)", [state]).fetchone() == (False,)
