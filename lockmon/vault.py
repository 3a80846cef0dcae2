"""Connections to a monitored database. The alias is always an argument: there may be several vaults."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from django.conf import settings as django_settings
from django.db import connections, transaction
from django.db.backends.utils import CursorWrapper

from lockmon import session
from onevault.postgresql import guard

ADMIN_ROLE = "lock_admin_role"
APPLICATION = "one_vault_lockmon"

# A dead host is noticed within about 25 s, on both ends of the connection.
_KEEPALIVES = {
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
_IDLE_IN_TRANSACTION_MS = 30_000
# Options of Django's own, and of our backend, in a database's OPTIONS, not of libpq.
_DJANGO_ONLY = frozenset(
    {"pool", "server_side_binding", "assume_role", "isolation_level", "options", "application_name"}
    | {"session_options", "session_role"}
)


@contextmanager
def cursor(alias: str = "vault") -> Iterator[CursorWrapper]:
    """A Django cursor on the monitored database, in the reading role, with the timeouts of a page."""
    with connections[alias].cursor() as opened:
        yield opened


@contextmanager
def admin_transaction(alias: str = "vault") -> Iterator[CursorWrapper]:
    """One outermost transaction in lock_admin_role; commits at the end, rolls back on an exception.

    Where the site gave the admin work a login of its own (VAULT_ADMIN_DATABASE_URL), that login is used.
    Raises RuntimeError inside another transaction: SET LOCAL ROLE would leak into it.
    """
    alias = admin_alias(alias)
    with transaction.atomic(using=alias, durable=True), connections[alias].cursor() as opened:
        opened.execute(f"SET LOCAL ROLE {ADMIN_ROLE}")
        yield opened


def application_of(purpose: str) -> str:
    """Return the application_name of a connection for one purpose; see direct_parameters."""
    return f"{APPLICATION}:{purpose}"


def assume_admin(cursor: psycopg.Cursor[Any]) -> None:
    """Take lock_admin_role for the rest of a connection of the caller's own."""
    cursor.execute(f"SET ROLE {ADMIN_ROLE}")


def admin_alias(alias: str = "vault") -> str:
    """The alias whose login does the admin work for this vault: its own, unless the site named another."""
    other = f"{alias}_admin"
    return other if other in connections.databases else alias


def direct_parameters(alias: str, purpose: str) -> dict[str, Any]:
    """What libpq is told for a connection beside Django's: place, login and keepalives.

    `purpose` is what the connection is for ("monitor", "alerts", ...); it goes to application_name. Where the
    site named a login for the monitor (VAULT_MONITOR_DATABASE_URL) it is used for everything but "admin" and
    "cleanup", which are the admin login's (VAULT_ADMIN_DATABASE_URL), if there is one, and "tenants", which
    is that of VAULT_SITE_DATABASE_URL, if there is one.
    """
    place = connections.databases[alias]
    logins = django_settings.VAULT_DIRECT.get(alias, {})
    place = logins.get("admin" if purpose in ("admin", "cleanup") else "monitor", place)
    if purpose == "tenants":
        place = logins.get("site", place)
    options = {key: value for key, value in place.get("OPTIONS", {}).items() if key not in _DJANGO_ONLY}
    named = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST", "port": "PORT"}
    known = {key: place[name] for key, name in named.items() if place.get(name)}
    return options | known | _KEEPALIVES | {"application_name": application_of(purpose)}


def direct_connection(
    alias: str,
    purpose: str,
    *,
    autocommit: bool = True,
    statement_timeout_ms: int = 10_000,
    lock_timeout_ms: int = 1_000,
    settings: session.Settings | None = None,
) -> psycopg.Connection[tuple[Any, ...]]:
    """Open a connection of the caller's own; the caller closes it, in the process that opened it.

    settings: what its session sets otherwise than lockmon.session says, besides the two timeouts. Call it
    after any fork: a child's close() of an inherited connection ends the parent's session. Raises
    psycopg.OperationalError where the database cannot be reached within 5 s.
    """
    parameters = direct_parameters(alias, purpose)
    limits = {
        "statement_timeout": str(statement_timeout_ms),
        "lock_timeout": str(lock_timeout_ms),
        "idle_in_transaction_session_timeout": str(_IDLE_IN_TRANSACTION_MS),
    }
    opened, pid = session.connect(
        lambda options: guard.Connection.connect(**parameters, options=options, autocommit=autocommit),
        session.place(parameters),
        session.Session.of(limits, settings or {}, role=session.READING_ROLE),
    )
    guard.learn(opened, pid)
    return opened
