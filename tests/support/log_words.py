"""Writes sql/lock_log/words.sql: the words by which a server's messages about locks are known, in every
language that PostgreSQL's server speaks and whose catalog could be looked at.

    python -m tests.support.log_words

Numbers, lock modes and codes are the same in all languages; what happened to a wait, and which label begins a
line, is only told by words. tests/data/log_words.toml has them as people read them; the reader has them as
bytes of UTF-8, escaped as bytea's escapes: its file has to install into a database of any encoding, and it
looks for them before it knows what encoding a line has. A test says when the two differ.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from pathlib import Path

from lockmon.install import SQL_FOLDER

FILE = SQL_FOLDER / "lock_log" / "words.sql"
DATA = Path(__file__).resolve().parents[1] / "data" / "log_words.toml"

MODES = ["ShareLock", "ExclusiveLock"]
"""How the name of each lock mode ends."""
CODES = ["40P01", "55P03", "57014"]
WORDS: dict[str, list[str]] = tomllib.loads(DATA.read_text(encoding="utf-8"))
ANYWHERE = (
    "deadlock",
    "lock_timeout",
    "not_available",
    "named_first",
    "cancelled",
    "autovacuum_cancelled",
    "recovery_conflict",
)
"""The kinds whose words alone can show that a record of a stderr log may be about locks."""


def escaped(word: str) -> str:
    """Text as bytea's escapes of UTF-8."""
    return "".join(
        letter if letter.isascii() else "".join(f"\\{byte:03o}" for byte in letter.encode())
        for letter in word
    )


def shortest(words: Iterable[str]) -> list[str]:
    """Without those that hold another of them."""
    kept: list[str] = []
    for word in sorted(set(words), key=lambda word: (len(word), word)):
        if not any(other in word for other in kept):
            kept.append(word)
    return kept


def quoted(text: str) -> str:
    """A string constant of SQL."""
    return "'" + text.replace("'", "''") + "'"


def file_text() -> str:
    """What sql/lock_log/words.sql holds."""
    anywhere = shortest(escaped(word) for kind in ANYWHERE for word in WORDS[kind])
    lists = {kind: [escaped(word) for word in words] for kind, words in WORDS.items()}
    lists |= {"modes": MODES, "codes": CODES, "anywhere": anywhere}
    cases = "\n".join(
        f"    WHEN {quoted(kind)} THEN ARRAY[{', '.join(quoted(word) for word in words)}]"
        for kind, words in lists.items()
    )

    def expression(words: list[str]) -> str:
        return quoted("|".join(re.sub(r"[\\.^$*+?(){}|\[\]]", r"\\\g<0>", word) for word in words))

    return f"""\
-- Written by tests/support/log_words.py out of tests/data/log_words.toml, which people read and mend: the
-- words of a server's messages about locks in the languages that it speaks, as bytea's escapes of UTF-8.
CREATE OR REPLACE FUNCTION lock_log.words(p_kind text)
RETURNS text[]
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN CASE p_kind
{cases}
  END;
END
$$;
COMMENT ON FUNCTION lock_log.words(text) IS
  'The words of one kind in all languages; anywhere: what alone shows that a stderr log may be about locks.';

-- For a whole piece: an expression of so many words costs more to begin with than a line takes.
CREATE OR REPLACE FUNCTION lock_log.worth_reading(p_format text)
RETURNS text
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  -- csvlog and jsonlog have a code in each record; 40001 is a conflict with recovery's, too
  RETURN CASE WHEN p_format = 'stderr'
    THEN {expression(MODES + CODES + anywhere)}
    ELSE {expression([*MODES, *CODES, "40001"])} END;
END
$$;
COMMENT ON FUNCTION lock_log.worth_reading(text) IS
  'Regular expression for a piece of a log (as bytea''s escapes) that may say something about locks.';
"""


if __name__ == "__main__":
    FILE.write_text(file_text(), encoding="utf-8")
