"""A copy of the project that belongs to an ordinary user, whoever runs the tests."""

from __future__ import annotations

import contextlib
import os
import shutil
import site
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onevault.embedded import account as accounts
from onevault.embedded.account import Account

PROJECT = Path(__file__).resolve().parent.parent.parent
_LEFT_OUT = shutil.ignore_patterns(".git", ".venv", ".local", ".cache", "__pycache__", ".*_cache")


@dataclass(frozen=True)
class Ordinary:
    """Whoever owns `folder`, a copy of the project with a virtual environment that needs no downloads."""

    folder: Path
    account: Account | None

    @property
    def uid(self) -> int:
        """The user's id."""
        return self.account.uid if self.account else os.geteuid()

    def environment(self, **more: str) -> dict[str, str]:
        """A newcomer's environment: nothing but a path and a home."""
        return {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(self.folder.parent)} | more

    def start(self, *command: str, **more: str) -> subprocess.Popen[str]:
        """Start a command in the copy, in a session of its own; `more` are variables of its environment."""
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.environment(**more),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            **self._as_user(),
        )

    def python(self, script: str, stdin: str) -> subprocess.CompletedProcess[str]:
        """Run a script to its end in the copy."""
        return subprocess.run(
            [str(self.folder / ".venv" / "bin" / "python"), "-c", script],
            cwd=self.folder,
            env=self.environment(),
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            **self._as_user(),
        )

    def _as_user(self) -> dict[str, Any]:
        if self.account is None:
            return {}
        return {"user": self.account.uid, "group": self.account.gid, "extra_groups": []}


def copy_project(folder: Path, account: Account | None) -> None:
    """Copy the project to `folder`, with a .venv that uses the packages of the present one."""
    shutil.copytree(PROJECT, folder, ignore=_LEFT_OUT)
    python = _python(account)
    subprocess.run([python, "-m", "venv", "--without-pip", str(folder / ".venv")], check=True, cwd="/")
    [packages] = (folder / ".venv" / "lib").glob("python3*/site-packages")
    [present] = site.getsitepackages()
    if account is None or accounts.can_enter(Path(present), account):
        (packages / "present.pth").write_text(present + "\n")
    else:
        shutil.copytree(present, packages, symlinks=True, dirs_exist_ok=True)
    # What make compares with the requirement files to see that nothing has to be installed.
    script = "import onevault.bootstrap as b; print(b.wanted('dev'))"
    wanted = subprocess.run(
        [sys.executable, "-c", script], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    (folder / ".venv" / "installed-dev").write_text(wanted.stdout)


@contextlib.contextmanager
def ordinary_user() -> Iterator[Ordinary]:
    """An ordinary user: the caller, or where that is root the account that PostgreSQL runs as."""
    account = accounts.server_account()
    outer = Path(tempfile.mkdtemp(prefix="onevault-ordinary-", dir="/tmp"))
    try:
        outer.chmod(0o755)
        folder = outer / "one vault"
        copy_project(folder, account)
        if account is not None:
            for path in (outer, *outer.rglob("*")):
                os.chown(path, account.uid, account.gid, follow_symlinks=False)
        yield Ordinary(folder, account)
    finally:
        shutil.rmtree(outer)


def _python(account: Account | None) -> str:
    """A Python that the account may run, of this one's version (the packages are compiled for it)."""
    if account is None or accounts.can_reach(Path(sys.executable), account):
        return sys.executable
    name = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    found = shutil.which(name, path="/usr/local/bin:/usr/bin:/bin")
    assert found is not None, f"{account.name} cannot reach {sys.executable}, and there is no other {name}"
    return found
