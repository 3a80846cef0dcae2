"""Fixtures of several files: a living site of release candidate 1, and a vault that forgets what it read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.support import releases
from tests.support.servers import Server


@pytest.fixture
def vault(vault_db: str) -> Iterator[psycopg.Connection[Any]]:
    """A vault that forgets what it read at each rollback."""
    with psycopg.connect(vault_db) as connection:
        yield connection
        connection.rollback()


@pytest.fixture(scope="session")
def rc1_template(server: Server, template_vault: str) -> str:
    """The living site's database; copied, never used itself. The template's roles are there before it."""
    return releases.restore(server, "rc1")


@pytest.fixture
def site(server: Server, rc1_template: str) -> Iterator[str]:
    """The superuser's DSN of a living site of its own."""
    name = server.create_database(template=rc1_template)
    server.execute("GRANT lock_admin_role TO shop_dba")
    yield server.dsn(name)
    server.drop_database(name)
