"""Random log_line_prefixes that hold a time and a process, and what can be read from lines with them."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

from tests.support.log_render import DEFAULT, TERSE, VERBOSE, Record, Renderer

KNOWN = (
    "%m [%p] ",
    "%m [%p] %q%u@%d ",
    "%m [%p] %q%u@%d/%a ",
    "%t-%c-",
    "%t:%r:%u@%d:[%p]:",
    "%m [%p] [user=%u,db=%d,app=%a] ",
    "%t [%p]: [%l-1] user=%u,db=%d,app=%a,client=%h ",
    "%m %h(%p) %r %i ",
    "%m [%p] %Q %P %b ",
    "%m [%p] %u %d %a",
)
"""PostgreSQL's default, Debian's, the manual's, Azure's, RDS's, pganalyze's, pgBadger's, and hard ones."""
_TIMES, _PROCESSES, _OTHERS = "mtn", "pc", "aubdeilhrsvxPQL"
_NAMES = {"u": "user_name", "d": "database_name", "a": "application_name", "r": "client", "h": "client"}
_BETWEEN = (" ", " ", " ", ",", " [", "] ", ":", "|", "@", "/", " (", ") ", " - ", "; ", "=", "<>")
_BEHIND = (" ", " ", " ", ": ", "> ", "] ", " | ", "-", "")


@dataclass(frozen=True)
class Shape:
    """A prefix and a verbosity."""

    prefix: str
    verbosity: str

    def of(self, record: Record) -> Shape:
        """As it is for this record: where a process has no session the prefix ends at %q."""
        return self if record.connection else Shape(self.prefix.split("%q")[0], self.verbosity)

    @property
    def letters(self) -> str:
        """The escapes in it."""
        return "".join(re.findall(r"%-?\d*([A-Za-z])", self.prefix))

    @property
    def has_code(self) -> bool:
        """Whether records carry their SQLSTATE."""
        return "e" in self.letters or self.verbosity == VERBOSE

    @property
    def has_detail(self) -> bool:
        """Whether there are DETAIL and CONTEXT."""
        return self.verbosity != TERSE

    def tells(self, record: Record) -> set[str]:
        """Columns of lock_log.event whose value nothing in the line leaves in doubt.

        A name that holds what follows its escape in the prefix may end in several places, and where it may,
        the names behind it may begin in several.
        """
        sure = {"session_id"} if "c" in self.letters else set()
        for padding, letter, behind in re.findall(r"%(-?\d*)([A-Za-z])([^%]*)", self.prefix):
            if letter not in _NAMES:
                continue
            value = Renderer("").value(record, letter)
            # of several "@" the last one ends the user: names of people have it, names of databases do not
            by_last = letter == "u" and "%u@%d" in self.prefix and "@" not in record.database
            if padding or not behind or (behind[0] in value and not by_last):
                break
            sure.add(_NAMES[letter])
        if {"r", "h"} <= set(self.letters):
            sure.discard("client")
        return sure


def generate(chance: random.Random) -> Shape:
    """One that nobody wrote down: a time and a process, and up to six others, in any order."""
    letters = chance.choice(_TIMES) + chance.choice(_PROCESSES)
    letters += "".join(chance.sample(_OTHERS, chance.randint(0, 6)))
    if chance.random() < 0.7:
        # most begin with the time
        shuffled = letters[0] + "".join(chance.sample(letters[1:], len(letters) - 1))
    else:
        shuffled = "".join(chance.sample(letters, len(letters)))
    last = max(shuffled.index(letters[0]), shuffled.index(letters[1]))
    session_from = chance.randint(last + 1, len(shuffled)) if chance.random() < 0.5 else -1
    if shuffled[session_from - 1] in "aubdihr":
        # a name directly before the severity is guesswork
        session_from = -1
    made = chance.choice(("", "", "", "[", "<", "db1 "))
    for number, letter in enumerate(shuffled):
        if number == session_from:
            made += "%q"
        padding = chance.choice(("-24", "20", "-3", "12")) if chance.random() < 0.15 else ""
        made += f"%{padding}{letter}{chance.choice(_BETWEEN)}"
    made = made.rstrip(" ([|/@<>-=,:;]") if made[-1] not in "%" else made
    behind = chance.choice(_BEHIND)
    if not behind and shuffled[-1] in "aubdihr":
        behind = " "
    if session_from == len(shuffled):
        made += "%q"
    return Shape(made + behind, chance.choice((TERSE, DEFAULT, DEFAULT, VERBOSE)))


def shapes(seed: int, count: int) -> list[Shape]:
    """Those that are known, then so many generated ones; the same for the same seed."""
    chance = random.Random(seed)
    known = [Shape(prefix, chance.choice((TERSE, DEFAULT, DEFAULT, VERBOSE))) for prefix in KNOWN]
    return known + [generate(chance) for _ in range(count)]
