"""Django's own tables in a database that belongs to the application's login, which inherits nothing."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.conftest import Connect
from tests.support.loops import ROOT, url
from tests.support.servers import Server
from tests.support.vaults import APP_LOGIN


def test_a_login_that_inherits_nothing_migrates_the_database_that_it_owns(
    server: Server, vault_db: str, connect: Connect
) -> None:
    """Before 16 NOINHERIT takes pg_database_owner's rights away, and from 15 on public belongs to that."""
    dba = connect("postgres")
    name, owner = server.create_database(), "owns_its_database"
    dba.execute(f"CREATE ROLE {owner} LOGIN NOINHERIT")
    dba.execute(f"ALTER DATABASE {name} OWNER TO {owner}")
    try:
        environment = {key: value for key, value in os.environ.items() if key != "DJANGO_SETTINGS_MODULE"} | {
            "VAULT_DATABASE_URL": url(server.dsn(vault_db.split("dbname=")[1].split()[0], APP_LOGIN)),
            "DATABASE_URL": url(server.dsn(name, owner)),
            "SECRET_KEY": "only-for-tests-" * 4,
        }
        done = subprocess.run(
            [sys.executable, "manage.py", "migrate", "-v0"],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        made = (
            connect(name).execute("SELECT tableowner FROM pg_tables WHERE tablename = 'auth_user'").fetchone()
        )
        assert made == (owner,)
    finally:
        server.drop_database(name)
        dba.execute(f"DROP ROLE {owner}")
