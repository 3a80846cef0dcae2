"""Throwaway PostgreSQL clusters for tests."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psycopg
from psycopg import sql

from onevault.embedded import account as accounts
from onevault.embedded import binaries
from onevault.embedded.cluster import SUPERUSER, Cluster

_numbers = itertools.count(1)
_PREFIX = "onevault-test-"


@dataclass(frozen=True)
class Server:
    """A running cluster of the tests. Connections are by a socket, without passwords, as any role."""

    cluster: Cluster

    @property
    def version(self) -> int:
        """The major version, such as 15."""
        return self.cluster.binaries.major

    @property
    def port(self) -> int:
        """The port; on 127.0.0.1 a password is asked for."""
        return self.cluster.port

    @property
    def socket_directory(self) -> Path:
        """The folder of the socket."""
        assert self.cluster.socket_directory is not None
        return self.cluster.socket_directory

    @property
    def log_directory(self) -> Path:
        """Where the server writes its stderr, csv and (15+) json logs."""
        return self.cluster.data / "log"

    def program(self, name: str) -> str:
        """The path of one of PostgreSQL's programs, such as psql; not every package carries them all."""
        own = self.cluster.binaries.folder / name
        return str(own) if own.exists() else binaries.client(name)

    def dsn(self, dbname: str = "postgres", user: str = SUPERUSER) -> str:
        """A connection string for libpq."""
        return self.cluster.conninfo(dbname, user)

    def execute(self, statement: str, dbname: str = "postgres") -> None:
        """Run one statement as the superuser, outside any transaction."""
        with psycopg.connect(self.dsn(dbname), autocommit=True) as connection:
            connection.execute(statement)

    def create_database(
        self, template: str = "template0", name: str | None = None, *, at_home: bool = True
    ) -> str:
        """Make a database and return its name.

        A vault in the template finds itself in a copy, where nothing acts; with `at_home` it is told that
        this is its place, as if it had been installed there.
        """
        name = name or f"test_{next(_numbers)}"
        # without fsync a copy of the files costs half of what the same costs by way of the WAL
        how = sql.SQL("STRATEGY file_copy" if self.version >= 15 else "")
        with psycopg.connect(self.dsn(), autocommit=True) as connection:
            connection.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {} {}").format(
                    sql.Identifier(name), sql.Identifier(template), how
                )
            )
        if at_home and template != "template0":
            with psycopg.connect(self.dsn(name), autocommit=True) as inside:
                if inside.execute("SELECT to_regclass('lock_engine.home') IS NOT NULL").fetchone() == (True,):
                    inside.execute(
                        "UPDATE lock_engine.home SET database_oid = d.oid FROM pg_database AS d"
                        " WHERE d.datname = current_database()"
                    )
        return name

    def drop_database(self, name: str) -> None:
        """Drop a database, ending whoever is still in it."""
        with psycopg.connect(self.dsn(), autocommit=True) as connection:
            for (gid,) in connection.execute("SELECT gid FROM pg_prepared_xacts WHERE database = %s", [name]):
                with psycopg.connect(self.dsn(name), autocommit=True) as inside:
                    inside.execute(sql.SQL("ROLLBACK PREPARED {}").format(sql.Literal(gid)))
            connection.execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
            )

    def restart(self) -> None:
        """Stop and start it again; every connection is lost."""
        self.cluster.stop()
        self.cluster.start()


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _in_memory() -> Path:
    """A folder kept in memory if there is one with room, else /tmp; a socket needs a short path."""
    memory = Path("/dev/shm")
    with contextlib.suppress(OSError):
        if os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 4 * 2**30:
            return memory
    return Path("/tmp")


def _claim(base: Path) -> IO[str]:
    """Lock a file in a cluster's folder for as long as this process lives; nobody sees it unlocked."""
    claim = (base / "owner.making").open("w", encoding="ascii")
    fcntl.flock(claim, fcntl.LOCK_EX)
    (base / "owner.making").rename(base / "owner")
    return claim


def _sweep(folder: Path) -> None:
    """Remove what tests left in a folder when they were killed: nobody else would give that memory back."""
    for left in folder.glob(f"{_PREFIX}*"):
        # in use, not ours to touch, or just being made
        with contextlib.suppress(OSError), (left / "owner").open(encoding="ascii") as claim:
            fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left, ignore_errors=True)


@contextlib.contextmanager
def throwaway(
    settings: Mapping[str, str] | None = None, on_disk: bool = False, folder: Path | None = None
) -> Iterator[Server]:
    """A fresh cluster with the monitor's settings, gone with all its data at the end.

    `settings` are further server settings, by name. Which PostgreSQL: see onevault.embedded.binaries. Kept in
    memory where there is room, unless `on_disk`: a database for each test is made and dropped, for which a
    disk's file system takes a third of the time of all tests. `folder`: below this one, whatever it is.
    """
    account = accounts.server_account()
    found = binaries.find(account)
    folder = folder or (Path("/tmp") if on_disk else _in_memory())
    _sweep(folder)
    base = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=folder))
    claim = _claim(base)
    accounts.give(base, account)
    cluster = Cluster(
        base=base,
        binaries=found,
        account=account,
        port=free_port(),
        socket_directory=base,
        durable=False,
        settings={
            "fsync": "off",
            "full_page_writes": "off",
            "autovacuum_naptime": "1d",
            "max_connections": "400",
            "max_wal_size": "4GB" if on_disk else "256MB",
            "log_rotation_age": "0",
            # A busy machine's slow statements and checkpoints are lines that no test wrote.
            "log_min_duration_statement": "-1",
            "log_checkpoints": "off",
        }
        | dict(settings or {}),
    )
    try:
        cluster.initialise()
        cluster.start()
        yield Server(cluster)
    finally:
        cluster.stop()
        shutil.rmtree(base, ignore_errors=True)
        claim.close()
