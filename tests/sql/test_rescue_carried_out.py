"""Rescue plans carried out: real sessions, real stops through the door, pg_blocking_pids() as the judge."""

from __future__ import annotations

import contextlib
from typing import Any

import psycopg
import pytest

from tests.conftest import Connect, OpenSession
from tests.support import doors
from tests.support.doors import ORDINARY, Door
from tests.support.poll import poll
from tests.support.servers import Server
from tests.support.sessions import Session

PLAN = "SELECT * FROM lock_admin.rescue_plan()"
BLOCKED = """
SELECT a.pid FROM pg_stat_activity AS a
 WHERE a.usename = %s AND a.datname = current_database() AND cardinality(pg_blocking_pids(a.pid)) > 0
"""


class Scene:
    """A database with the vault, somebody who keeps the door, and sessions by their pids."""

    def __init__(self, dsn: str, opens: OpenSession, connect: Connect) -> None:
        self.dsn = dsn
        self.opens = opens
        self.door = Door(connect(dsn, user=doors.KEEPER))
        self.look = connect(dsn)
        self.sessions: dict[int, Session] = {}

    def open(self, *statements: str, name: str = "app") -> Session:
        """A session idle in a transaction that has run these."""
        one = self.opens(self.dsn, user=ORDINARY, application_name=name)
        self.sessions[one.pid] = one
        for statement in statements:
            one.run(statement)
        return one

    def wait(self, statement: str, *before: str, name: str = "api") -> Session:
        """A session that waits with this statement."""
        one = self.open(*before, name=name)
        one.start(statement)
        return one.wait_blocked()

    def blocked(self) -> set[int]:
        """Whoever waits for somebody, by pg_blocking_pids()."""
        return {pid for (pid,) in self.look.execute(BLOCKED, (ORDINARY,)).fetchall()}

    def plan(self) -> list[dict[str, Any]]:
        """The plan's steps now."""
        return [one for one in self.door.all(PLAN) if one["step"]]

    def carry_out(self) -> list[tuple[str, int, int, int]]:
        """Follow the plan; at each step the judge says whom it freed, and the next plan begins with the next
        step. Returns action, pid, freed at once and following of each."""
        steps = self.plan()
        done = []
        for number, step in enumerate(steps):
            before = self.blocked()
            outcome = self.door.stop(step["action"], step["pid"])
            assert outcome.get("outcome") in ("cancelled", "terminated"), outcome
            freed = self.freed(before, step)
            assert freed == step["frees_at_once"], (step["text"], freed)
            done.append((step["action"], step["pid"], freed, step["follow"]))
            following = self.plan()
            if number + 1 < len(steps):
                assert following[0]["pid"] == steps[number + 1]["pid"], (step["text"], following)
        return done

    def freed(self, before: set[int], step: dict[str, Any]) -> int:
        """How many of those before wait no more, once that has come to rest."""

        def at_rest() -> int | None:
            # those that got what they waited for go on at once; so does whoever waits for the next lock
            first, second = self.blocked(), self.blocked()
            settled = first == second and len(before - first - {step["pid"]}) >= step["frees_at_once"]
            return len(before - first - {step["pid"]}) if settled else None

        found = poll(lambda: (at_rest(),) if at_rest() is not None else None, 10, step["text"])
        return found[0] or 0

    def let_through(self) -> int:
        """Let each that has got its lock commit, until nobody gets any further; how many went on by that."""
        waiting = self.blocked()
        went_on = 0
        while True:
            for one in self.sessions.values():
                if not one.busy:
                    # who was terminated learns of it now
                    with contextlib.suppress(psycopg.OperationalError):
                        one.connection.rollback()
            left = waiting - self._after(waiting)
            if not left:
                return went_on
            went_on += len(left)
            waiting -= left

    def _after(self, waiting: set[int]) -> set[int]:
        def done_waiting() -> tuple[set[int]] | None:
            now = self.blocked()
            idle = all(not self.sessions[pid].busy for pid in waiting - now)
            return (now & waiting,) if idle and now == self.blocked() else None

        return poll(done_waiting, 10, "those who were let through have run")[0]


@pytest.fixture
def scene(server: Server, vault_db: str, session: OpenSession, connect: Connect) -> Scene:
    """The door's table and logins, and a second table."""
    doors.prepare(server, vault_db)
    with psycopg.connect(vault_db, autocommit=True) as connection:
        connection.execute("CREATE TABLE app.ledger (id int PRIMARY KEY, n int NOT NULL DEFAULT 0)")
        connection.execute("INSERT INTO app.ledger (id) SELECT generate_series(1, 20)")
        connection.execute(f"ALTER TABLE app.ledger OWNER TO {ORDINARY}")
    return Scene(vault_db, session, connect)


def update(row: int, table: str = "accounts") -> str:
    """A statement that wants one row."""
    column = "balance" if table == "accounts" else "n"
    return f"UPDATE app.{table} SET {column} = {column} + 1 WHERE id = {row}"


def test_a_rows_queue_goes_on_one_by_one(scene: Scene) -> None:
    root = scene.open(update(1), name="billing-worker")
    for _ in range(4):
        scene.wait(update(1))
    (text,) = [one["text"] for one in scene.plan()]
    assert text.startswith(
        f"Terminate billing-worker ({root.pid}): frees 1, the next 3 follow as each commits (one row: no stop"
        " frees more); loses its transaction, "
    )
    assert scene.carry_out() == [("terminate", root.pid, 1, 3)]
    assert scene.let_through() == 3
    assert scene.plan() == []


def test_a_queued_ddl_before_many_readers_is_cancelled(scene: Scene) -> None:
    scene.open("SELECT count(*) FROM app.accounts")
    ddl = scene.wait("ALTER TABLE app.accounts ADD COLUMN note text", name="migrate")
    for _ in range(7):
        scene.wait("SELECT count(*) FROM app.accounts")
    assert [one["text"] for one in scene.plan()] == [
        f"Cancel migrate ({ddl.pid}): frees 7 at once; loses nothing."
    ]
    assert scene.carry_out() == [("cancel", ddl.pid, 7, 0)]
    assert scene.blocked() == set()


def test_a_transaction_that_holds_many_rows_frees_all_at_once(scene: Scene) -> None:
    root = scene.open(*(update(row) for row in range(1, 6)))
    for row in range(1, 6):
        scene.wait(update(row))
    assert scene.carry_out() == [("terminate", root.pid, 5, 0)]


def test_two_that_hold_up_one_are_stopped_together(scene: Scene) -> None:
    one, other = (scene.open("SELECT count(*) FROM app.accounts") for _ in range(2))
    scene.wait("LOCK TABLE app.accounts IN ACCESS EXCLUSIVE MODE")
    first, second = scene.plan()
    assert first["text"].endswith(
        "frees nobody by itself, 1 at once with the next step; loses nothing but its connection."
    )
    assert second["frees_at_once"] == 1
    assert {pid for _, pid, _, _ in scene.carry_out()} == {one.pid, other.pid}
    assert scene.blocked() == set()


def test_the_largest_of_independent_queues_comes_first(scene: Scene) -> None:
    """Who holds more rows frees more, and of equals the younger loses less."""
    old = scene.open(update(1))
    large = scene.open(update(2), update(3))
    young = scene.open(update(4))
    for row in (1, 2, 3, 4):
        scene.wait(update(row))
    assert scene.carry_out() == [
        ("terminate", large.pid, 2, 0),
        ("terminate", young.pid, 1, 0),
        ("terminate", old.pid, 1, 0),
    ]


def test_a_chain_is_broken_where_least_is_lost(scene: Scene) -> None:
    scene.open(update(1))
    scene.wait(update(1), update(2))
    young = scene.wait(update(2), update(3))
    last = scene.wait(update(3))
    assert scene.blocked() >= {young.pid, last.pid}
    (action, pid, freed, follow), *_ = scene.carry_out()
    assert (action, pid, freed, follow) == ("cancel", young.pid, 1, 0)


def test_of_like_locks_that_conflict_with_each_other_one_is_granted(scene: Scene) -> None:
    root = scene.open("LOCK TABLE app.ledger IN SHARE ROW EXCLUSIVE MODE")
    for _ in range(3):
        scene.wait("LOCK TABLE app.ledger IN SHARE ROW EXCLUSIVE MODE")
    assert scene.carry_out() == [("terminate", root.pid, 1, 2)]
    assert scene.let_through() == 2


def test_a_convoy_and_a_rows_queue_are_ended_in_two_steps(scene: Scene) -> None:
    scene.open("SELECT count(*) FROM app.accounts", name="report")
    ddl = scene.wait("ALTER TABLE app.accounts ADD COLUMN note text", name="migrate")
    for _ in range(5):
        scene.wait("SELECT count(*) FROM app.accounts")
    root = scene.open(update(1, "ledger"), name="billing-worker")
    for _ in range(3):
        scene.wait(update(1, "ledger"))
    assert scene.carry_out() == [("cancel", ddl.pid, 5, 0), ("terminate", root.pid, 1, 2)]


def test_a_sessions_advisory_lock_takes_a_termination(scene: Scene) -> None:
    root = scene.open("SELECT pg_advisory_lock(7)", "COMMIT")
    for _ in range(2):
        scene.wait("SELECT pg_advisory_lock_shared(7)")
    assert scene.carry_out() == [("terminate", root.pid, 2, 0)]


def test_a_running_statement_is_cancelled(scene: Scene) -> None:
    root = scene.open()
    root.start("SELECT count(*), pg_sleep(60) FROM app.ledger")
    held = "SELECT 1 FROM pg_locks WHERE pid = %s AND relation = 'app.ledger'::regclass"
    poll(lambda: scene.look.execute(held, (root.pid,)).fetchone(), 10, "it runs")
    scene.wait("LOCK TABLE app.ledger IN ACCESS EXCLUSIVE MODE")
    assert scene.carry_out() == [("cancel", root.pid, 1, 0)]


def test_roots_that_nobody_stops_are_named_and_what_helps_is_still_said(
    scene: Scene, server: Server, session: OpenSession
) -> None:
    boss = session(scene.dsn, application_name="dba's own")
    boss.run("SELECT count(*) FROM app.accounts")
    prepared = scene.open(update(1, "ledger"))
    prepared.run("PREPARE TRANSACTION 'gid-77'")
    scene.wait(update(1, "ledger"))
    ddl = scene.wait("ALTER TABLE app.accounts ADD COLUMN note text", name="migrate")
    for _ in range(2):
        scene.wait("SELECT count(*) FROM app.accounts")
    texts = [one["text"] for one in scene.door.all(PLAN)]
    assert texts == [
        f"Cancel migrate ({ddl.pid}): frees 2 at once; loses nothing.",
        f"dba's own ({boss.pid}) is left alone, with 3 behind it: pid {boss.pid} is a superuser's session.",
        "prepared transaction 'gid-77' is left alone, with 1 behind it: a prepared transaction has no"
        " session; ROLLBACK PREPARED or COMMIT PREPARED ends it.",
        "1 session goes on waiting: no stop, and no two together, would free anybody else.",
    ]
    assert scene.carry_out() == [("cancel", ddl.pid, 2, 0)]


@pytest.mark.parametrize("name", ["monitor.own_logins", "door.protected_users"])
def test_protected_logins_are_by_the_doors_settings(scene: Scene, name: str) -> None:
    scene.open(update(1))
    scene.wait(update(1))
    assert len(scene.plan()) == 1
    with psycopg.connect(scene.dsn, autocommit=True) as connection:
        connection.execute(
            "UPDATE lock_admin.setting SET value = value || to_jsonb(%s::text) WHERE name = %s",
            (ORDINARY, name),
        )
    assert scene.plan() == []


def test_while_the_settings_are_locked_there_is_no_plan_and_the_tree_goes_on(
    scene: Scene, connect: Connect, session: OpenSession
) -> None:
    scene.open(update(1))
    scene.wait(update(1))
    locker = session(scene.dsn)
    locker.run("LOCK TABLE lock_admin.setting IN ACCESS EXCLUSIVE MODE")
    (told,) = scene.door.all(PLAN)
    assert (told["step"], told["action"]) == (None, "note")
    assert told["text"].startswith("No plan: somebody has locked the settings")
    locker.run("ROLLBACK")
    assert len(scene.plan()) == 1


def test_who_may_not_read_the_monitor_may_not_ask(scene: Scene, connect: Connect) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        connect(scene.dsn, user=ORDINARY).execute(PLAN)
    assert connect(scene.dsn, user=doors.READER).execute(PLAN).fetchall() == []
