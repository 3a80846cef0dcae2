"""Why a page cannot be shown: the one owner of what is said of a database that fails, to people and scripts.

A cause has a heading, one sentence that says what is, and what to do. It names no host, login or database:
whoever is not logged in reads it, too. What PostgreSQL itself said is added for who may read it
(lockmon.errors).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from types import TracebackType
from typing import Any, NamedTuple

import psycopg
from django.conf import settings
from django.db import DatabaseError, InterfaceError, OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper
from django.utils import timezone

from onevault.postgresql.guard import SilentServerError

from .. import errors
from . import memory

WEB = "default"
VAULT = "vault"
Errors = (DatabaseError, InterfaceError, psycopg.Error)
"""What a database raises, by Django or beside it."""


class Words(NamedTuple):
    """A heading and a sentence, with {server}, {database} and {variable} for whose; and what to do."""

    title: str
    sentence: str
    todo: tuple[str, ...]


_LOOK = "On its host: is PostgreSQL running (systemctl status postgresql), and what does its log say last?"
_ROOM = "On its host: df -h. Make room; PostgreSQL and SQLite go on by themselves as soon as there is some."

KINDS: dict[str, Words] = {
    "silent": Words(
        "{server} does not answer",
        "It takes connections and says nothing: its processes stand still, or something between here and "
        "there swallows what they say.",
        (
            "On its host: are memory, disk and processors there (dmesg, df -h, top: processes in state T "
            "or D)?",
            "Between here and there: has a firewall, a proxy or an address changed?",
        ),
    ),
    "refused": Words(
        "{server} is not running",
        "The connection failed: PostgreSQL does not answer at the address in {variable}.",
        (_LOOK, "If it runs: do host and port in {variable} still lead to it (pg_isready)?"),
    ),
    "full": Words(
        "{server} has too many clients",
        "The connection was refused: PostgreSQL has too many clients.",
        (
            "On its host, as superuser, for whom some places are kept: SELECT datname, usename, "
            "application_name, state, count(*) FROM pg_stat_activity GROUP BY 1, 2, 3, 4 ORDER BY 5 DESC",
            "End what is idle and not needed (pg_terminate_backend), or raise max_connections.",
        ),
    ),
    "restarting": Words("{server} is restarting", "PostgreSQL is restarting.", (_LOOK,)),
    "lost": Words(
        "{server} ended the connection",
        "It was stopped or restarted, an administrator ended the monitor's session, or something between "
        "here and there cut the line.",
        (_LOOK,),
    ),
    "login": Words(
        "{server} refuses the monitor's login",
        "The login was refused: check user and password in {variable}.",
        ("If it is no password: does pg_hba.conf let this host in?",),
    ),
    "absent": Words(
        "{database} is not there",
        "The server answers, and has no database of the name in {variable}.",
        ("Name the right one in {variable} and restart the web server, or restore the database.",),
    ),
    "timeout": Words(
        "The answer took too long",
        "PostgreSQL did not answer within this page's time limit and the statement was cancelled.",
        ("Ask for a shorter time or for less, or try again when the server is less busy.",),
    ),
    "locked": Words(
        "{server} is busy",
        "Another program holds a lock on what this page needs, for longer than a page waits.",
        ("Try again. If it lasts: end the program that holds the lock.",),
    ),
    "read only": Words(
        "{server} is read only",
        "It can be read and takes no change: nobody can log in or change anything. Who is logged in can go "
        "on reading.",
        (
            "PostgreSQL: is it a standby (SELECT pg_is_in_recovery())? Then name the primary in {variable}.",
            "SQLite: do file and folder belong to the web server's user, is their disk mounted read-write, "
            "and is there room on it (df -h)?",
        ),
    ),
    "disk full": Words(
        "{server} has no room left",
        "Its disk is full: it can be read and takes no change. Who is logged in can go on reading.",
        (_ROOM,),
    ),
    "disk": Words(
        "{server} cannot read or write its files",
        "Its disk, or a file of it, cannot be used.",
        (
            "On its host: dmesg, df -h; are file and folder there, and do they belong to the server's user?",
            "If the web server's log says that the file is broken (malformed, no database): put a copy back.",
        ),
    ),
    "not installed": Words(
        "The vault is not installed",
        "The vault is not installed in this database, or an older one is: run manage.py lockmon_deploy.",
        (),
    ),
    "no tables": Words(
        "The web database has not its tables",
        "Tables of the pages are missing, or are an older release's.",
        ("Run manage.py migrate, with the web server's environment, and restart web, queue and loop.",),
    ),
    "rights": Words(
        "The monitor lacks a right",
        "The monitor's login lacks a right on the vault: run manage.py lockmon_deploy, which names what is "
        "missing.",
        (),
    ),
    "other": Words("{server} answered with an error", "PostgreSQL answered: {said}.", ()),
}
_OF_THE_WEB = {
    "rights": Words(
        "The monitor lacks a right",
        "The login in {variable} lacks a right on the tables of the pages.",
        ("They belong to the login that ran manage.py migrate: use that one, or GRANT.",),
    ),
    "not installed": KINDS["no tables"],
}

# What a server says where it gives no code: before a session is there, and SQLite. The first that fits holds.
_SAID = (
    ("full", r"too many clients|remaining connection slots|too many connections"),
    ("restarting", r"starting up|shutting down|terminating connection|not yet accepting|recovery mode"),
    ("login", r"password|pg_hba\.conf|role \".*\" does not exist|not permitted to log in"),
    ("absent", r"database \".*\" does not exist"),
    ("read only", r"readonly database|read-only"),
    ("disk full", r"disk is full|No space left"),
    ("disk", r"unable to open database file|disk I/O error|malformed|not a database"),
    ("locked", r"database (?:table )?is locked"),
    ("no tables", r"no such (?:table|column)"),
    ("lost", r"server closed|connection is (?:lost|closed)|reset by peer|SSL"),
    ("silent", r"does not answer|timeout expired|timed out|No route to host|unreachable"),
    ("timeout", r"statement timeout|canceling statement"),
    ("not installed", r"does not exist"),
    ("rights", r"permission denied"),
    (
        "refused",
        r"refused|No such file or directory|could not|connection failed",
    ),
)
_CODES = {
    "53300": "full",
    "53100": "disk full",
    "58030": "disk",
    "25006": "read only",
    "57014": "timeout",
    "55P03": "locked",
    "57P01": "restarting",
    "57P02": "restarting",
    "57P03": "restarting",
    "3D000": "absent",
    "42501": "rights",
    "28000": "login",
    "28P01": "login",
    "42P01": "not installed",
    "42703": "not installed",
    "42883": "not installed",
    "3F000": "not installed",
}


@dataclass(frozen=True)
class Cause:
    """Why something cannot be shown. alias: whose fault it is, "" where it is no database's.

    status: the answer's code. since: when it began as this process knows, and what it knew before.
    """

    kind: str
    title: str
    sentence: str
    todo: tuple[str, ...] = ()
    status: int = 503
    alias: str = ""
    silence: memory.Silence | None = None

    @property
    def since(self) -> str:
        """Since when, in a sentence; "" where it does not last."""
        if self.silence is None:
            return ""
        found, before = self.silence, self.silence.answered
        if before is None:
            return f"Since {_clock(found.since)} at the latest: it has not answered this web process before."
        return f"Since {_clock(found.since)}; it last answered this web process at {_clock(before)}."

    @property
    def whole(self) -> str:
        """All of it in one paragraph, for scripts."""
        return " ".join(one for one in (f"{self.title}.", self.sentence, self.since) if one)


def _clock(moment: datetime) -> str:
    local = timezone.localtime(moment)
    return f"{local:%H:%M:%S %Z}" if local.date() == timezone.localdate() else f"{local:%Y-%m-%d %H:%M:%S %Z}"


def _owners(traceback: TracebackType | None) -> Iterator[str]:
    """The aliases of the connections through which an error came, the outermost first."""
    while traceback is not None:
        one: Any = traceback.tb_frame.f_locals.get("self")
        # by its type: a lazy object would ask the database what it is
        kind = type(one)
        if issubclass(kind, CursorWrapper):
            yield str(one.db.alias)
        elif issubclass(kind, BaseDatabaseWrapper):
            yield str(one.alias)
        traceback = traceback.tb_next


def alias_of(error: BaseException) -> str:
    """Return the alias of the database that failed, the vault's where nothing says it.

    Django's errors do not name it. Its traceback does, whatever the backend: a connection or a cursor of
    one is what raised them.
    """
    step: BaseException | None = error
    while step is not None:
        if owners := list(_owners(step.__traceback__)):
            return owners[-1]
        step = step.__cause__ or step.__context__
    return VAULT


def kind_of(error: BaseException) -> str:
    """Return which of KINDS an error of a database is."""
    cause = errors.cause_of(error)
    if isinstance(cause, SilentServerError | psycopg.errors.ConnectionTimeout):
        return "silent"
    state = getattr(cause, "sqlstate", None)
    if state is not None:
        return _CODES.get(state, "other")
    text = " ".join(str(error).split())
    return next((kind for kind, pattern in _SAID if re.search(pattern, text)), "other")


def is_of_a_database(error: BaseException | None) -> bool:
    """Whether a page failed because a database did, and not because a statement of ours is wrong."""
    if not isinstance(error, Errors):
        return False
    # of the vault nothing but its functions and views is asked: whatever it says, it is its answer
    return alias_of(error) != WEB or kind_of(error) != "other"


def behind(error: BaseException | None) -> BaseException | None:
    """Return the database's error that another one hides, None where there is none: Django's sessions say of
    any error in writing one that it is gone."""
    while error is not None:
        # what Django says of a row that is gone is a plain DatabaseError of its own
        if isinstance(error, Errors) and (error.__cause__ or isinstance(error, OperationalError)):
            return error
        error = error.__cause__ or error.__context__
    return None


def cause_of(error: BaseException) -> Cause:
    """Return what to say of a database's error; remembers that it failed, and since when."""
    alias, kind = alias_of(error), kind_of(error)
    cause = told(alias, kind, error)
    lasts = kind not in ("timeout", "locked", "lost", "other")
    return (
        replace(cause, silence=memory.failed(alias, f"{cause.whole} ({errors.told(error)})"))
        if lasts
        else cause
    )


def told(alias: str, kind: str, error: BaseException) -> Cause:
    """Return the words for a kind of failure of a database."""
    of_the_web = alias == WEB
    found = _OF_THE_WEB.get(kind, KINDS[kind]) if of_the_web else KINDS[kind]
    names = {
        "server": "The web database" if of_the_web else "The watched server",
        "database": "The web database" if of_the_web else "The watched database",
        # where Django's tables share the vault's database one variable names both
        "variable": "DATABASE_URL" if of_the_web and not settings.WEB_SCHEMA else "VAULT_DATABASE_URL",
        "said": errors.told(error, limit=200).rstrip("."),
    }
    todo = tuple(one.format(**names) for one in found.todo)
    return Cause(kind, found.title.format(**names), found.sentence.format(**names), todo, alias=alias)


def in_a_sentence(error: BaseException) -> str:
    """Return why the vault could not be read, in one sentence."""
    return told(VAULT, kind_of(error), error).sentence
