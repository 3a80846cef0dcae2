"""Fixtures: a real PostgreSQL, a database with the vault for each test, sessions that block each other."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import psycopg
import pytest
from django.db import connections
from pytest_django import DjangoDbBlocker

from tests.support import vaults
from tests.support.servers import Server, throwaway
from tests.support.sessions import Session


@pytest.hookimpl(trylast=True)  # pytest-django sorts them, too
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests of an hour run where they are asked for by their mark, and nowhere else."""
    if "long" not in str(config.option.markexpr):
        lengthy = {item for item in items if item.get_closest_marker("long")}
        items[:] = [item for item in items if item not in lengthy]
        config.hook.pytest_deselected(items=list(lengthy))
    begin_with_the_slow_ones(items)


def begin_with_the_slow_ones(items: list[pytest.Item]) -> None:
    """Let each process of xdist begin with its share of the slow tests, so that none is left at the end.

    xdist gives each as many neighbours as the others; a place or two after a boundary is surely behind it.
    """
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    slow = [item for item in items if item.get_closest_marker("slow")]
    theirs = set(slow)
    quick = [item for item in items if item not in theirs]
    order: list[pytest.Item] = []
    for number in range(processes):
        mine = slow[number::processes]
        share = max(0, len(items) * (number + 1) // processes - len(order) - len(mine))
        others = quick[:share]
        del quick[:share]
        order += others[:2] + mine + others[2:]
    items[:] = order + quick


class Connect(Protocol):
    """Opens a connection to a DSN or to a database's name."""

    def __call__(
        self, place: str, user: str | None = None, autocommit: bool = True
    ) -> psycopg.Connection[Any]:
        """Connect; the test's end closes it."""


class OpenSession(Protocol):
    """Opens a session with a thread of its own."""

    def __call__(
        self, place: str, user: str | None = None, application_name: str = "test", autocommit: bool = False
    ) -> Session:
        """Connect; the test's end closes it."""


def pytest_configure(config: pytest.Config) -> None:
    """A shell that starts the tests in the background lets them, and all they start, ignore SIGINT."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A throwaway cluster with the guide's settings and its log switched on."""
    with throwaway() as running:
        yield running


@pytest.fixture(scope="session")
def template_vault(server: Server) -> str:
    """The name of a database with sql/ installed; copied, never used itself."""
    name = server.create_database(name="template_vault")
    vaults.install(server.dsn(name))
    return name


@pytest.fixture
def vault_db(server: Server, template_vault: str) -> Iterator[str]:
    """The superuser's DSN of a fresh database with the vault.

    Django's alias `vault` leads to it for this test, with the application's login (reads; no superuser).
    """
    name = server.create_database(template=template_vault)
    before = vaults.point_alias("vault", server, name, vaults.APP_LOGIN)
    yield server.dsn(name)
    vaults.point_alias("vault", server, before, vaults.APP_LOGIN)
    server.drop_database(name)


def _dsn(server: Server, place: str, user: str | None) -> str:
    if "=" not in place and "://" not in place:
        return server.dsn(place, user or "postgres")
    return psycopg.conninfo.make_conninfo(place, user=user) if user else place


@pytest.fixture
def connect(server: Server) -> Iterator[Connect]:
    """Open connections; all are closed at the end."""
    opened: list[psycopg.Connection[Any]] = []

    def open_one(place: str, user: str | None = None, autocommit: bool = True) -> psycopg.Connection[Any]:
        opened.append(psycopg.connect(_dsn(server, place, user), autocommit=autocommit))
        return opened[-1]

    yield open_one
    for connection in opened:
        connection.close()


@pytest.fixture
def session(server: Server) -> Iterator[OpenSession]:
    """Open sessions that may be left waiting; all are ended at the end."""
    opened: list[Session] = []

    def open_one(
        place: str, user: str | None = None, application_name: str = "test", autocommit: bool = False
    ) -> Session:
        dsn = _dsn(server, place, user)
        opened.append(Session(dsn, application_name=application_name, autocommit=autocommit))
        return opened[-1]

    yield open_one
    # The last to come waits for the first: end the waiters first.
    for one in reversed(opened):
        one.abandon()


@pytest.fixture(scope="session")
def django_db_setup(
    server: Server, template_vault: str, django_db_blocker: DjangoDbBlocker
) -> Iterator[None]:
    """Django's tables in a database of the throwaway cluster; alias `vault` leads to a template's copy."""
    with django_db_blocker.unblock():
        vaults.point_alias("default", server, "postgres")
        made = connections["default"].creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
        connections["default"].close()
        vaults.point_alias("default", server, made)
        copy = server.create_database(template=template_vault)
        vaults.point_alias("vault", server, copy, vaults.APP_LOGIN)
    yield
    with django_db_blocker.unblock():
        connections.close_all()


@pytest.fixture(scope="session")
def install_vault() -> Callable[[str], None]:
    """Install sql/ into the database of a DSN."""
    return vaults.install
