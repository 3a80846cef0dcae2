"""Real sessions that make a server log all that it can say about locks, and what their clients got.

Each scene is played by sessions whose deadlock_timeout decides who logs: QUICK ones check, and log, soon;
PATIENT ones never do. So what the log must hold is known beforehand, whatever the language.
"""

from __future__ import annotations

import contextlib
import csv
import itertools
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from tests.support.poll import poll
from tests.support.servers import Server
from tests.support.sessions import Session

csv.field_size_limit(2**30)

QUICK, PATIENT = "60ms", "60s"
DATABASE = "shop [2] x"
USERS = ("al@example.com", "app: [x] y", "postgres")
BY_NETWORK = USERS[1]
"""Its sessions come by TCP, so that the log has addresses and ports; the others by a socket."""
APPLICATIONS = (
    "pgAdmin 4 - DB:shop",
    "sidekiq 1.2.3 queues:something[0 of 50 busy]",
    "psql",
    "user@host: [7]",
    "",
)
PART, STREET = "part_2024_01", 'Straße "9"'
WIDE = (
    "UPDATE part_2024_01\r\n\tSET n = n + 1,\n\t\tnote = 'it''s \"quoted\", \\ 日本 ß €'\n"
    "    -- DETAIL:  no\n"
    "WHERE id = {}"
)
"""A statement of many lines with tabs, quotes, backslash, CRLF and letters of several scripts."""


@dataclass
class Fact:
    """One record that the log must hold. `columns`: of lock_log.event, as the clients know them."""

    kind: str
    pid: int
    columns: dict[str, Any] = field(default_factory=dict)
    edges: list[list[Any]] | None = None
    """Each: pid, mode, pid of the one it waits for."""
    statements: dict[str, str] | None = None
    holders: list[str] | None = None
    queue: list[str] | None = None
    relation: str | None = None
    began: float = 0
    ended: float = 0


class Player:
    """The sessions of one play on a server with csvlog; `facts` grows with each scene."""

    def __init__(self, server: Server, database: str, csv_file: Path) -> None:
        self.server = server
        self.database = database
        self.csv_file = csv_file
        self.position = csv_file.stat().st_size
        self.facts: list[Fact] = []
        self._open: list[Session] = []
        self._turn = itertools.count()
        self.admin = psycopg.connect(server.dsn(database), autocommit=True)
        row = self.admin.execute(
            "SELECT d.oid, %s::regclass::oid, 'orders'::regclass::oid, %s::regclass::oid FROM pg_database d"
            " WHERE d.datname = current_database()",
            [PART, sql.Identifier(STREET).as_string(self.admin)],
        ).fetchone()
        assert row is not None
        self.oid = {"database": row[0], PART: row[1], "orders": row[2], STREET: row[3]}

    def session(self, timeout: str) -> Session:
        """A session of the next user and application."""
        turn = next(self._turn)
        user = USERS[turn % 3]
        place = {"host": "127.0.0.1", "password": "x"} if user == BY_NETWORK else {}
        one = Session(
            psycopg.conninfo.make_conninfo(
                self.server.dsn(self.database, user), options=f"-c deadlock_timeout={timeout}", **place
            ),
            application_name=APPLICATIONS[turn % len(APPLICATIONS)],
        )
        self._open.append(one)
        return one

    def logged(self, pid: int) -> int:
        """How many records of a process with a lock's mode in their message the csvlog holds."""
        with self.csv_file.open("rb") as file:
            file.seek(self.position)
            text = file.read().decode(errors="replace")
        lines = csv.reader(text[: text.rfind("\n") + 1].splitlines(keepends=True))
        return sum(1 for r in lines if len(r) > 22 and r[3] == str(pid) and "Lock" in r[13])

    def wait_logged(self, session: Session, count: int) -> None:
        """Wait until it has logged so many records about waits."""
        poll(lambda: self.logged(session.pid) >= count, 10, f"{count} records of a wait in the log")

    def relation(self, name: str) -> dict[str, Any]:
        """The columns that tell a relation."""
        return {"relation_oid": self.oid[name], "database_oid": self.oid["database"]}

    def add(self, kind: str, session: Session, mode: str | None = None, **more: Any) -> Fact:
        """A record that the log must hold."""
        fact = Fact(kind, session.pid)
        for name in ("edges", "statements", "holders", "queue", "relation"):
            setattr(fact, name, more.pop(name, None))
        fact.columns = {
            "lock_mode": mode,
            "user_name": session.connection.info.user,
            "database_name": self.database,
            **more,
        }
        self.facts.append(fact)
        return fact

    def play(self, scene: Callable[[Player], None]) -> None:
        """One scene; its facts get the time in which they came to be."""
        began, before = time.time(), len(self.facts)
        try:
            scene(self)
        finally:
            for one in reversed(self._open):
                one.close()
            self._open.clear()
        for fact in self.facts[before:]:
            fact.began, fact.ended = began, time.time()

    def close(self) -> None:
        """End the administrator's session."""
        self.admin.close()


def failed(session: Session, error: type[psycopg.Error]) -> None:
    """Wait until the statement has ended with this error, and roll back."""
    try:
        session.result()
    except error:
        session.run("ROLLBACK")
        return
    raise AssertionError(f"session {session.pid}: no {error.__name__}")


def prepare(server: Server) -> None:
    """The roles, the database and the tables of the play."""
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        for user in USERS[:2]:
            connection.execute(
                sql.SQL("CREATE ROLE {} LOGIN SUPERUSER PASSWORD 'x'").format(sql.Identifier(user))
            )
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
    with psycopg.connect(server.dsn(DATABASE), autocommit=True) as connection:
        for name in (PART, "orders", STREET):
            connection.execute(
                sql.SQL(
                    "CREATE TABLE {0} (id int PRIMARY KEY, n int, note text);"
                    " INSERT INTO {0} SELECT g, 0, '' FROM generate_series(1, 9) g"
                ).format(sql.Identifier(name))
            )
        connection.execute("CREATE SCHEMA seen")


@contextlib.contextmanager
def prepared(server: Server) -> Iterator[None]:
    """As `prepare`, and gone at the end."""
    try:
        prepare(server)
        yield
    finally:
        server.drop_database(DATABASE)
        for user in USERS[:2]:
            server.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(user)).as_string())


_marks = itertools.count(1)


def log_files(server: Server) -> dict[str, Path]:
    """The files that the server writes its log to, by format."""
    found = {}
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        for form in ("csvlog", "stderr", "jsonlog")[: 3 if server.version >= 15 else 2]:
            row = connection.execute("SELECT pg_current_logfile(%s)", [form]).fetchone()
            assert row is not None
            found[form] = server.cluster.data / row[0]
    return found


def settled(server: Server, files: Mapping[str, Path]) -> dict[str, int]:
    """How long each file is once everything is in it that the server has logged so far."""
    mark = f"all until here: {next(_marks)} of {os.getpid()}".encode()
    server.execute(f"DO $$ BEGIN RAISE LOG '{mark.decode()}'; END $$")

    def written(path: Path) -> bool:
        # the record's message and its statement
        text = path.read_bytes()
        return text.count(mark) >= 2 and text.endswith(b"\n")

    poll(lambda: all(written(path) for path in files.values()), 10, "the mark in every file")
    return {form: path.stat().st_size for form, path in files.items()}
