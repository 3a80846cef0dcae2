"""What an error of PostgreSQL may say, and to whom. One owner for pages, exports, mails, the API and logs.

PostgreSQL puts values into its sentences (``invalid input syntax for type integer: "..."``), DETAIL holds
whole rows, and what an alert's query or a trigger reads is a text of another session. So everybody is told
an error's code and name, and PostgreSQL's own sentence only if it can name nothing but objects, limits and
states. Whoever may see query texts is told the whole sentence; PostgreSQL's log has it in any case.
"""

from __future__ import annotations

import re

import psycopg
from django.db import DatabaseError, OperationalError
from psycopg import errors

from .literals import hide_literals

_STATES = re.compile(
    # constraints, transaction states, logins, rollbacks, too few of something, shutdowns and cancelling
    r"(?:23|25|28|40|53|57)[0-9A-Z]{3}"
    # a value that is too long (its type is named), division by zero, an object in use, a lock not to be had
    r"|22001|22012|55006|55P03"
    # the vault's own
    r"|L[DV][0-9]{3}"
)
_KEPT = ("22023", "42501")
"""Codes of the vault's own sentences, and of refused rights, where only code and sentence are kept."""
_VALUE = re.compile(r"['\"$?0-9]")
"""Where a value may begin; what hide_literals has hidden is a question mark."""
_BUGS = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""Errors of Python whose texts quote the value at fault."""
_ACL = "aclcheck_error"
"""PostgreSQL's function that refuses a right on an object: it names the object and nothing else."""
_RAISED = "exec_stmt_raise"
"""PostgreSQL's function behind RAISE: the sentence is somebody's own, with whatever that put into it."""
_OURS = re.compile(r"\b(?:lock_(?:admin|catalog|engine|log|monitoring)\.\w+|monitoring\.\w*alert\w*)\(")
"""A function of the vault, in the first line of an error's CONTEXT: the names stand there in any language."""


def cause_of(error: BaseException) -> BaseException:
    """Return psycopg's error behind Django's; the error itself where there is none."""
    cause = error.__cause__
    return cause if isinstance(cause, psycopg.Error) and not isinstance(error, psycopg.Error) else error


def whole(error: BaseException, limit: int = 500) -> str:
    """Return PostgreSQL's own sentence on one line, without DETAIL; for who may see query texts."""
    cause = cause_of(error)
    text = cause.diag.message_primary if isinstance(cause, psycopg.Error) else None
    return " ".join((text or str(cause) or type(cause).__name__).split())[:limit]


def told(
    error: BaseException, own_text: str | None = None, limit: int = 500, site_speaks: bool = False
) -> str:
    """Return what everybody may read of an error, on one line.

    own_text: the statement that failed, where everybody may see it: an error that PostgreSQL finds in that
    text itself, before anything is read, is told in its own words. What is no answer of PostgreSQL (nobody
    answers at the address) is told as it is. site_speaks: a sentence that a trigger or policy of the site
    raises is told up to its first value.
    """
    cause = cause_of(error)
    if not isinstance(cause, psycopg.Error):
        return type(cause).__name__ if isinstance(cause, _BUGS) else whole(cause, limit)
    state = cause.sqlstate
    if state is None:
        return whole(cause, limit)
    if _names_only(cause, state, own_text):
        return whole(cause, limit)
    raised = cause.diag.source_function == _RAISED
    return up_to_value(whole(cause, limit)) if site_speaks and raised else named(state)


def for_person(error: BaseException, may_see: bool) -> str:
    """Return the whole sentence for who may see query texts, else what everybody may read."""
    return whole(error) if may_see else told(error)


def for_command(error: DatabaseError) -> str | None:
    """Return the one sentence for a command that a database has ended; None where a statement of ours is at
    fault, whose traceback is wanted."""
    text = str(error).strip()
    if text.startswith("no such table") or isinstance(cause_of(error), errors.UndefinedTable):
        return "Django's tables are not there, or are of an earlier release: run 'manage.py migrate' first."
    if type(error) not in (DatabaseError, OperationalError):
        return None
    if "readonly database" in text:
        return "This user may not write the web database: start as the user whose file and folder it is."
    return f"The database does not answer: {text.splitlines()[-1] if text else type(error).__name__}"


def named(sqlstate: str | None) -> str:
    """Return "error 22P02 (invalid text representation)"."""
    if not sqlstate:
        return "an error without a code"
    try:
        name = errors.lookup(sqlstate).__name__.rstrip("_")
    except KeyError:
        return f"error {sqlstate}"
    return f"error {sqlstate} ({re.sub('(?<=[a-z])(?=[A-Z])', ' ', name).lower()})"


def kept(sqlstate: str | None, sentence: str | None) -> str:
    """Return what everybody may read of an error that the vault keeps as code and sentence; "" for none."""
    if not sentence:
        return ""
    if sqlstate == "P0001":
        return up_to_value(sentence)
    if sqlstate and not _STATES.fullmatch(sqlstate) and sqlstate not in _KEPT:
        return named(sqlstate)
    return " ".join(sentence.split())


def up_to_value(sentence: str) -> str:
    """Return a sentence that somebody raised, cut where the first constant or comment in it begins."""
    shown = " ".join((hide_literals(sentence) or "").split())
    found = _VALUE.search(shown)
    return f"{shown[: found.start()].rstrip()}…" if found else shown


def problem(sentence: str | None, may_see: bool) -> str:
    """Return why a message was not delivered; "" for None.

    After the colon stands what a mail server or a channel answered, which can quote the message: that is for
    who may see query texts.
    """
    if not sentence or may_see:
        return sentence or ""
    first, colon, _ = sentence.partition(":")
    return f"{first.strip()}." if colon else first


def _names_only(error: psycopg.Error, state: str, own_text: str | None) -> bool:
    """Whether an error's sentence can hold no value."""
    raised = error.diag.source_function == _RAISED
    if raised:
        first = (error.diag.context or "").split("\n", 1)[0]
        return bool(_OURS.search(first))
    inner = error.diag.internal_query
    if inner is None and error.diag.statement_position:
        return True  # found in the statement that the monitor has sent, before anything was read
    if inner is not None and inner == own_text and error.diag.internal_position:
        return True
    if state == "42501":
        return error.diag.source_function == _ACL
    return bool(_STATES.fullmatch(state))
