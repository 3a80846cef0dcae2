"""Situations, generated: what a session does at the moment, times what it holds that others wait for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.support.sessions import Session

ORDINARY, UNSEEN = "app_rw", "app_unseen"

TABLES = f"""
CREATE TABLE app.things (id int PRIMARY KEY, n int NOT NULL DEFAULT 0);
CREATE TABLE app.parts (id int PRIMARY KEY, thing int REFERENCES app.things);
CREATE TABLE app.sink (n int);
CREATE TABLE app.others AS SELECT 0 AS n;
CREATE TABLE app.many AS SELECT g AS id FROM generate_series(1, 10000) AS g;
CREATE TABLE app.marker (n int NOT NULL);
CREATE SEQUENCE app.numbers;
CREATE ROLE {UNSEEN} LOGIN IN ROLE {ORDINARY};
ALTER ROLE {UNSEEN} SET track_activities = off;
ALTER TABLE app.things OWNER TO {ORDINARY};
ALTER TABLE app.parts OWNER TO {ORDINARY};
ALTER SEQUENCE app.numbers OWNER TO {ORDINARY};
GRANT ALL ON ALL TABLES IN SCHEMA app TO {ORDINARY};
"""
FRESH = f"""
DROP INDEX IF EXISTS app.made;
DROP SCHEMA IF EXISTS box CASCADE;
CREATE SCHEMA box AUTHORIZATION {ORDINARY};
ALTER TABLE app.things DROP COLUMN IF EXISTS added;
TRUNCATE app.things, app.parts, app.sink, app.marker;
INSERT INTO app.things SELECT generate_series(1, 9);
INSERT INTO app.marker VALUES (0);
"""
MARK = "UPDATE app.marker SET n = 1"
MARKED = "SELECT n FROM app.marker"


@dataclass(frozen=True)
class Held:
    """What the holder takes, and with what others want it.

    writes: the taking itself changes something. undone: a question that is true once that is undone.
    session: it outlives the transaction. alone: the waiter's statement runs in no transaction.
    """

    name: str
    take: str
    waits: tuple[str, ...]
    writes: bool = False
    undone: str = "SELECT true"
    session: bool = False
    alone: bool = False


CHANGE = "UPDATE app.things SET n = n + 1 WHERE id = 1"
UNCHANGED = "SELECT n = 0 FROM app.things WHERE id = 1"
HELD = (
    Held("a table that it has read", "SELECT FROM app.things", ("LOCK TABLE app.things",)),
    Held("a table that it has locked", "LOCK TABLE app.things", ("SELECT FROM app.things",) * 3),
    Held(
        "a table that it has altered",
        "ALTER TABLE app.things ADD COLUMN added int",
        ("SELECT FROM app.things",) * 2,
        writes=True,
        undone="SELECT NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'app.things'::regclass"
        " AND attname = 'added')",
    ),
    Held("a row that it has changed", CHANGE, (CHANGE,), writes=True, undone=UNCHANGED),
    Held("a row with a queue", CHANGE, (CHANGE,) * 3, writes=True, undone=UNCHANGED),
    Held("a row that it has locked", "SELECT FROM app.things WHERE id = 1 FOR UPDATE", (CHANGE,)),
    Held(
        "a row that it shares",
        "SELECT FROM app.things WHERE id = 1 FOR SHARE",
        ("DELETE FROM app.things WHERE id = 1",),
    ),
    Held(
        "a key that it has inserted",
        "INSERT INTO app.things VALUES (50)",
        ("INSERT INTO app.things VALUES (50)",) * 2,
        writes=True,
        undone="SELECT NOT EXISTS (SELECT FROM app.things WHERE id = 50)",
    ),
    Held(
        "a row that it refers to",
        "INSERT INTO app.parts VALUES (1, 2)",
        ("DELETE FROM app.things WHERE id = 2",),
        writes=True,
        undone="SELECT NOT EXISTS (SELECT FROM app.parts)",
    ),
    Held(
        "an advisory lock of its session",
        "SELECT pg_advisory_lock(7)",
        ("SELECT pg_advisory_lock(7)",),
        session=True,
    ),
    Held(
        "an advisory lock of its transaction",
        "SELECT pg_advisory_xact_lock(7)",
        ("SELECT pg_advisory_xact_lock_shared(7)",) * 2,
    ),
    Held(
        "a transaction that an index waits for",
        CHANGE,
        ("CREATE INDEX CONCURRENTLY made ON app.things (n)",),
        writes=True,
        undone=UNCHANGED,
        alone=True,
    ),
    Held(
        "a schema that it has made a table in",
        "CREATE TABLE box.made (n int)",
        ("DROP SCHEMA box",),
        writes=True,
        undone="SELECT to_regclass('box.made') IS NULL",
    ),
    Held(
        "a sequence that it has altered",
        "ALTER SEQUENCE app.numbers RESTART",
        ("SELECT nextval('app.numbers')",) * 2,
        writes=True,
    ),
)


@dataclass(frozen=True)
class State:
    """What the holder does after it has taken that.

    state, event: what pg_stat_activity shows then, as state and 'type:event' (None: it works; '': any).
    go: what puts it there; the statements before are run in its transaction.
    inside: one statement takes and stays. over: the transaction has ended. left: why the plan leaves it.
    third: what somebody else does whom it waits for.
    """

    name: str
    state: str
    event: str | None
    go: Callable[[Session], None]
    before: tuple[str, ...] = ()
    user: str = ORDINARY
    inside: bool = False
    over: bool = False
    left: str = ""
    third: str = ""


def says(statement: str) -> Callable[[Session], None]:
    """It runs this and stays in it."""
    return lambda session: session.start(statement)


def fails(session: Session) -> None:
    """A statement fails behind a savepoint."""
    session.connection.pgconn.exec_(b"SAVEPOINT a")
    session.connection.pgconn.exec_(b"SELECT 1 / 0")


def takes_nothing(session: Session) -> None:
    """Its client asks for much and does not take it."""
    session.connection.pgconn.send_query(b"SELECT repeat('x', 1000000) FROM generate_series(1, 1000)")


def sends_nothing(session: Session) -> None:
    """Its client begins to send rows and stops."""
    session.connection.pgconn.exec_(b"COPY app.sink FROM STDIN")


def stops_in_a_pipeline(session: Session) -> None:
    """Its client sends a statement of a pipeline and not the pipeline's end."""
    connection = session.connection.pgconn
    connection.enter_pipeline_mode()
    connection.send_query_params(b"SELECT 1", None)
    connection.send_flush_request()
    connection.flush()


def nothing(session: Session) -> None:
    """It waits for its client's next statement."""


FOREVER = "WITH RECURSIVE r (n) AS (SELECT 1 UNION ALL SELECT n % 10 + 1 FROM r) SELECT count(*) FROM r"
OTHER_ROW = "UPDATE app.others SET n = n + 1"
STATES = (
    State("idle in its transaction", "idle in transaction", "Client:ClientRead", nothing),
    State("failed behind a savepoint", "idle in transaction (aborted)", "Client:ClientRead", fails),
    State("asleep", "active", "Timeout:PgSleep", says("SELECT pg_sleep(600)")),
    State(
        "asleep behind a savepoint",
        "active",
        "Timeout:PgSleep",
        says("SELECT pg_sleep(600)"),
        before=("SAVEPOINT a",),
    ),
    State(
        "asleep behind a savepoint that has written",
        "active",
        "Timeout:PgSleep",
        says("SELECT pg_sleep(600)"),
        before=("SAVEPOINT a", "INSERT INTO app.sink VALUES (1)"),
    ),
    State("computing", "active", None, says(FOREVER)),
    State(
        "in a parallel query",
        "active",
        "IPC:",
        says("SELECT count(pg_sleep(1)) FROM app.many"),
        before=(
            "SET LOCAL parallel_setup_cost = 0",
            "SET LOCAL parallel_tuple_cost = 0",
            "SET LOCAL min_parallel_table_scan_size = 0",
            "SET LOCAL max_parallel_workers_per_gather = 2",
            "SET LOCAL parallel_leader_participation = off",
        ),
    ),
    State("in a block of code", "active", "Timeout:PgSleep", nothing, inside=True),
    State("not taking its rows", "active", "Client:ClientWrite", takes_nothing),
    State("not sending its rows", "active", "Client:ClientRead", sends_nothing),
    State("in a pipeline that is not ended", "active", "Client:ClientRead", stops_in_a_pipeline),
    State("waiting for another's row", "active", "Lock:", says(OTHER_ROW), third=OTHER_ROW),
    State(
        "waiting for another's advisory lock",
        "active",
        "Lock:advisory",
        says("SELECT pg_advisory_xact_lock(9)"),
        third="SELECT pg_advisory_xact_lock(9)",
    ),
    State(
        "committing, without its standby",
        "active",
        "IPC:SyncRep",
        says("COMMIT"),
        before=("SET LOCAL synchronous_commit = on", "INSERT INTO app.sink VALUES (1)"),
        left="waits for its standby",
    ),
    State("not shown", "disabled", "", nothing, user=UNSEEN, left="what stopping it does is not known"),
    State("idle, its transaction ended", "idle", "Client:ClientRead", nothing, before=("COMMIT",), over=True),
)

LEFT_OUT = {
    "extend, page, frozenid, spectoken, userlock": "held for less than a statement, or by nothing any more",
    "applytransaction": "needs a subscription that streams: tests/sql/test_graph_processes.py",
    "SafeSnapshot, predicate locks": "pg_locks shows nobody who waits",
    "LWLock, BufferPin, IO": "short, and no client can be made to stay in one",
    "fastpath function call": "no client library of the tests sends one; the rule takes it for a statement",
    "a function that does not look for signals": "dblink before 17, plperl: looks like one that computes, and"
    " no signal comes through before it returns; the door says 'still there' (tests/sql/test_door.py)",
    "a row that several share": "one holder is shown at a time: tests/sql/test_rescue_carried_out.py",
    "autovacuum, walsender, apply, startup, prepared transactions": "the door refuses them",
    "VACUUM, CREATE INDEX, CONCURRENTLY": "each a statement of its own kind: tests/sql/test_blocker_kinds.py",
}
"""What is no situation here, and why; docs/kinds.md has the same list."""


@dataclass(frozen=True)
class Situation:
    """One of them. marks: its transaction has written before it took what others want."""

    state: State
    held: Held
    marks: bool

    def __str__(self) -> str:
        """As a test's name."""
        return f"{self.state.name}, {self.held.name}{', has written' if self.marks else ''}"

    @property
    def wrote(self) -> bool:
        """Whether an end of its transaction undoes anything."""
        return not self.state.over and (
            self.marks or self.held.writes or any("INSERT" in one for one in self.state.before)
        )


def situations() -> Iterator[Situation]:
    """All that can be: what is taken for a transaction is not held by a session that has ended it."""
    for row, state in enumerate(STATES):
        for column, held in enumerate(HELD):
            if not state.over or held.session:
                yield Situation(state, held, (row + column) % 2 == 0)
