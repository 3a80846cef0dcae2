"""Databases as they are before an install: empty, or those of a real One Vault site."""

from __future__ import annotations

import subprocess
from pathlib import Path

import psycopg

from lockmon.install import SQL_FOLDER
from tests.support.servers import Server

DATA = Path(__file__).resolve().parent.parent / "data"
STEPS = ("step_7_lock_monitoring.sql", "step_8_blocking_detection.sql")


def real_site(server: Server, *, old_functions: bool = True) -> str:
    """Make a database with a site's platform and, if asked for, its own broken lock_monitoring; its name."""
    name = server.create_database()
    with psycopg.connect(server.dsn(name), autocommit=True) as connection:
        connection.execute((DATA / "site" / "platform.sql").read_text(encoding="utf-8"))
        if old_functions:
            connection.execute((DATA / "site" / "lock_monitoring.sql").read_text(encoding="utf-8"))
    return name


def psql(
    server: Server,
    database: str,
    *arguments: str,
    user: str = "postgres",
    folder: Path = SQL_FOLDER,
    stdin: str | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run psql as the guide does, in the folder of the manifests."""
    command = [server.program("psql"), "-X", "-d", server.dsn(database, user), *arguments]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, timeout=120, input=stdin
    )


def install_with_psql(server: Server, database: str, folder: Path = SQL_FOLDER) -> None:
    """The guide's two commands."""
    for step in STEPS:
        done = psql(server, database, "-f", step, folder=folder)
        assert done.returncode == 0, done.stderr
        assert not done.stderr, done.stderr
