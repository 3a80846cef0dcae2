"""While the vault cannot be written the loop keeps what it sees, and stores it later at its own times."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pytest
from django.db import connections

from lockmon.monitor import keeping, watchdog
from lockmon.monitor.options import LoopOptions
from tests.conftest import OpenSession
from tests.support.loops import (
    rows,
    running_loop,
    start_process,
    status,
    until_skipping,
    until_watching,
)
from tests.support.memory import Memories
from tests.support.people import browser
from tests.support.poll import poll
from tests.support.servers import Server
from tests.support.sessions import Session

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "vault"])

QUICK = LoopOptions(tick=0.25, full_interval=0.5, skip_alarm=0.5)
OPTIONS = replace(QUICK, gap_threshold=60)
"""A loop that a busy machine may hold up, without a gap that would be right and is not what is tested."""
LOCKS = "LOCK TABLE {} IN {} MODE"
HISTORY = "lock_monitoring.lock_activity_s"
WRITTEN = (
    "lock_monitoring.lock_activity_h",
    HISTORY,
    "lock_monitoring.blocking_session_h",
    "lock_monitoring.blocking_session_s",
    "lock_monitoring.lock_blocking_l",
    "lock_engine.watch_state",
    "lock_engine.cycle_state",
)


@pytest.fixture
def memories(monkeypatch: pytest.MonkeyPatch) -> Memories:
    monkeypatch.setattr("lockmon.monitor.keeping.LONGEST_PAUSE", OPTIONS.gap_threshold)
    return Memories(monkeypatch)


@dataclass(frozen=True)
class Pair:
    """A wait that has ended: who waited behind whom, when it was seen first, and seen no more."""

    holder: Session
    waiter: Session
    name: str
    began: datetime
    seen: datetime
    gone: datetime


_number = 0


def blocked(vault_db: str, session: OpenSession) -> tuple[Session, Session, str]:
    """A session that waits behind another one."""
    global _number
    _number += 1
    name = f"holder {_number}"
    holder, waiter = session(vault_db, application_name=name), session(vault_db)
    holder.run(f"SELECT pg_advisory_xact_lock(91, {_number})")
    waiter.start(f"SELECT pg_advisory_xact_lock(91, {_number})")
    waiter.wait_blocked()
    return holder, waiter, name


def pair_inside(vault_db: str, session: OpenSession, memories: Memories) -> Pair:
    """A wait that begins and ends while looks are only kept."""
    began = now(vault_db)
    holder, waiter, name = blocked(vault_db, session)
    seen = memories.until_waiting(waiter.pid).at
    holder.run("ROLLBACK")
    waiter.result()
    waiter.run("ROLLBACK")
    gone = memories.until_gone(waiter.pid).at
    holder.close()
    waiter.close()
    return Pair(holder, waiter, name, began, seen, gone)


def now(dsn: str) -> datetime:
    moment = rows(dsn, "SELECT clock_timestamp() AS at")[0]["at"]
    assert isinstance(moment, datetime)
    return moment


def gaps(dsn: str) -> list[dict[str, object]]:
    return rows(dsn, "SELECT gap_start, gap_end, reason FROM lock_engine.coverage_gap ORDER BY gap_start")


def gap_over(dsn: str, moment: datetime, reason: str = "") -> dict[str, object]:
    """Wait for the gap that reaches over this moment, and for its reason. Where the machine has no time for
    the loop, others are true as well."""
    over = (
        f"SELECT * FROM lock_engine.coverage_gap WHERE gap_start < '{moment}' AND gap_end > '{moment}'"
        f" AND reason LIKE '%{reason}%'"
    )
    return poll(lambda: rows(dsn, over), 10, "the gap")[0]


def check_history(dsn: str, pair: Pair) -> None:
    """The wait and its episode are in the history with their own times, and so are the lost seconds."""
    waits = rows(
        dsn,
        "SELECT wait_start, load_date, load_end_date, resolution_action, blocking_nodes,"
        " lock_engine.wait_until(load_end_date, last_seen_at, log_end_at) AS until FROM"
        f" {HISTORY} WHERE NOT lock_granted AND lock_pid = {pair.waiter.pid} ORDER BY load_date",
    )
    assert waits, "the wait is in the history"
    assert waits[0]["load_date"] == pair.seen
    assert waits[-1]["load_end_date"] == pair.gone
    assert {row["resolution_action"] for row in waits[:-1]} <= {None}
    assert waits[-1]["resolution_action"] in ("granted", "released", "session gone", "unknown")
    assert [row["blocking_nodes"] for row in waits] == [[pair.holder.pid]] * len(waits)
    # a look takes a moment: beside another wait, one may begin between its first statement and its last
    assert all(pair.began <= row["wait_start"] <= waits[0]["load_end_date"] for row in waits)  # type: ignore[operator]
    for before, after in itertools.pairwise(waits):
        assert before["load_end_date"] == after["load_date"]
    episodes = rows(
        dsn,
        "SELECT load_date, load_end_date, blocking_since, ended_at, ended_how FROM"
        f" lock_monitoring.blocking_session_s WHERE session_pid = {pair.holder.pid} ORDER BY load_date",
    )
    assert episodes[0]["load_date"] == pair.seen
    assert episodes[-1]["ended_at"] == pair.gone
    assert len({row["blocking_since"] for row in episodes}) == 1
    (lost,) = rows(
        dsn,
        "SELECT seconds FROM lock_engine.losses(ARRAY['application'], now() - interval '1 hour', now())"
        f" WHERE name = '{pair.name}'",
    )
    # what a sum counts was certainly waited: from the wait's beginning to the last look that saw it
    waited = waits[-1]["until"] - waits[0]["wait_start"]  # type: ignore[operator]
    assert pair.seen <= waits[-1]["until"] <= pair.gone  # type: ignore[operator]
    assert float(str(lost["seconds"])) == pytest.approx(waited.total_seconds(), abs=0.001)
    (links,) = rows(
        dsn,
        "SELECT count(*) AS n FROM lock_monitoring.lock_blocking_l l"
        " JOIN lock_monitoring.blocking_session_s b USING (blocking_session_hk)"
        f" WHERE b.session_pid = {pair.holder.pid} AND b.load_date = '{pair.seen.isoformat()}'",
    )
    assert links["n"] == 1


@pytest.mark.parametrize("mode", ["ACCESS EXCLUSIVE", "SHARE"])
def test_what_is_seen_while_a_table_is_locked_is_stored_afterwards(
    vault_db: str, session: OpenSession, memories: Memories, mode: str
) -> None:
    culprit = session(vault_db, application_name="culprit")
    with running_loop(OPTIONS):
        until_watching(vault_db)
        began = now(vault_db)
        for table in WRITTEN:
            culprit.run(LOCKS.format(table, mode))
            # some are written only when somebody waits
            holder, waiter, _name = blocked(vault_db, session)
            memories.until_waiting(waiter.pid)
            holder.close()
            waiter.close()
            pair = pair_inside(vault_db, session, memories)
            culprit.run("ROLLBACK")
            memories.until_stored()
            check_history(vault_db, pair)
        poll(lambda: rows(vault_db, "SELECT 1 FROM lock_engine.monitor_status WHERE state = 'watching'"))
        assert gaps(vault_db) == []
        until = now(vault_db)
        (share,) = rows(
            vault_db,
            f"SELECT lock_engine.watched_share('{began.isoformat()}', '{until.isoformat()}') AS share",
        )
        assert float(str(share["share"])) > 0.99 or gaps(vault_db) == []


def test_waits_at_the_edges_keep_their_times(vault_db: str, session: OpenSession, memories: Memories) -> None:
    """One begins before the lock and ends inside, one begins inside and outlives it."""
    with running_loop(OPTIONS):
        until_watching(vault_db)
        early_holder, early, _name = blocked(vault_db, session)
        stored = f"SELECT 1 FROM {HISTORY} WHERE load_end_date IS NULL AND NOT lock_granted AND lock_pid = "
        poll(lambda: rows(vault_db, stored + str(early.pid)), 10, "the first wait in the vault")
        culprit = session(vault_db)
        culprit.run(LOCKS.format(HISTORY, "ACCESS EXCLUSIVE"))
        early_holder.close()
        early.close()
        memories.until_kept()
        gone = memories.until_gone(early.pid).at
        _late_holder, late, _late_name = blocked(vault_db, session)
        seen = memories.until_waiting(late.pid).at
        culprit.run("ROLLBACK")
        memories.until_stored()
        poll(lambda: rows(vault_db, stored + str(late.pid)), 10, "the second wait in the vault")
        (end,) = rows(
            vault_db,
            "SELECT max(load_end_date) AS ended, bool_and(load_end_date IS NOT NULL) AS over"
            f" FROM {HISTORY} WHERE NOT lock_granted AND lock_pid = {early.pid}",
        )
        assert end["over"] and isinstance(end["ended"], datetime) and end["ended"] <= gone
        (begin,) = rows(
            vault_db,
            f"SELECT min(load_date) AS begun FROM {HISTORY} WHERE NOT lock_granted AND lock_pid = {late.pid}",
        )
        assert begin["begun"] == seen
        assert gaps(vault_db) == []


def test_the_oldest_are_dropped_first_and_that_time_is_a_gap(
    vault_db: str, session: OpenSession, memories: Memories
) -> None:
    with running_loop(replace(OPTIONS, kept_looks=3)):
        until_watching(vault_db)
        culprit = session(vault_db)
        culprit.run(LOCKS.format(HISTORY, "ACCESS EXCLUSIVE"))
        memories_of = pair_before_drop(vault_db, session, memories)
        for number in range(6):
            last = memories.looks()[-1].at
            change = session(vault_db)
            change.run(f"SELECT pg_advisory_xact_lock(93, {number})")
            memories.until_after(last)
        assert memories.dropped >= 3
        skipping = until_skipping(vault_db)
        assert "looks are kept in memory since" in str(skipping.skipped_because)
        assert str(skipping.skipped_because).endswith(", older ones were dropped")
        connections["vault"].close()
        headline = watchdog.examine("vault").headline
        assert headline.startswith("Looking, but storing nothing since") and "were dropped" in headline
        # all is quiet: what is kept now stays until it is stored
        poll(lambda: quiet(memories), 20, "a look that saw nothing new")
        oldest = memories.looks()[0].at
        culprit.run("ROLLBACK")
        memories.until_stored()
        gap = gap_over(vault_db, memories_of.seen, "the oldest were dropped")
        assert gap["gap_end"] == oldest and f"pid {culprit.pid}" in str(gap["reason"])
        lost = f"SELECT 1 FROM {HISTORY} WHERE lock_pid = {memories_of.waiter.pid} AND NOT lock_granted"
        assert rows(vault_db, lost) == [], "what was dropped is not shown"


def quiet(memories: Memories) -> bool:
    before = [(look.at, look.until) for look in memories.looks()]
    poll(lambda: memories.looks()[-1].until > before[-1][1] or memories.looks()[-1].at > before[-1][0], 20)
    return memories.looks()[-1].at == before[-1][0]


def pair_before_drop(vault_db: str, session: OpenSession, memories: Memories) -> Pair:
    change = session(vault_db)
    change.run("SELECT pg_advisory_xact_lock(92, 2)")
    memories.until_kept()
    return pair_inside(vault_db, session, memories)


def test_looks_that_see_nothing_new_are_one_look(
    vault_db: str, session: OpenSession, memories: Memories
) -> None:
    with running_loop(replace(OPTIONS, tick=0.1)):
        until_watching(vault_db)
        culprit = session(vault_db)
        culprit.run(LOCKS.format(HISTORY, "ACCESS EXCLUSIVE"))
        session(vault_db).run("SELECT pg_advisory_xact_lock(92, 3)")
        memories.until_kept()
        poll(
            lambda: memories.looks()[-1].until > memories.looks()[-1].at + timedelta(seconds=3),
            20,
            "three quiet seconds",
        )
        # at first, those sessions become old enough to be stored
        assert len(memories.looks()) <= 4
        until = memories.looks()[-1].until
        culprit.run("ROLLBACK")
        memories.until_stored()
        assert gaps(vault_db) == []
        (last,) = rows(vault_db, "SELECT last_look_at FROM lock_engine.watch_state")
        assert isinstance(last["last_look_at"], datetime) and last["last_look_at"] >= until


@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_a_loop_that_ends_meanwhile_leaves_a_gap(
    vault_db: str, server: Server, session: OpenSession, memories: Memories, how: str
) -> None:
    web = server.dsn(str(connections["default"].settings_dict["NAME"]))
    culprit = session(vault_db)
    if how == "killed":
        process = start_process(vault_db, web)
        try:
            until_watching(vault_db)
            culprit.run(LOCKS.format(HISTORY, "ACCESS EXCLUSIVE"))
            locked = now(vault_db)
            holder, waiter, _name = blocked(vault_db, session)
            until_skipping(vault_db)
        finally:
            process.kill()
            process.communicate()
    else:
        with running_loop(QUICK):
            until_watching(vault_db)
            culprit.run(LOCKS.format(HISTORY, "ACCESS EXCLUSIVE"))
            locked = now(vault_db)
            holder, waiter, _name = blocked(vault_db, session)
            memories.until_waiting(waiter.pid)
    ended = now(vault_db)
    holder.close()
    waiter.close()
    culprit.run("ROLLBACK")
    poll(lambda: now(vault_db) > ended + timedelta(seconds=2), 10, "longer than a pause may be")
    with running_loop(QUICK):
        until_watching(vault_db)
        gap = gap_over(vault_db, ended)
        assert isinstance(gap["gap_start"], datetime)
        # the last look that was stored: at most a full cycle and a tick after the lock
        assert gap["gap_start"] < locked + timedelta(seconds=4)
        assert rows(vault_db, f"SELECT 1 FROM {HISTORY} WHERE lock_pid = {waiter.pid}") == []


def test_locked_again_while_catching_up(
    vault_db: str, session: OpenSession, memories: Memories, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "CATCH_UP", 0.0)
    monkeypatch.setattr(keeping.Keeper.store, "__defaults__", (0.0,))
    with running_loop(OPTIONS):
        until_watching(vault_db)
        culprit = session(vault_db)
        culprit.run(LOCKS.format(HISTORY, "ACCESS EXCLUSIVE"))
        first = pair_before_drop(vault_db, session, memories)
        second = pair_inside(vault_db, session, memories)
        kept = memories.looks()
        assert len(kept) >= 4
        culprit.run("ROLLBACK")
        poll(lambda: memories.looks()[0].at > kept[0].at, 20, "the first look stored")
        culprit.run(LOCKS.format(HISTORY, "ACCESS EXCLUSIVE"))
        third = pair_inside(vault_db, session, memories)
        culprit.run("ROLLBACK")
        # each tick stores one look and keeps one, if it saw something new
        memories.until_stored()
        for pair in (first, second, third):
            check_history(vault_db, pair)
        assert gaps(vault_db) == []
        (order,) = rows(
            vault_db,
            f"SELECT bool_and(load_date >= lead) AS good FROM (SELECT load_date, lag(load_date, 1, load_date)"
            f" OVER (ORDER BY satellite_id) AS lead FROM {HISTORY}) s",
        )
        assert order["good"], "stored in the order in which it was seen"


def test_what_cannot_be_stored_of_a_kept_look_does_not_stop_the_rest(
    vault_db: str, session: OpenSession, memories: Memories
) -> None:
    with running_loop(OPTIONS):
        until_watching(vault_db)
        culprit = session(vault_db)
        culprit.run(LOCKS.format(HISTORY, "ACCESS EXCLUSIVE"))
        change = session(vault_db)
        change.run("SELECT pg_advisory_xact_lock(92, 4)")
        memories.until_kept()
        poison_holder, poison, _name = blocked(vault_db, session)
        culprit.run(f"ALTER TABLE {HISTORY} ADD CONSTRAINT poison CHECK (lock_pid <> {poison.pid}) NOT VALID")
        memories.until_waiting(poison.pid)
        pair = pair_inside(vault_db, session, memories)
        poison_holder.close()
        poison.close()
        memories.until_gone(poison.pid)
        culprit.run("COMMIT")
        memories.until_stored()
        check_history(vault_db, pair)
        assert rows(vault_db, f"SELECT 1 FROM {HISTORY} WHERE lock_pid = {poison.pid}") == []
        (part,) = rows(
            vault_db, "SELECT failures, last_sqlstate FROM lock_engine.part_state WHERE part = 'locks'"
        )
        assert int(str(part["failures"])) >= 1 and part["last_sqlstate"] == "23514"
        assert gaps(vault_db) == []


def test_an_error_that_lets_nothing_be_stored_is_outlived(
    vault_db: str, session: OpenSession, memories: Memories
) -> None:
    """As a full disk says it."""
    with running_loop(OPTIONS):
        until_watching(vault_db)
        dba = session(vault_db, autocommit=True)
        dba.run(
            "CREATE FUNCTION public.full_disk() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN"
            " RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END$$"
        )
        dba.run(
            f"CREATE TRIGGER full_disk BEFORE INSERT ON {HISTORY} FOR EACH STATEMENT"
            " EXECUTE FUNCTION public.full_disk()"
        )
        dba.run("SELECT pg_advisory_lock(92, 5)")
        memories.until_kept()
        pair = pair_inside(vault_db, session, memories)
        assert "No space left" in str(until_skipping(vault_db).skipped_because)
        dba.run(f"DROP TRIGGER full_disk ON {HISTORY}")
        memories.until_stored()
        check_history(vault_db, pair)
        assert gaps(vault_db) == []


def test_a_cycle_from_elsewhere_that_is_first_leaves_the_gap(
    vault_db: str, session: OpenSession, memories: Memories
) -> None:
    """What is older than what is stored cannot be stored any more."""
    with running_loop(QUICK):
        until_watching(vault_db)
        culprit = session(vault_db)
        culprit.run(LOCKS.format(HISTORY, "ACCESS EXCLUSIVE"))
        pair = pair_before_drop(vault_db, session, memories)
        poll(lambda: now(vault_db) > pair.gone + timedelta(seconds=2), 10, "longer than a pause may be")

        def stored() -> bool:
            # skipped where the loop is just trying
            ((summary,),) = culprit.run(
                "SELECT monitoring_summary FROM lock_monitoring.run_lock_monitoring()"
            )
            return not str(summary).startswith("skipped")

        poll(stored, 10, "a cycle of another session")
        culprit.run("COMMIT")
        memories.until_stored()
        assert rows(vault_db, f"SELECT 1 FROM {HISTORY} WHERE lock_pid = {pair.waiter.pid}") == []
        gap = gap_over(vault_db, pair.gone)
        assert isinstance(gap["gap_start"], datetime) and gap["gap_start"] < pair.seen


def end_the_loops_connection(vault_db: str) -> None:
    """As a network does it: the loop has to connect again."""
    rows(
        vault_db,
        "SELECT pg_terminate_backend(leader_pid) FROM lock_engine.monitor_status",
    )


def test_a_lost_connection_loses_no_look_that_was_kept(
    vault_db: str, session: OpenSession, memories: Memories
) -> None:
    """Only the time without a connection is a gap, with its reason."""
    with running_loop(OPTIONS):
        first = until_watching(vault_db).leader_pid
        culprit = session(vault_db)
        culprit.run(LOCKS.format(HISTORY, "ACCESS EXCLUSIVE"))
        before = pair_before_drop(vault_db, session, memories)
        end_the_loops_connection(vault_db)
        ended = now(vault_db)
        memories.until_after(ended)
        after = pair_inside(vault_db, session, memories)
        assert status(vault_db).leader_pid != first
        kept = memories.looks()
        again = next(look for look in kept if look.at > ended)
        last = kept[kept.index(again) - 1]
        assert again.since is None and "ended by an administrator" in again.reason
        culprit.run("ROLLBACK")
        memories.until_stored()
        for pair in (before, after):
            check_history(vault_db, pair)
        gap = gap_over(vault_db, ended, "ended by an administrator")
        assert (gap["gap_start"], gap["gap_end"]) == (last.until, again.at)
        assert len(gaps(vault_db)) == 1


def test_a_cycle_stored_while_the_connection_is_away_ends_what_is_kept(
    vault_db: str, session: OpenSession, memories: Memories
) -> None:
    slow = replace(QUICK, backoff_first=2.0)
    with running_loop(slow):
        first = until_watching(vault_db).leader_pid
        culprit = session(vault_db)
        culprit.run(LOCKS.format(HISTORY, "ACCESS EXCLUSIVE"))
        pair = pair_before_drop(vault_db, session, memories)
        end_the_loops_connection(vault_db)
        poll(lambda: now(vault_db) > pair.gone + timedelta(seconds=1.8), 10, "longer than a pause may be")
        culprit.run("ROLLBACK")
        culprit.run("SELECT * FROM lock_monitoring.run_lock_monitoring()")
        culprit.run("COMMIT")
        poll(lambda: status(vault_db).leader_pid not in (None, first), 20, "the loop's next connection")
        memories.until_stored()
        assert rows(vault_db, f"SELECT 1 FROM {HISTORY} WHERE lock_pid = {pair.waiter.pid}") == []
        found = gaps(vault_db)
        assert any(gap["gap_start"] < pair.seen and pair.gone < gap["gap_end"] for gap in found)  # type: ignore[operator]


def test_the_health_line_says_what_waits_to_be_stored(
    vault_db: str, session: OpenSession, memories: Memories, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping.Keeper.store, "__defaults__", (0.0,))
    with running_loop(OPTIONS):
        until_watching(vault_db)
        culprit = session(vault_db)
        culprit.run(LOCKS.format(HISTORY, "ACCESS EXCLUSIVE"))
        for _more in range(6):
            pair_inside(vault_db, session, memories)
        until_skipping(vault_db)
        culprit.run("ROLLBACK")

        def headline() -> str:
            connections["vault"].close()
            return watchdog.examine("vault").headline

        def catching_up() -> str | None:
            said = headline()
            return said if said.startswith("Watching") else None

        said = poll(catching_up, 20, "the health line of a loop that stores again")
        assert re.match(r"Watching; \d+ looks? waits? to be stored since \d\d:\d\d:\d\d\. Last look", said), (
            said
        )
        memories.until_stored()
        poll(
            lambda: headline().startswith("Watching. Last look"), 10, "the health line of one that is through"
        )


def test_a_moment_that_is_read_only_is_outlived_and_said(
    vault_db: str, session: OpenSession, memories: Memories
) -> None:
    """Not even the heartbeat can be written: pages say it from what the loop tells Django's own database."""
    with running_loop(OPTIONS):
        until_watching(vault_db)
        memories.say_to_the_server("SET default_transaction_read_only = on")
        pair = pair_before_drop(vault_db, session, memories)

        def headline() -> str:
            connections["vault"].close()
            return watchdog.examine("vault").headline

        poll(lambda: headline().startswith("Looking, but storing nothing since"), 20, "the health line")
        assert "READ ONLY" in headline() and "kept in memory since" in headline()
        assert "READ ONLY" in browser("dba").get("/admin/").content.decode()
        memories.say_to_the_server("SET default_transaction_read_only = off")
        memories.until_stored()
        check_history(vault_db, pair)
        assert gaps(vault_db) == []
        poll(lambda: headline().startswith("Watching. Last look"), 20, "the usual health line")
