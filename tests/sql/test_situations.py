"""The advice of every situation carried out: it frees whom it says, and loses no more than it says."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from tests.support import doors, situations, vaults
from tests.support.poll import poll
from tests.support.rescue import PLAN, Scene
from tests.support.servers import Server, throwaway
from tests.support.sessions import Session
from tests.support.situations import FRESH, LEFT_OUT, MARK, MARKED, ORDINARY, Situation

ALL = list(situations.situations())


class Place(Scene):
    """A database whose commits wait for a standby that is not there, where a session wants that."""

    def __init__(self, dsn: str) -> None:
        self.stack = contextlib.ExitStack()
        self.connections: list[psycopg.Connection[Any]] = []
        super().__init__(dsn, self.session, self.connect)

    def connect(
        self, place: str, user: str | None = None, autocommit: bool = True
    ) -> psycopg.Connection[Any]:
        """A connection that is kept."""
        self.connections.append(
            psycopg.connect(make_conninfo(place, user=user or "postgres"), autocommit=autocommit)
        )
        return self.connections[-1]

    def session(
        self, place: str, user: str | None = None, application_name: str = "test", autocommit: bool = True
    ) -> Session:
        """A session that is ended with its situation; it begins its transactions itself."""
        one = Session(make_conninfo(place, user=user), application_name=application_name, autocommit=True)
        self.stack.callback(one.abandon)
        self.sessions[one.pid] = one
        return one

    def clear(self) -> None:
        """End all sessions of the situation, and begin anew."""
        self.stack.close()
        self.sessions.clear()
        there = (
            "SELECT count(*) = 0 FROM pg_stat_activity"
            " WHERE usename LIKE 'app%' OR backend_type = 'parallel worker'"
        )
        poll(lambda: self.look.execute(there).fetchone() == (True,), 20, "all have gone")
        self.look.execute(FRESH)


@pytest.fixture(scope="module")
def settled() -> Iterator[Place]:
    """The server and its database."""
    settings = {"synchronous_standby_names": "nobody", "synchronous_commit": "local"}
    with throwaway(settings) as server:
        place = Place(prepared(server))
        yield place
        for connection in place.connections:
            connection.close()


def prepared(server: Server) -> str:
    """A vault and the tables of all situations; its DSN."""
    dsn = server.dsn(server.create_database())
    vaults.install(dsn)
    doors.prepare(server, dsn)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(situations.TABLES)
        connection.execute("UPDATE lock_admin.setting SET value = '1000' WHERE name = 'door.max_per_hour'")
    return dsn


@pytest.fixture
def place(settled: Place) -> Iterator[Place]:
    """Tables as they were, and nobody there."""
    settled.clear()
    yield settled
    settled.clear()


def begin(place: Place, one: Situation) -> Session:
    """Somebody holds what others want, and is in that state; returns it."""
    if one.state.third:
        third = place.session(place.dsn, ORDINARY, "third")
        third.run("BEGIN")
        third.run(one.state.third)
    holder = place.session(place.dsn, one.state.user, "holder")
    if one.state.inside:
        statements = [*([MARK] if one.marks else []), one.held.take.replace("SELECT pg_", "PERFORM pg_")]
        block = "; ".join(statement.replace("SELECT FROM", "PERFORM FROM") for statement in statements)
        holder.start(f"DO $do$ BEGIN {block}; PERFORM pg_sleep(600); END $do$")
    else:
        holder.run("BEGIN")
        for statement in [*([MARK] if one.marks else []), one.held.take, *one.state.before]:
            holder.run(statement)
        one.state.go(holder)

    def is_there() -> bool:
        shown = place.look.execute(
            "SELECT state, wait_event_type || ':' || wait_event FROM pg_stat_activity WHERE pid = %s",
            [holder.pid],
        ).fetchone()
        assert shown
        state, event = shown
        wanted = one.state.event
        return state == one.state.state and (
            event is None if wanted is None else wanted == "" or str(event).startswith(wanted)
        )

    poll(is_there, 10, f"it is {one.state.name}")
    return holder


def queue_up(place: Place, one: Situation) -> list[Session]:
    """Those who want it, one after the other."""
    waiters = []
    for statement in one.held.waits:
        waiter = place.session(place.dsn, ORDINARY, "waiter")
        if not one.held.alone:
            waiter.run("BEGIN")
        waiter.start(statement)
        waiters.append(waiter.wait_blocked())
    return waiters


def undone(place: Place, one: Situation) -> bool:
    """Whether nothing is left of what the holder's transaction wrote."""
    (mark,) = place.look.execute(MARKED).fetchone() or (None,)
    # who has been let through since has not committed
    return mark == 0 and place.look.execute(one.held.undone).fetchone() == (True,)


@pytest.mark.parametrize("one", ALL, ids=str)
def test_the_advice_frees_whom_it_says_and_loses_what_it_says(place: Place, one: Situation) -> None:
    holder = begin(place, one)
    queue_up(place, one)
    told = place.door.one("SELECT * FROM lock_catalog.waits_for() WHERE pid = %s", holder.pid)
    advice = told["recommended_action"]
    assert not (one.wrote and "has written nothing" in advice), advice
    assert one.wrote or "what it has written" not in advice.replace("written, if anything", ""), advice
    lines = place.door.all(PLAN)
    steps = [line for line in lines if line["step"]]
    if one.state.left:
        assert holder.pid not in {step["pid"] for step in steps}
        assert any(one.state.left in line["text"] for line in lines if line["pid"] == holder.pid), lines
        return
    assert steps, lines
    for step in steps:
        follow(place, step)
        if step["pid"] == holder.pid:
            nothing = step["loses"].startswith("nothing")
            assert not (nothing and one.wrote), step["text"]
            # what an earlier statement wrote is more than its statement
            earlier = one.wrote and not one.state.inside
            assert not (step["loses"].startswith("its statement") and earlier), step["text"]
            assert undone(place, one) or one.state.over
    if not any("on waiting" in line["text"] for line in lines):
        place.let_through()
        assert place.blocked() == set()


def follow(place: Place, step: dict[str, Any]) -> None:
    """Stop as it says; whom that frees, and who is gone, is as it says."""
    before = place.blocked()
    outcome = place.door.stop(step["action"], step["pid"])
    assert outcome["outcome"] == {"cancel": "cancelled", "terminate": "terminated"}[step["action"]], outcome
    freed = place.freed(before, step)
    assert freed == step["frees_at_once"] or ("at least" in step["text"] and freed > step["frees_at_once"])
    there = place.look.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE pid = %s", [step["pid"]]
    ).fetchone()
    assert there == (int(step["action"] == "cancel"),), step["text"]


def test_what_is_no_situation_is_listed_with_the_reason() -> None:
    documented = Path("docs/kinds.md").read_text(encoding="utf-8")
    assert f"{len(ALL)} situations" in documented
    for name, reason in LEFT_OUT.items():
        assert f"* {name}: {reason}" in " ".join(documented.split()), name
