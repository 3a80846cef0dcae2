"""Fixtures of the upgrade tests: a living site of release candidate 1."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support import releases
from tests.support.servers import Server


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
