"""Deadlocks told as stories: real sessions do, step by step, what is written, and deadlocks are counted."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import psycopg

from tests.support.poll import poll
from tests.support.sessions import Session

Steps = list[tuple[str, str]]

SETUP = """
CREATE TABLE parent (id int PRIMARY KEY, n int, code text UNIQUE);
CREATE TABLE child (
  id serial PRIMARY KEY, parent_id int REFERENCES parent ON UPDATE CASCADE ON DELETE CASCADE, n int);
CREATE INDEX ON child (parent_id);
CREATE TABLE runs (id int PRIMARY KEY, n int);
INSERT INTO parent SELECT g, 0, 'code ' || g FROM generate_series(1, 5) g;
INSERT INTO child (parent_id, n) SELECT g, 0 FROM generate_series(1, 5) g;
INSERT INTO runs SELECT g, 0 FROM generate_series(1, 5) g;
"""
FORGET = """
DO $do$
DECLARE
  v_name text;
BEGIN
  FOR v_name IN
    SELECT format('%I', c.relname) FROM pg_class c
     WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition LOOP
    EXECUTE 'DROP TABLE IF EXISTS ' || v_name || ' CASCADE';
  END LOOP;
END
$do$
"""


@dataclass(frozen=True)
class Story:
    """What is done, what has to be said of it, and the same work done as said.

    kind: one of the kinds of docs/deadlocks.md.
    steps, advised, or_else: a line is a session and its statement; those named auto... are in no transaction.
        or_else is done as well, where two ways are advised.
    advice: texts that are in the advice; unsaid: texts that are not.
    concluded: whether there is advice at all; if not, nothing is done as advised.
    setup: what this story needs beside SETUP.
    blind: nobody looks while the ring lives, so that only the log tells of it.
    since: the first major version of PostgreSQL that can do it.
    times: how many deadlocks there are.
    kept: what is advised is done to what the deadlock has left, not to new tables.
    """

    kind: str
    steps: str
    advice: tuple[str, ...]
    advised: str = ""
    or_else: str = ""
    unsaid: tuple[str, ...] = ()
    concluded: bool = True
    setup: str = ""
    blind: bool = False
    since: int = 13
    times: int = 1
    kept: bool = False


def read(text: str) -> Steps:
    """The steps of such a text."""
    lines = [line.strip() for line in text.strip().splitlines()]
    return [(line.split(" ", 1)[0], line.split(" ", 1)[1]) for line in lines]


@contextlib.contextmanager
def people(dsn: str, steps: Steps) -> Iterator[dict[str, Session]]:
    """Who takes part; PostgreSQL looks for deadlocks after a moment in which the monitor can look, too."""
    names = dict.fromkeys(name for name, _statement in steps)
    sessions = {name: Session(dsn, autocommit=name.startswith("auto")) for name in names}
    try:
        for one in sessions.values():
            one.run("SET deadlock_timeout = '1s'")
            if not one.connection.autocommit:
                one.run("COMMIT")
            one._running = None
        yield sessions
    finally:
        for one in sessions.values():
            one.abandon()


def play(sessions: dict[str, Session], steps: Steps, look: Callable[[], object]) -> int:
    """Do the steps, each once all is over or waits, those of a session that waits when it does no more; then
    end all transactions. A victim does no more. `look` meanwhile.

    How many deadlocks there were; another error is raised.
    """
    late: dict[str, list[str]] = {name: [] for name in sessions}
    victims: set[str] = set()
    found = 0

    def settled() -> bool:
        look()
        return all(
            not one.busy or one._look("SELECT cardinality(pg_blocking_pids(%s)) > 0", one.pid)
            for one in sessions.values()
        )

    def take_note(name: str) -> None:
        """Of a session whose statement has ended."""
        nonlocal found
        one = sessions[name]
        if one._running is None or one.busy:
            return
        error = one._running.exception()
        one._running = None
        if isinstance(error, psycopg.errors.DeadlockDetected):
            found += 1
            victims.add(name)
            late[name].clear()
            if one.connection.autocommit:
                # what a session holds outlives the error
                late[name].append("SELECT pg_advisory_unlock_all()")
        elif error is not None:
            raise error

    for name, statement in steps:
        take_note(name)
        if name in victims:
            continue
        if sessions[name].busy or late[name]:
            late[name].append(statement)
            continue
        sessions[name].start(statement)
        poll(settled, 20, statement)
    open_ones = dict.fromkeys(sessions)

    def over() -> bool:
        look()
        for name in list(open_ones):
            one = sessions[name]
            if one.busy:
                continue
            take_note(name)
            if late[name]:
                one.start(late[name].pop(0))
            elif one.connection.autocommit or one.connection.info.transaction_status.name == "IDLE":
                del open_ones[name]
            else:
                failed = one.connection.info.transaction_status.name == "INERROR"
                one.start("ROLLBACK" if failed else "COMMIT")
        return not open_ones

    poll(over, 30, "the end of all")
    return found
