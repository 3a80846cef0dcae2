"""What real servers logged in each language, as kept in tests/data/log (see tests.support.log_record)."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support.log_play import Fact
from tests.support.log_render import Record, read_csv

FOLDER = Path(__file__).resolve().parents[1] / "data" / "log"
LANGUAGES = tuple(sorted(path.stem for path in FOLDER.glob("*.csv")))


@dataclass(frozen=True)
class Recorded:
    """One play: the same records in three formats, and what the clients got."""

    language: str
    csvlog: bytes
    jsonlog: bytes
    stderr: bytes
    records: tuple[Record, ...]
    facts: tuple[Fact, ...]
    words: Mapping[str, str]


@functools.cache
def load(language: str) -> Recorded:
    """The play in one language."""
    csvlog, jsonlog, stderr = ((FOLDER / f"{language}.{end}").read_bytes() for end in ("csv", "json", "log"))
    kept = json.loads((FOLDER / f"{language}.facts.json").read_text(encoding="utf-8"))
    facts = tuple(Fact(**fact) for fact in kept["facts"])
    return Recorded(language, csvlog, jsonlog, stderr, tuple(read_csv(csvlog)), facts, kept["words"])
