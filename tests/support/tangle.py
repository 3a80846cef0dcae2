"""Random scenes of sessions that block each other, and the truth about them: pg_blocking_pids()."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import psycopg

from tests.support.poll import poll
from tests.support.sessions import Session

ROW_LOCKS = ("UPDATE", "NO KEY UPDATE", "SHARE", "KEY SHARE")
MODES = (
    "ACCESS SHARE",
    "ROW SHARE",
    "ROW EXCLUSIVE",
    "SHARE UPDATE EXCLUSIVE",
    "SHARE",
    "SHARE ROW EXCLUSIVE",
    "EXCLUSIVE",
    "ACCESS EXCLUSIVE",
)
TABLES = 3
# PostgreSQL's documentation, table "Conflicting Lock Modes", in the order of MODES.
_CONFLICTS = ("8", "78", "5678", "45678", "34678", "345678", "2345678", "12345678")
CONFLICTS = {
    mode.title().replace(" ", "") + "Lock": {
        MODES[int(n) - 1].title().replace(" ", "") + "Lock" for n in _CONFLICTS[i]
    }
    for i, mode in enumerate(MODES)
}

PREPARE = """
CREATE SCHEMA IF NOT EXISTS app;
CREATE TABLE app.big AS SELECT g AS id FROM generate_series(1, 2000) AS g;
CREATE TABLE app.inner_table (id int);
-- a parallel worker that takes a lock which its leader does not hold
CREATE FUNCTION app.reads_inner(p_id int) RETURNS bigint LANGUAGE plpgsql PARALLEL SAFE AS
  'BEGIN RETURN (SELECT count(*) FROM app.inner_table) + p_id; END';
"""


def prepare(dsn: str) -> None:
    """Make the tables of a scene in the database of this DSN."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(PREPARE)
        for number in range(TABLES):
            connection.execute(f"CREATE TABLE app.t{number} (id int PRIMARY KEY, n int NOT NULL DEFAULT 0)")
            connection.execute(f"INSERT INTO app.t{number} SELECT g FROM generate_series(1, 4) AS g")


@dataclass
class Tangle:
    """Sessions that do what chance says; each step ends when its statement has ended or waits."""

    dsn: str
    open_session: Callable[..., Session]
    chance: random.Random
    look: psycopg.Connection[Any]
    sessions: list[Session] = field(default_factory=list)
    builders: list[Session] = field(default_factory=list)
    history: list[str] = field(default_factory=list)
    prepared: int = 0

    def join(self, autocommit: bool = False) -> Session:
        """One more session; deadlocks are left alone for a minute in it."""
        one = self.open_session(self.dsn, application_name="tangle", autocommit=autocommit)
        one.connection.execute("SET deadlock_timeout = '60s'")
        if not autocommit:
            one.connection.commit()
        return one

    def begin(self, size: int) -> None:
        """Open the sessions."""
        self.sessions = [self.join() for _ in range(size)]

    def statement(self) -> str:
        """A statement that takes a lock."""
        chance = self.chance
        kind = chance.choices(("update", "row", "table", "advisory"), (3, 4, 3, 3))[0]
        table, row = f"app.t{chance.randrange(TABLES)}", chance.randint(1, 2)
        if kind == "update":
            return f"UPDATE {table} SET n = n + 1 WHERE id = {row}"
        if kind == "row":
            return f"SELECT * FROM {table} WHERE id = {row} FOR {chance.choice(ROW_LOCKS)}"
        if kind == "table":
            return f"LOCK TABLE {table} IN {chance.choice(MODES)} MODE"
        scope, shared = chance.choice(("", "_xact")), chance.choice(("", "_shared"))
        keys = chance.choice(("1", "4294967298", "1, 2"))
        return f"SELECT pg_advisory{scope}_lock{shared}({keys})"

    def step(self) -> None:
        """One session does one thing."""
        free = [one for one in self.sessions if not one.busy]
        if not free:
            return
        one = self.chance.choice(free)
        self.act(one, "ROLLBACK" if self.chance.random() < 0.06 else self.statement())

    def act(self, one: Session, statement: str) -> None:
        """Send a statement and wait until it has ended or waits for a lock."""
        self.history.append(f"{one.pid}: {statement}")
        one.start(statement)

        def settled() -> bool:
            return not one.busy or bool(self._waits(one.pid))

        poll(settled, 20, f"{one.pid} {statement} ended or waiting", interval=0.005)

    def _waits(self, pid: int) -> bool:
        row = self.look.execute("SELECT cardinality(pg_blocking_pids(%s)) > 0", [pid]).fetchone()
        return bool(row and row[0])

    def prepare_transaction(self) -> None:
        """A transaction that outlives its session."""
        one = self.join()
        self.prepared += 1
        gid = f"tangle-{one.pid}-{self.prepared}"
        table = f"app.t{self.chance.randrange(TABLES)}"
        what = self.chance.choice(
            (
                f"UPDATE {table} SET n = n + 1 WHERE id = {self.chance.randint(1, 2)}",
                f"LOCK TABLE {table} IN ROW EXCLUSIVE MODE",
                "SELECT pg_advisory_xact_lock_shared(1)",
            )
        )
        self.act(one, what)
        if not one.busy:
            self.act(one, "SELECT pg_current_xact_id()")
            self.act(one, f"PREPARE TRANSACTION '{gid}'")

    def build_index(self) -> None:
        """CREATE INDEX CONCURRENTLY, which waits for other transactions by their virtual ids."""
        one = self.join(autocommit=True)
        self.act(one, f"CREATE INDEX CONCURRENTLY ON app.t{self.chance.randrange(TABLES)} (n)")

    def parallel_query(self) -> Session:
        """A query whose workers read a table that somebody has locked."""
        version = int(self.look.info.server_version) // 10000
        keeper = self.join()
        self.act(keeper, "LOCK TABLE app.inner_table IN ACCESS EXCLUSIVE MODE")
        one = self.join()
        for name, value in (
            ("max_parallel_workers_per_gather", "2"),
            ("parallel_setup_cost", "0"),
            ("parallel_tuple_cost", "0"),
            ("min_parallel_table_scan_size", "0"),
            ("parallel_leader_participation", "off"),
            ("force_parallel_mode" if version < 16 else "debug_parallel_query", "off"),
        ):
            self.act(one, f"SET {name} = {value}")
        self.act(one, "SELECT sum(app.reads_inner(id)) FROM app.big")
        return one


@dataclass(frozen=True)
class Truth:
    """Who waits for whom, from pg_locks and pg_blocking_pids(); nodes are pids of leaders, 0 is prepared."""

    edges: dict[int, frozenset[int]]
    hard: dict[int, frozenset[int]]
    several_waits: frozenset[int]

    @staticmethod
    def read(connection: psycopg.Connection[Any]) -> Truth:
        """What PostgreSQL says now."""
        leader = dict(
            connection.execute(
                "SELECT pid, CASE WHEN backend_type = 'parallel worker' THEN leader_pid ELSE pid END"
                " FROM pg_stat_activity"
            ).fetchall()
        )
        locks = connection.execute(
            "SELECT pid, granted, mode, (locktype, database, relation, page, tuple, virtualxid,"
            " transactionid, classid, objid, objsubid)::text FROM pg_locks"
        ).fetchall()
        waits = [(pid, mode, thing) for pid, granted, mode, thing in locks if not granted]
        edges: dict[int, set[int]] = {}
        hard: dict[int, set[int]] = {}
        count: dict[int, int] = {}
        for pid, mode, thing in waits:
            row = connection.execute("SELECT pg_blocking_pids(%s)", [pid]).fetchone()
            assert row is not None
            # One that came between the two questions is a node of its own here, and another when asked again.
            node = leader.get(pid, pid)
            count[node] = count.get(node, 0) + 1
            edges.setdefault(node, set()).update(row[0])
            holders = {
                0 if holder is None else leader.get(holder, holder)
                for holder, granted, held, locked in locks
                if granted and locked == thing and held in CONFLICTS[mode]
            }
            hard.setdefault(node, set()).update(holders & set(row[0]))
        return Truth(
            {node: frozenset(blockers) for node, blockers in edges.items()},
            {node: frozenset(blockers) for node, blockers in hard.items()},
            frozenset(node for node, waiting in count.items() if waiting > 1),
        )


def reachable(edges: dict[int, frozenset[int]]) -> dict[int, frozenset[int]]:
    """For each waiter everybody it waits for, directly or through others; itself only if in a cycle."""
    reach: dict[int, frozenset[int]] = {}
    for start, first in edges.items():
        seen: set[int] = set()
        todo = list(first)
        while todo:
            node = todo.pop()
            if node not in seen:
                seen.add(node)
                todo.extend(edges.get(node, ()))
        reach[start] = frozenset(seen)
    return reach
