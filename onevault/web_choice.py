"""Deciding once where Django's own tables are, for a site that names no DATABASE_URL.

Where a release before has made them beside the vault, they stay there, unasked, and nothing is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import psycopg

from lockmon import session
from onevault import databases, env, web_place

_THERE = """
    SELECT pg_catalog.count(*) > 0
      FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
     WHERE c.relkind = 'r'
       AND (n.nspname = %s AND c.relname IN ('auth_user', 'django_migrations')
            OR n.nspname = 'public' AND c.relname = 'lockmon_monitorstate'
               AND pg_catalog.pg_get_userbyid(c.relowner) = session_user)
"""
_LOOKS_ONLY = {"--help", "-h", "--version", "--plan", "--check", "--list"}


class UnansweredError(Exception):
    """The watched server has to be asked, and does not answer; the message is one sentence."""


def is_open() -> bool:
    """Whether it is the file that says where Django's tables are."""
    return bool(env.text("VAULT_DATABASE_URL")) and not env.text("DATABASE_URL")


def before_migrate(arguments: Sequence[str], local: Path) -> str | None:
    """Decide if this command line (sys.argv) is a `migrate`; returns the word that it has written."""
    if len(arguments) < 2 or arguments[1] != "migrate" or _LOOKS_ONLY & set(arguments) or not is_open():
        return None
    before = web_place.read(local)
    chosen = choose(local, web_place.SQLITE)
    return chosen if before is None and chosen != web_place.VAULT else None


def choose(local: Path, otherwise: str) -> str:
    """The place of Django's tables; where nothing says it and there are none beside the vault, `otherwise`.

    Raises UnansweredError or PlaceError; then nothing was written.
    """
    if (said := web_place.read(local)) is not None:
        return said
    if tables_beside_vault():
        return web_place.VAULT
    return web_place.make(local, otherwise)


def tables_beside_vault() -> bool:
    """Whether a release before has made Django's tables in the watched database; needs no rights there."""
    found = databases.own(web_place.VAULT, Path())
    first = bool(found["OPTIONS"]["options"])
    ours = ("options", "session_options", "session_role")
    parameters = {name: value for name, value in found["OPTIONS"].items() if name not in ours}
    named = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST", "port": "PORT"}
    parameters |= {key: found[name] for key, name in named.items() if found.get(name)}
    try:
        connection, _pid = session.connect(
            lambda options: psycopg.connect(**parameters, options=options, autocommit=True),
            session.place(parameters),
            session.Session.of(session.LIMITS, first=first),
        )
        with connection:
            row = connection.execute(_THERE, [databases.WEB_SCHEMA]).fetchone()
    except psycopg.Error as error:
        why = str(error).strip().splitlines()[-1].strip().rstrip(".")
        raise UnansweredError(
            f"The database of VAULT_DATABASE_URL cannot be reached: {why}. It has to say once whether "
            f"Django's tables are there already; nothing was changed. Or set {web_place.SET_URL}."
        ) from error
    return row is not None and bool(row[0])
