"""Sessions whose names and statements are bytes: of databases in other encodings, as any cluster may have."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import psycopg
from psycopg import pq, sql

from tests.support import vaults
from tests.support.poll import poll
from tests.support.servers import Server

ENCODINGS = ("LATIN1", "WIN1252", "KOI8R", "EUC_JP", "SQL_ASCII")
"""Encodings of databases whose sessions are watched from a vault in UTF8, or from one another."""


class Stranger:
    """A session below psycopg, which knows text only: everything is bytes."""

    def __init__(self, server: Server, database: bytes, user: bytes = b"postgres") -> None:
        """Connect by the socket."""
        place = f"host='{server.socket_directory}' port={server.port} connect_timeout=10 ".encode()
        self.wire = pq.PGconn.connect(place + b"dbname='" + database + b"' user='" + user + b"'")
        assert self.wire.status == pq.ConnStatus.OK, self.wire.error_message
        self.pid = self.wire.backend_pid
        # what it sends is taken as it is
        self.run(b"SELECT set_config('client_encoding', getdatabaseencoding(), false)")

    def run(self, statement: bytes) -> bytes | None:
        """Send a statement, wait for its end and return its first value as PostgreSQL writes it."""
        result = self.wire.exec_(statement)
        assert result.status in (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK), result.error_message
        return result.get_value(0, 0) if result.ntuples else None

    def start(self, statement: bytes) -> Stranger:
        """Send a statement and return at once."""
        self.wire.send_query(statement)
        return self

    def wait_blocked(self, server: Server, deadline: float = 10) -> Stranger:
        """Wait until somebody blocks it; returns itself."""
        with psycopg.connect(server.dsn(), autocommit=True) as observer:

            def blocked() -> bool:
                row = observer.execute("SELECT cardinality(pg_blocking_pids(%s)) > 0", [self.pid]).fetchone()
                return bool(row and row[0])

            poll(blocked, deadline, f"session {self.pid} waiting for a lock")
        return self

    def close(self) -> None:
        """End the session, whatever it is doing."""
        cancel = self.wire.get_cancel()
        with contextlib.suppress(psycopg.OperationalError):
            cancel.cancel()
        self.wire.finish()


def create_database(server: Server, name: str, encoding: str) -> None:
    """Make an empty database in an encoding."""
    server.execute(f"CREATE DATABASE \"{name}\" TEMPLATE template0 ENCODING '{encoding}' LOCALE 'C'")


@contextlib.contextmanager
def vault_in(server: Server, encoding: str) -> Iterator[str]:
    """A vault in a database of this encoding, gone at the end: its superuser's DSN, for a client in UTF8."""
    name = f"vault_in_{encoding}"
    create_database(server, name, encoding)
    try:
        place = f"{server.dsn(name)} client_encoding=UTF8"
        vaults.install(place)
        yield place
    finally:
        server.drop_database(name)


class Abroad:
    """Databases in other encodings, a role and a database whose names are not UTF-8, and sessions there."""

    USER = b"caf\xe9"
    DATABASE = b"donn\xe9es"

    def __init__(self, server: Server) -> None:
        """Make them."""
        self.server = server
        self.opened: list[Stranger] = []
        for encoding in ENCODINGS:
            create_database(server, f"abroad_{encoding}", encoding)
        raw = self.session("SQL_ASCII")
        raw.run(b'CREATE ROLE "' + self.USER + b'" LOGIN')
        raw.run(
            b'CREATE DATABASE "'
            + self.DATABASE
            + b'" OWNER "'
            + self.USER
            + b"\" TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'"
        )

    def session(self, encoding: str, user: bytes = b"postgres") -> Stranger:
        """A session of the database in this encoding."""
        self.opened.append(Stranger(self.server, f"abroad_{encoding}".encode(), user))
        return self.opened[-1]

    def at_home(self) -> Stranger:
        """A session of the role and in the database whose names are not UTF-8."""
        self.opened.append(Stranger(self.server, self.DATABASE, self.USER))
        return self.opened[-1]

    def queue(self, holder: Stranger, waiter: Stranger, words: bytes, key: int = 9) -> None:
        """One session idle in transaction that holds an advisory lock, and one that waits for it."""
        lock = f"SELECT pg_advisory_xact_lock({key}, {key})".encode()
        holder.run(b"BEGIN")
        holder.run(lock + b" /* " + words + b" holds */")
        waiter.start(lock + b" /* " + words + b" waits */").wait_blocked(self.server)

    def close(self) -> None:
        """End the sessions and take everything away."""
        for one in reversed(self.opened):
            one.close()
        with psycopg.connect(self.server.dsn("abroad_SQL_ASCII"), autocommit=True) as raw:
            raw.execute("SET client_encoding = 'SQL_ASCII'")
            raw.execute(b'DROP DATABASE IF EXISTS "' + self.DATABASE + b'" WITH (FORCE)')
            raw.execute(b'DROP ROLE IF EXISTS "' + self.USER + b'"')
        for encoding in ENCODINGS:
            name = sql.Identifier(f"abroad_{encoding}")
            with psycopg.connect(self.server.dsn(), autocommit=True) as connection:
                connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))


@contextlib.contextmanager
def abroad(server: Server) -> Iterator[Abroad]:
    """Everything of Abroad for the length of a test."""
    there = Abroad(server)
    try:
        yield there
    finally:
        there.close()
