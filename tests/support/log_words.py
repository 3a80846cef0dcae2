"""Writes sql/lock_log/words.sql: the words by which a server's messages about locks are known, in every
language that PostgreSQL's server speaks and whose catalog could be looked at.

    python -m tests.support.log_words

Numbers, lock modes and codes are the same in all languages; what happened to a wait, and which label begins a
line, is only told by words. tests/data/log_words.toml has them as people read them; the reader has them as
bytes of UTF-8, escaped as bytea's escapes: its file has to install into a database of any encoding, and it
looks for them before it knows what encoding a line has. A test says when the two differ.

A database logs in its own encoding: those of a word's script are in the list of what is looked for in a piece
that is not UTF-8, and tell which one a record has.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from lockmon.install import SQL_FOLDER

FILE = SQL_FOLDER / "lock_log" / "words.sql"
DATA = Path(__file__).resolve().parents[1] / "data" / "log_words.toml"

MODES = ["ShareLock", "ExclusiveLock"]
"""How the name of each lock mode ends."""
CODES = ["40P01", "55P03", "57014"]
WORDS: dict[str, list[str]] = tomllib.loads(DATA.read_text(encoding="utf-8"))
LABELS = ("severity", "detail", "context", "statement", "aside", "label_of_two_words")
"""What stands before the lines of a record, and is looked at as it was written."""
TELLS = ("deadlock_wait", "rearranged", "failed_wait", "acquired", "waiting", "lock_failure")
"""Together with ANYWHERE: each record about locks has a word of one of these."""
LEGACY = {
    "LATIN": {"LATIN1": "latin-1", "LATIN2": "iso8859-2", "WIN1250": "cp1250", "LATIN5": "iso8859-9"},
    "CYRILLIC": {"KOI8U": "koi8-u", "WIN1251": "cp1251", "ISO_8859_5": "iso8859-5", "WIN866": "cp866"},
    "HIRAGANA": {"EUC_JP": "euc-jp"},
    "KATAKANA": {"EUC_JP": "euc-jp"},
    "HANGUL": {"EUC_KR": "euc-kr"},
    "CJK": {"EUC_JP": "euc-jp", "EUC_CN": "gb2312"},
}
"""By script: the encodings of a server (PostgreSQL's name, Python's codec) that have it, but for UTF8.

Western Europe's differ in letters that no word here has, so LATIN1 stands for all of them; KOI8R has Russian
where KOI8U has it."""
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


def elsewhere(word: str) -> dict[str, str]:
    """A word in the encodings that have it, but for UTF8: by encoding, as bytea's escapes; none for ASCII."""
    found: dict[str, str] = {}
    foreign = [letter for letter in word if not letter.isascii()]
    if foreign:
        for name, codec in LEGACY.get(unicodedata.name(foreign[0]).split()[0], {}).items():
            try:
                coded = word.encode(codec)
            except UnicodeEncodeError:
                continue
            text = "".join(chr(byte) if byte < 128 else f"\\{byte:03o}" for byte in coded)
            if text != found.get("LATIN1"):
                found[name] = text
    return found


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
    in_others = shortest(
        form for kind in ANYWHERE for word in WORDS[kind] for form in elsewhere(word).values()
    )
    lists = {kind: [escaped(word) for word in words] for kind, words in WORDS.items()}
    for kind in LABELS:
        forms = dict.fromkeys(form for word in WORDS[kind] for form in elsewhere(word).values())
        lists[f"{kind}, not UTF-8"] = [form for form in forms if form not in lists[kind]]
    lists |= {"modes": MODES, "codes": CODES, "anywhere": anywhere}
    # LATIN1 is what is left; WIN1250 has some words as LATIN2 has them, and others not
    tells = {
        (form, name): None
        for kind in (*TELLS, *ANYWHERE)
        for word in WORDS[kind]
        for name, form in elsewhere(word).items()
        if name != "LATIN1"
    }
    pairs = ",\n".join(f"    ({quoted(form)}, {quoted(name)})" for form, name in tells)
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
  -- csvlog and jsonlog have a code in each record; 40001 is a conflict with recovery's, too, 57P01 the end
  -- of a session, which may have waited
  RETURN CASE p_format
    WHEN 'stderr' THEN {expression(MODES + CODES + anywhere)}
    WHEN 'stderr, not UTF-8' THEN {expression(MODES + CODES + anywhere + in_others)}
    ELSE {expression([*MODES, *CODES, "57P01", "40001"])} END;
END
$$;
COMMENT ON FUNCTION lock_log.worth_reading(text) IS
  'Regular expression for a piece of a log (as bytea''s escapes) that may say something about locks; '
  '"stderr, not UTF-8": in whatever encoding.';

CREATE OR REPLACE FUNCTION lock_log.words_of_encodings()
RETURNS TABLE (word text, encoding text)
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN QUERY VALUES
{pairs};
END
$$;
COMMENT ON FUNCTION lock_log.words_of_encodings() IS
  'Words that records about locks have, as bytea''s escapes of an encoding other than UTF8, and that '
  'encoding: see lock_log.record_encoding().';
"""


if __name__ == "__main__":
    FILE.write_text(file_text(), encoding="utf-8")
