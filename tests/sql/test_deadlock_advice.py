"""What is advised after a real deadlock, and that the same work done as advised ends without one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

from lockmon.monitor.deadlocks import DeadlockWatch
from tests.conftest import Connect
from tests.support.poll import poll
from tests.support.sessions import Session

Steps = Sequence[tuple[str, str]]
SETUP = """
CREATE TABLE parent (id int PRIMARY KEY, n int);
CREATE TABLE child (id serial PRIMARY KEY, parent_id int REFERENCES parent);
CREATE INDEX ON child (parent_id);
CREATE TABLE runs (id int PRIMARY KEY, n int);
INSERT INTO parent SELECT g, 0 FROM generate_series(1, 5) g;
INSERT INTO runs SELECT g, 0 FROM generate_series(1, 5) g;
"""


@dataclass
class Story:
    """Two sessions: what they did, in which order, what is said of it, and the same work as advised."""

    steps: Steps
    advice: str
    advised: Steps


STORIES = {
    "a foreign key's check, then FOR UPDATE": Story(
        [
            ("a", "INSERT INTO child (parent_id) VALUES (1)"),
            ("b", "INSERT INTO child (parent_id) VALUES (1)"),
            ("a", "SELECT 1 FROM parent WHERE id = 1 FOR UPDATE"),
            ("b", "SELECT 1 FROM parent WHERE id = 1 FOR UPDATE"),
        ],
        "FOR NO KEY UPDATE",
        [
            ("a", "INSERT INTO child (parent_id) VALUES (1)"),
            ("b", "INSERT INTO child (parent_id) VALUES (1)"),
            ("a", "SELECT 1 FROM parent WHERE id = 1 FOR NO KEY UPDATE"),
            ("b", "SELECT 1 FROM parent WHERE id = 1 FOR NO KEY UPDATE"),
        ],
    ),
    "FOR SHARE, then a change": Story(
        [
            ("a", "SELECT 1 FROM runs WHERE id = 1 FOR SHARE"),
            ("b", "SELECT 1 FROM runs WHERE id = 1 FOR SHARE"),
            ("a", "UPDATE runs SET n = 1 WHERE id = 1"),
            ("b", "UPDATE runs SET n = 1 WHERE id = 1"),
        ],
        "SELECT ... FOR NO KEY UPDATE",
        [
            ("a", "SELECT 1 FROM runs WHERE id = 1 FOR NO KEY UPDATE"),
            ("b", "SELECT 1 FROM runs WHERE id = 1 FOR NO KEY UPDATE"),
            ("a", "UPDATE runs SET n = 1 WHERE id = 1"),
            ("b", "UPDATE runs SET n = 1 WHERE id = 1"),
        ],
    ),
    "rows in different orders": Story(
        [
            ("a", "UPDATE runs SET n = 1 WHERE id = 1"),
            ("b", "UPDATE public.runs SET n = 1 WHERE id = 2"),
            ("a", "UPDATE runs SET n = 1 WHERE id = 2"),
            ("b", "UPDATE public.runs SET n = 1 WHERE id = 1"),
        ],
        "in different orders",
        [
            ("a", "UPDATE runs SET n = 1 WHERE id = 1"),
            ("b", "UPDATE runs SET n = 1 WHERE id = 1"),
            ("a", "UPDATE runs SET n = 1 WHERE id = 2"),
            ("b", "UPDATE runs SET n = 1 WHERE id = 2"),
        ],
    ),
    "two tables": Story(
        [
            ("a", "UPDATE runs SET n = 1 WHERE id = 1"),
            ("b", "UPDATE parent SET n = 1 WHERE id = 1"),
            ("a", "UPDATE parent SET n = 1 WHERE id = 1"),
            ("b", "UPDATE runs SET n = 1 WHERE id = 1"),
        ],
        "in one order everywhere",
        [
            ("a", "UPDATE runs SET n = 1 WHERE id = 1"),
            ("b", "UPDATE runs SET n = 1 WHERE id = 1"),
            ("a", "UPDATE parent SET n = 1 WHERE id = 1"),
            ("b", "UPDATE parent SET n = 1 WHERE id = 1"),
        ],
    ),
    "keys inserted": Story(
        [
            ("a", "INSERT INTO runs VALUES (11, 0)"),
            ("b", "INSERT INTO runs VALUES (12, 0) ON CONFLICT (id) DO UPDATE SET n = 1"),
            ("a", "INSERT INTO runs VALUES (12, 0) ON CONFLICT (id) DO NOTHING"),
            ("b", "INSERT INTO runs VALUES (11, 0) ON CONFLICT (id) DO UPDATE SET n = 1"),
        ],
        "sorted by that unique key",
        [
            ("a", "INSERT INTO runs VALUES (11, 0)"),
            ("b", "INSERT INTO runs VALUES (11, 0) ON CONFLICT (id) DO UPDATE SET n = 1"),
            ("a", "INSERT INTO runs VALUES (12, 0) ON CONFLICT (id) DO NOTHING"),
            ("b", "INSERT INTO runs VALUES (12, 0) ON CONFLICT (id) DO UPDATE SET n = 1"),
        ],
    ),
    "referenced rows changed, then referencing ones inserted": Story(
        [
            ("a", "UPDATE parent SET id = 21 WHERE id = 1"),
            ("b", "UPDATE parent SET id = 22 WHERE id = 2"),
            ("a", "INSERT INTO child (parent_id) VALUES (2)"),
            ("b", "INSERT INTO child (parent_id) VALUES (1)"),
        ],
        "A foreign key's check took part",
        [
            ("a", "UPDATE parent SET id = 21 WHERE id = 1"),
            ("b", "UPDATE parent SET id = 22 WHERE id = 2"),
            ("a", "COMMIT"),
            ("b", "COMMIT"),
            ("a", "INSERT INTO child (parent_id) VALUES (22)"),
            ("b", "INSERT INTO child (parent_id) VALUES (21)"),
        ],
    ),
    "a stronger lock on a table": Story(
        [
            ("a", "LOCK TABLE runs IN SHARE MODE"),
            ("b", "LOCK TABLE runs IN SHARE MODE"),
            ("a", "LOCK TABLE runs IN EXCLUSIVE MODE"),
            ("b", "LOCK TABLE runs IN EXCLUSIVE MODE"),
        ],
        "strongest lock first",
        [("a", "LOCK TABLE runs IN EXCLUSIVE MODE"), ("b", "LOCK TABLE runs IN EXCLUSIVE MODE")],
    ),
    "a definition changed": Story(
        [
            ("a", "SELECT 1 FROM runs"),
            ("b", "UPDATE parent SET n = 1 WHERE id = 1"),
            ("b", "/* migration */ ALTER TABLE runs ADD c int"),
            ("a", "UPDATE parent SET n = 1 WHERE id = 1"),
        ],
        "run it in a transaction of its own",
        [
            ("a", "SELECT 1 FROM runs"),
            ("b", "UPDATE parent SET n = 1 WHERE id = 1"),
            ("b", "COMMIT"),
            ("b", "ALTER TABLE runs ADD c int"),
            ("a", "UPDATE parent SET n = 1 WHERE id = 1"),
        ],
    ),
    "advisory locks": Story(
        [
            ("a", "SELECT pg_advisory_xact_lock(1)"),
            ("b", "SELECT pg_advisory_xact_lock(2)"),
            ("a", "SELECT pg_advisory_xact_lock(2)"),
            ("b", "SELECT pg_advisory_xact_lock(1)"),
        ],
        "sorted by key",
        [
            ("a", "SELECT pg_advisory_xact_lock(1)"),
            ("b", "SELECT pg_advisory_xact_lock(1)"),
            ("a", "SELECT pg_advisory_xact_lock(2)"),
            ("b", "SELECT pg_advisory_xact_lock(2)"),
        ],
    ),
    "an index built CONCURRENTLY": Story(
        [
            ("a", "UPDATE runs SET n = 1 WHERE id = 1"),
            ("auto", "CREATE INDEX CONCURRENTLY late ON runs (n)"),
            ("a", "ALTER TABLE runs ADD c int"),
        ],
        "an INVALID index stays",
        [
            ("a", "UPDATE runs SET n = 1 WHERE id = 1"),
            ("a", "ALTER TABLE runs ADD c int"),
            ("a", "COMMIT"),
            ("auto", "CREATE INDEX CONCURRENTLY late ON runs (n)"),
        ],
    ),
}


@pytest.fixture
def monitor(vault_db: str, connect: Connect) -> psycopg.Connection[Any]:
    """A connection that has taken its first count; tables to deadlock over."""
    connection = connect(vault_db)
    connection.execute(SETUP)
    connection.execute("SELECT lock_engine.collect_deadlocks()")
    return connection


@contextlib.contextmanager
def people(dsn: str) -> Iterator[dict[str, Session]]:
    """Who takes part; PostgreSQL looks for deadlocks after a moment in which the monitor can look, too."""
    sessions = {name: Session(dsn, autocommit=name == "auto") for name in ("a", "b", "auto")}
    try:
        for one in sessions.values():
            one.run("SET deadlock_timeout = '1s'")
            if not one.connection.autocommit:
                one.run("COMMIT")
        yield sessions
    finally:
        for one in sessions.values():
            one.abandon()


def play(sessions: dict[str, Session], steps: Steps, look: Any) -> int:
    """Do the steps, each once the one before is over or waits, `look` meanwhile; how many deadlocks came."""

    def settled(one: Session) -> bool:
        look()
        return not one.busy or bool(one._look("SELECT cardinality(pg_blocking_pids(%s)) > 0", one.pid))

    late: dict[str, list[str]] = {}
    for name, statement in steps:
        one = sessions[name]
        if one.busy:
            late.setdefault(name, []).append(statement)
            continue
        one.start(statement)
        poll(lambda one=one: settled(one), 20, statement)  # type: ignore[misc]
    found = 0
    for _ in range(4):
        for name, one in sessions.items():
            if one.busy and any(other.busy for other in sessions.values() if other is not one):
                poll(lambda: look() or sum(x.busy for x in sessions.values()) < 2, 20, "the deadlock's end")
            if one.busy:
                continue
            if one._running is not None and isinstance(
                one._running.exception(), psycopg.errors.DeadlockDetected
            ):
                found += 1
            one._running = None
            for statement in late.pop(name, []):
                one.run(statement)
            if not one.connection.autocommit:
                one.run("ROLLBACK" if one.connection.info.transaction_status.name == "INERROR" else "COMMIT")
                one._running = None
        for one in sessions.values():
            if one.busy:
                poll(lambda one=one: not one.busy, 20, "its turn")  # type: ignore[misc]
    return found


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_what_is_advised_ends_the_deadlock(
    vault_db: str, monitor: psycopg.Connection[Any], story: Story
) -> None:
    watch = DeadlockWatch(monitor.cursor)
    with people(vault_db) as sessions:
        assert play(sessions, story.steps, watch.look) == 1
    pids = sorted(one.pid for one in sessions.values())

    def told() -> str | None:
        watch.look()
        monitor.execute("SELECT set_config('one_vault.counter_looked', '', false)")
        monitor.execute("SELECT lock_engine.collect_deadlocks()")
        row = monitor.execute(
            "SELECT prevention_suggestion FROM lock_monitoring.deadlock_history"
            " WHERE involved_pids <@ %s::int[]",
            [pids],
        ).fetchone()
        return str(row[0]) if row else None

    advice = poll(told, 20, "the deadlock's event")
    assert advice and story.advice in advice
    monitor.execute("DROP INDEX IF EXISTS late; TRUNCATE child; DELETE FROM runs WHERE id > 10")
    with people(vault_db) as sessions:
        assert play(sessions, story.advised, lambda: None) == 0
