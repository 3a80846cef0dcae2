"""What fails about deadlocks is counted, named and set aside; locks and episodes are stored all the same."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.conftest import Connect, OpenSession
from tests.sql.test_deadlock_capture import BLIND, make
from tests.sql.test_parts import failing, open_episodes, part, three_queues
from tests.support.poll import poll
from tests.support.rings import Arena
from tests.support.stored import Stored


@pytest.fixture
def dba(vault_db: str, connect: Connect) -> psycopg.Connection[Any]:
    return connect(vault_db)


@pytest.fixture
def arena(vault_db: str) -> Iterator[Arena]:
    """Sessions of our own."""
    made = Arena(vault_db, 1, 3)
    yield made
    made.close()


def victims(dba: psycopg.Connection[Any]) -> set[int]:
    """The victims of all stored deadlocks."""
    return {pid for (pid,) in dba.execute("SELECT deadlock_victim_pid FROM lock_monitoring.deadlock_event_s")}


def cycle(dba: psycopg.Connection[Any]) -> dict[str, Any]:
    """A monitoring cycle that looks at PostgreSQL's counters, however lately it has."""
    dba.execute("SELECT set_config('one_vault.counter_looked', '', false)")
    return dict(Stored(dba).cycle())


def test_one_poisonous_record_of_the_log_does_not_stop_the_others(
    dba: psycopg.Connection[Any], vault_db: str, session: OpenSession, arena: Arena
) -> None:
    cycle(dba)
    chance = random.Random(3)
    poison = arena.deadlock(2, "row", 0.2, chance).victim
    other = Arena(vault_db, 2, 2)
    fine = other.deadlock(2, "row", 0.2, chance).victim
    other.close()
    dba.execute(
        "ALTER TABLE lock_monitoring.deadlock_event_s ADD CONSTRAINT poison "
        f"CHECK (deadlock_victim_pid <> {poison}) NOT VALID"
    )
    queues = three_queues(vault_db, session)

    def both_read() -> bool:
        cycle(dba)
        row = dba.execute("SELECT count(*) FROM lock_log.event").fetchone()
        return row is not None and row[0] >= 2 and part(dba, "logged deadlocks") is not None

    poll(both_read, 20, "the records of both deadlocks")
    cycle(dba)
    assert victims(dba) == {fine}
    assert open_episodes(dba) == {root.pid for root, _waiter in queues}
    counted = part(dba, "logged deadlocks")
    assert counted is not None and counted[0] >= 2 and counted[1] == 1 and counted[3] == "23514"
    assert f"by pid {poison}" in counted[2]
    assert failing(dba) == ["logged deadlocks"]

    dba.execute("ALTER TABLE lock_monitoring.deadlock_event_s DROP CONSTRAINT poison")
    assert cycle(dba)["deadlocks_detected"] == 1, "it is tried again without a new record in the log"
    assert victims(dba) == {poison, fine} and failing(dba) == []


def test_one_poisonous_cycle_that_was_seen_does_not_stop_the_others(
    dba: psycopg.Connection[Any], vault_db: str, session: OpenSession, arena: Arena
) -> None:
    dba.execute(BLIND)
    cycle(dba)
    poison = make(arena, dba, looking=True)
    dba.execute(
        "UPDATE lock_engine.deadlock_observation SET members = x.m, evidence = x.m"
        " FROM (SELECT %s::jsonb m) x WHERE pids @> %s::int[]",
        ['[{"pid": "no number"}]', list(poison.pids)],
    )
    other = Arena(vault_db, 2, 2)
    fine = make(other, dba, looking=True)
    other.close()
    queues = three_queues(vault_db, session)

    def stored() -> bool:
        cycle(dba)
        return victims(dba) == {fine.victim}

    poll(stored, 20, "the deadlock beside the poisonous one")
    assert open_episodes(dba) == {root.pid for root, _waiter in queues}
    cycle(dba)
    assert failing(dba) == ["seen deadlocks"]


@pytest.mark.parametrize(
    ("name", "breaks"),
    [
        (
            "deadlock counters",
            "ALTER TABLE lock_engine.deadlock_counter ADD CONSTRAINT no CHECK (false) NOT VALID",
        ),
        ("deadlock ledger", "ALTER TABLE lock_engine.deadlock_ledger RENAME COLUMN missed TO gone"),
        ("server log", "ALTER TABLE lock_log.state RENAME COLUMN readable TO no"),
        (
            "logged deadlocks",
            "ALTER TABLE lock_monitoring.deadlock_event_s RENAME COLUMN record_source TO no",
        ),
        ("seen deadlocks", "ALTER TABLE lock_engine.deadlock_observation RENAME COLUMN evidence TO no"),
    ],
)
def test_whatever_fails_about_deadlocks_locks_and_episodes_are_stored(
    dba: psycopg.Connection[Any], vault_db: str, session: OpenSession, arena: Arena, name: str, breaks: str
) -> None:
    if name == "seen deadlocks":
        dba.execute(BLIND)
    cycle(dba)
    make(arena, dba, looking=name == "seen deadlocks")
    dba.execute(breaks)
    queues = three_queues(vault_db, session)

    def counted() -> bool:
        assert cycle(dba)["blocking_sessions"] == 3
        return name in failing(dba)

    poll(counted, 30, f"{name} counted as failing")
    assert open_episodes(dba) == {root.pid for root, _waiter in queues}
