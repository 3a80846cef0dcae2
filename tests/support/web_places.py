"""A site that names its vault and no DATABASE_URL: its folder, its environment, its commands."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.loops import ROOT, url
from tests.support.ordinary import Ordinary
from tests.support.servers import Server
from tests.support.vaults import APP_LOGIN

PASSWORD = "only-for-tests"


@dataclass(frozen=True)
class Site:
    """Commands with the vault's login, and ONEVAULT_LOCAL in `local`; `more` are further variables."""

    vault: str
    local: Path
    more: Mapping[str, str] = field(default_factory=dict)
    ordinary: Ordinary | None = None
    """Whose copy of the project it is; None: this one, as whoever runs the tests."""

    def environment(self, **more: str) -> dict[str, str]:
        """What a person's shell has after the README's lines; without a value: unset."""
        of_tests = ("DJANGO_SETTINGS_MODULE", "CONN_MAX_AGE")
        kept = {key: value for key, value in os.environ.items() if key not in of_tests}
        named = {
            "VAULT_DATABASE_URL": self.vault,
            "ONEVAULT_LOCAL": str(self.local),
            "SECRET_KEY": "only-for-tests-" * 4,
            "ALLOWED_HOSTS": "127.0.0.1",
            "HTTPS_ONLY": "0",
        }
        found = kept | named | dict(self.more) | more
        return {key: value for key, value in found.items() if value}

    def run(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Run manage.py to its end."""
        if self.ordinary is not None:
            variables = self.environment(HOME=str(self.ordinary.folder.parent), **more)
            process = self.ordinary.start(".venv/bin/python", "manage.py", *arguments, **variables)
            said, _nothing = process.communicate()
            return subprocess.CompletedProcess(arguments, process.returncode, "", said)
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment(**more),
            capture_output=True,
            text=True,
            check=False,
        )

    def does(self, *arguments: str, **more: str) -> str:
        """Run manage.py, which must end well; what it says."""
        done = self.run(*arguments, **more)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def refuses(self, *arguments: str, code: int = 1, **more: str) -> str:
        """Run manage.py, which must end with this code and one sentence."""
        done = self.run(*arguments, **more)
        assert done.returncode == code, done.stdout + done.stderr
        assert done.stderr.strip().count("\n") == 0, done.stderr
        return done.stderr.strip()

    def add_person(self, name: str, **more: str) -> None:
        """createsuperuser, as the documents have it."""
        words = ("createsuperuser", "--noinput", "--username", name, "--email", f"{name}@example.com")
        self.does(*words, DJANGO_SUPERUSER_PASSWORD=PASSWORD, **more)

    @property
    def word(self) -> str | None:
        """What the file says; None where there is none."""
        with contextlib.suppress(FileNotFoundError):
            return (self.local / "web_database").read_text().split()[0]
        return None

    def in_sqlite(self, question: str) -> list[tuple[object, ...]]:
        """The rows of a question to the file."""
        with contextlib.closing(sqlite3.connect(self.local / "web.sqlite3")) as opened:
            return opened.execute(question).fetchall()


def site(server: Server, name: str, local: Path, **more: str) -> Site:
    """A site over the vault in this database, as the application's login."""
    return Site(url(server.dsn(name, APP_LOGIN)), local, more)
