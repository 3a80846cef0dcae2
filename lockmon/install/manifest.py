"""Reading the manifests and the object files of ``sql/``."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

SQL_FOLDER = Path(__file__).resolve().parent.parent.parent / "sql"
MANIFESTS = ("step_7_lock_monitoring.sql", "step_8_blocking_detection.sql")

# What this package does by itself: its transaction, and its connections' settings (lockmon/session.py).
_FOR_PSQL = {
    "BEGIN;",
    "COMMIT;",
    "SET default_transaction_read_only = off;",
    "RESET default_transaction_read_only;",
    r"\pset tuples_only on",
    r"\pset tuples_only off",
}
_ECHO = re.compile(r"\\echo\s+'((?:[^']|'')*)'")
_INCLUDE = re.compile(r"\\ir\s+(\S+)")
_NAME = r"([a-z_]+)\.([a-z_0-9]+)"
_CREATED = {
    "table": re.compile(rf"^CREATE TABLE IF NOT EXISTS {_NAME}", re.MULTILINE),
    "index": re.compile(
        r"^CREATE (?:UNIQUE )?INDEX IF NOT EXISTS ([a-z_0-9]+)\s+ON ([a-z_]+)\.[a-z_0-9]+", re.MULTILINE
    ),
    "view": re.compile(rf"^CREATE OR REPLACE VIEW {_NAME}", re.MULTILINE),
    "function": re.compile(rf"^CREATE OR REPLACE (?:FUNCTION|PROCEDURE) {_NAME}\s*\(", re.MULTILINE),
}
_BODY = re.compile(
    rf"^CREATE OR REPLACE (?:FUNCTION|PROCEDURE) {_NAME}\s*\(.*?\bAS\s+(\$[a-z_]*\$)(.*?)\3",
    re.MULTILINE | re.DOTALL,
)


class ManifestError(Exception):
    """A manifest says something that only psql would understand; the message names the line."""


@dataclass(frozen=True)
class Source:
    """One file of ``sql/`` in install order. `note` is what to tell before it, if anything."""

    path: Path
    note: str | None = None

    @cached_property
    def text(self) -> str:
        """The file's SQL."""
        return self.path.read_text(encoding="utf-8")

    @property
    def name(self) -> str:
        """The file's path below ``sql/``."""
        return self.path.relative_to(SQL_FOLDER).as_posix()

    def created(self) -> Iterator[tuple[str, str, str]]:
        """The objects it creates: kind (table, index, view, function), schema, name."""
        for kind, pattern in _CREATED.items():
            for first, second in pattern.findall(self.text):
                schema, name = (second, first) if kind == "index" else (first, second)
                if schema != "pg_temp":
                    yield kind, schema, name

    def bodies(self) -> Iterator[tuple[str, str]]:
        """The functions it creates, as "schema.name", each with its body."""
        for schema, name, _quote, body in _BODY.findall(self.text):
            if schema != "pg_temp":
                yield f"{schema}.{name}", body


@dataclass(frozen=True)
class Drift:
    """A definition that is not, or not as, the files say. `what` is a clause such as "is missing"."""

    name: str
    what: str


def read(manifest: str) -> Iterator[Source]:
    """The files that one manifest lists, in its order.

    Raises ManifestError for a line that is none of: \\ir, \\set, \\echo, a comment, what is psql's alone.
    """
    note = None
    lines = (SQL_FOLDER / manifest).read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, start=1):
        word = line.strip()
        if not word or word.startswith(("--", r"\set ")):
            continue
        if word in _FOR_PSQL:
            continue
        if echo := _ECHO.fullmatch(word):
            note = echo[1].replace("''", "'")
        elif include := _INCLUDE.fullmatch(word):
            yield Source(SQL_FOLDER / include[1], note)
            note = None
        else:
            raise ManifestError(f"{manifest}, line {number}: only psql would understand {word!r}")


def sources() -> list[Source]:
    """All files of both manifests, in install order; the first file of both is the same one."""
    return [source for manifest in MANIFESTS for source in read(manifest)]


@dataclass(frozen=True)
class Contents:
    """What the files of this release create.

    `objects`: (kind, schema, name) to the file's path below ``sql/``. `bodies`: "schema.name" to the bodies
    of the functions of that name.
    """

    objects: dict[tuple[str, str, str], str]
    bodies: dict[str, frozenset[str]]


@lru_cache(maxsize=1)
def contents() -> Contents:
    """Read the files once: a process belongs to one release, which an update ends."""
    objects: dict[tuple[str, str, str], str] = {}
    bodies: dict[str, set[str]] = defaultdict(set)
    for source in sources():
        objects |= dict.fromkeys(source.created(), source.name)
        for name, body in source.bodies():
            bodies[name].add(body)
    return Contents(objects, {name: frozenset(found) for name, found in bodies.items()})


def files_hash() -> str:
    """A digest of everything that an install would run."""
    digest = hashlib.sha256()
    for source in sources():
        digest.update(source.name.encode() + b"\0" + source.text.encode() + b"\0")
    return digest.hexdigest()
