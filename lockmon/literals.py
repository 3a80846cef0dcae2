"""A statement without its constants, for who may not see data: ``lock_engine.hide_literals`` in Python.

The rule and its reasons stand in sql/lock_engine/hide_literals.sql; both are held to one table of cases
(tests/support/literals.py). Too much is hidden rather than too little: a text may be cut anywhere.
"""

from __future__ import annotations

import re
from functools import lru_cache

MOST = 20_000
"""Characters of a statement that are looked at; the rest is left out."""

# Not within a word: the character before is none of a name's. Every character beyond ASCII is.
_APART = r"(?<![^\x01-#%-/:-@\[-^`{-\x7f])"
# Inside a comment: anything that neither ends it nor begins another one. Comments nest, three deep.
_IN = r"\*+[^*/]|/+[^*/]|[^*/]"
_MARKS = {1: None, 2: None}


def _closed(depth: int) -> str:
    inner = rf"|/*{_closed(depth - 1)}" if depth else ""
    return rf"/\*(?:{_IN}{inner})*+\*+/"


def _open(depth: int) -> str:
    """A comment in which the text ends, or that nests deeper."""
    if not depth:
        return rf"/\*(?:{_IN})*+(?:\**\Z|/+\Z|/*/\*.*)"
    return rf"/\*(?:{_IN}|/*{_closed(depth - 1)})*+(?:\**\Z|/+\Z|/*{_open(depth - 1)})"


_TOKEN = re.compile(
    r"(?P<name>\"(?:[^\"]|\"\")*+\")"
    rf"|(?P<comment>{_closed(3)}|{_open(3)}|--[^\n\r]*)"
    r"|\"(?:[^\"]|\"\")*+\Z"
    rf"|{_APART}[eE]'(?:[^'\\]|''|\\.)*+(?:'|\\?\Z)"
    r"|[eE][sS][cC][aA][pP][eE]\s*'\\'(?!')"
    r"|'(?:[^'\\]|''|\\[^'])*+(?:'|\\'.*|\\?\Z)"
    r"|\$[^$\s0-9'\"(),;][^$\s'\"(),;]*\$.*"
    r"|\$\$(?:[^$]|\$[^$])*+(?:\$\$|\$?\Z)"
    r"|\$[0-9]{6,}"
    rf"|{_APART}[-+]?\.?[0-9][\w.]*(?:(?<=[eE])[-+][0-9][\w.]*)?",
    re.S | re.A,
)

# The name of a setting, which may have blanks around its dots, and all up to the end of a statement.
_PART = r"(?:\"[^\"]*\"|[^\s\".=;,()])+"
_NAME = rf"{_PART}(?:\s*\.\s*{_PART})*(?:\s*\buescape\s*\?)?"
_REST = r"(?:[^;\"]|\"[^\"]*\")*"
_MAY_SET = re.compile(r"(?:\A|;)\s*set\b|\bto\b|\bidentified\b", re.I | re.A)
_SET = re.compile(
    rf"((?:(?:\A|;)\s*set\b\s*(?:(?:session|local)\b\s*)?(?:{_NAME}\s*(?:=|\bto\b)|time\s+zone\b|password\b)"
    rf"|\bset\b\s*(?:(?:session|local)\b\s*)?{_NAME}\s*\bto\b|\bidentified\s+by\b)\s*){_REST}",
    re.I | re.A,
)
_DEFINES = re.compile(r"(?:\A|;)\s*(?:alter|create|copy)\b", re.I | re.A)
_DEFINED = re.compile(rf"((?:\bset\b\s*{_NAME}\s*=|\bconnection\b|\bprogram\b)\s*){_REST}", re.I | re.A)
_OPTIONS = re.compile(r"(\boptions\s*\()(?:[^;)\"]|\"[^\"]*\")*", re.I | re.A)
# What follows a COPY from the client is its data, where a script was sent as one statement.
_DATA = re.compile(r"((?:\A|;)\s*copy\b[^;]*\bstdin\b[^;]*;\s*)\S.*", re.I | re.A | re.S)
_ROLE = re.compile(r"(?:\A|;)\s*(?:alter|create)\s+(?:role|user|group)\b", re.I | re.A)
_PASSWORD = re.compile(rf"(\bpassword\b\s*){_REST}", re.I | re.A)


def _hidden(match: re.Match[str]) -> str:
    if match.lastgroup == "name":
        return match.group()
    return " " if match.lastgroup == "comment" else "?"


def hide_literals(text: str | None) -> str | None:
    """Return a statement with its constants, values of SET and passwords as ``?`` and without comments."""
    return None if text is None else _hide(text[:MOST])


@lru_cache(maxsize=1024)
def _hide(text: str) -> str:
    shown = _TOKEN.sub(_hidden, text.translate(_MARKS))
    if _MAY_SET.search(shown):
        shown = _SET.sub(r"\1?", shown)
    if _DEFINES.search(shown):
        shown = _DATA.sub(r"\1?", _OPTIONS.sub(r"\1?", _DEFINED.sub(r"\1?", shown)))
        if _ROLE.search(shown):
            shown = _PASSWORD.sub(r"\1?", shown)
    return shown


@lru_cache(maxsize=2048)
def shape_of(text: str | None) -> str | None:
    """Return what is the same in statements that differ by constants and spacing only; groups like
    waiters."""
    hidden = hide_literals(None if text is None else text[:2000])
    return None if hidden is None else " ".join(hidden.split()).lower()
