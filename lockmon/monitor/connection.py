"""The loop's own connection: direct, opened after the fork, checked, and its failures in words."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg
from psycopg import errors

from lockmon import errors as database_errors
from lockmon import vault
from lockmon.calls import coverage

from .options import LoopOptions

OLDEST_SUPPORTED = 130000


class CannotWatchError(Exception):
    """The database can be reached, but watching it over this connection would be wrong. The text is a
    sentence."""


@dataclass(frozen=True)
class LoopConnection:
    """An open connection and what the server said about itself."""

    connection: psycopg.Connection
    facts: coverage.ServerFacts


def open_connection(alias: str, purpose: str, options: LoopOptions) -> LoopConnection:
    """Open a connection of the loop's own and make sure that it may watch over it.

    Raises psycopg.Error where the database cannot be reached, CannotWatchError where it must not be
    watched like this.
    """
    try:
        connection = vault.direct_connection(
            alias,
            purpose,
            statement_timeout_ms=options.statement_timeout_ms,
            lock_timeout_ms=options.lock_timeout_ms,
            settings={
                "idle_session_timeout": str(options.idle_session_timeout_ms),
                # a heartbeat lost in a crash is written again a second later; waiting for the disk would
                # slow every cycle
                "synchronous_commit": "off",
            },
        )
    except psycopg.OperationalError as error:
        if "unsupported startup parameter" in str(error):
            raise CannotWatchError(
                _pooler_sentence(alias, "it refuses PostgreSQL's start parameters")
            ) from error
        raise
    try:
        connection.autocommit = True
        # every statement of the loop is run thousands of times, so it is prepared at once
        connection.prepare_threshold = 0
        with connection.cursor() as cursor:
            facts = coverage.server_facts(cursor)
            refuse_unfit(alias, facts, connection.info.backend_pid)
            refuse_stranger(cursor)
    except BaseException:
        connection.close()
        raise
    return LoopConnection(connection, facts)


def refuse_unfit(alias: str, facts: coverage.ServerFacts, driver_pid: int) -> None:
    """Raise CannotWatchError, with one sentence, where this server or this way to it does not do.

    driver_pid: the backend's pid as the server told the driver when the connection began. A pooler tells
    its own.
    """
    if driver_pid != facts.backend_pid:
        raise CannotWatchError(
            _pooler_sentence(
                alias, f"the driver was told pid {driver_pid}, the server says {facts.backend_pid}"
            )
        )
    if facts.version_num < OLDEST_SUPPORTED:
        raise CannotWatchError(
            f"{facts.database} runs on PostgreSQL {facts.version_num // 10000}; "
            "the monitor needs 13 or later."
        )
    if facts.in_recovery:
        raise CannotWatchError(
            f"{facts.database} is a standby (it is in recovery) and cannot store anything: "
            "point VAULT_DATABASE_URL at the primary."
        )
    if not facts.vault_installed:
        raise CannotWatchError(
            f"The lock_monitoring schema is not installed, or not completely, in {facts.database}, "
            f"or {facts.login} may not use it, or somebody else owns what the loop calls: "
            "run manage.py lockmon_deploy."
        )
    if not facts.reads_activity:
        raise CannotWatchError(
            f"{facts.login} may not see other sessions (it is no member of pg_monitor): "
            "run manage.py lockmon_deploy --login with the name of this login."
        )


def refuse_stranger(cursor: psycopg.Cursor) -> None:
    """Raise CannotWatchError for a login whose looks the vault would not take.

    It would watch, and all its time would stand in the vault as not watched. A vault of an earlier release,
    before its update, takes them from everybody who may read.
    """
    try:
        coverage.require_watcher(cursor)
    except errors.InsufficientPrivilege as error:
        raise CannotWatchError(str(error.diag.message_primary)) from error
    except errors.UndefinedFunction:
        return


def describe_failure(error: BaseException) -> str:
    """Return what went wrong as a clause that fits after "Not watching since ...: "."""
    # a server's error has a primary message; without one it is libpq's own text, or another exception's
    primary = error.diag.message_primary if isinstance(error, psycopg.Error) else None
    text = " ".join((primary or str(error)).split())
    state = getattr(error, "sqlstate", None)
    if isinstance(error, CannotWatchError):
        return text.rstrip(".")
    if (
        state == "53300"
        or "too many clients" in text
        or "remaining connection slots" in text
        or "too many connections" in text
    ):
        return "the connection was refused (too many clients)"
    if state == "57P03" or "the database system is" in text:
        return "PostgreSQL is starting up or shutting down"
    if isinstance(error, errors.AdminShutdown) or "due to administrator command" in text:
        return "the connection was ended by an administrator (pg_terminate_backend or a restart)"
    if isinstance(error, errors.CrashShutdown):
        return "PostgreSQL ended all connections because another server process crashed"
    if state == "57P05":
        return "the connection was ended because it was idle for too long (idle_session_timeout)"
    if "Connection refused" in text or "No such file or directory" in text:
        return "nothing answers at the database's address (connection refused)"
    if "password authentication failed" in text or "no password supplied" in text:
        return "the password was refused"
    if "timeout expired" in text or "timed out" in text:
        return "the database does not answer (timeout)"
    if isinstance(error, psycopg.OperationalError) and (
        "server closed the connection" in text
        or "connection is lost" in text
        or "the connection is closed" in text
    ):
        return "the server closed the connection"
    return database_errors.told(error, site_speaks=True).rstrip(".")


def is_connection_loss(error: psycopg.Error, connection: psycopg.Connection) -> bool:
    """Tell whether the connection is of no more use; other errors leave it open for the next look."""
    return (
        connection.closed
        or connection.broken
        or isinstance(error, errors.AdminShutdown | errors.CrashShutdown | psycopg.InterfaceError)
    )


def _pooler_sentence(alias: str, because: str) -> str:
    return (
        f"The connection of '{alias}' goes through a connection pooler ({because}), where session locks and "
        "settings are shared between clients: give the monitor PostgreSQL's own address in "
        "VAULT_MONITOR_DATABASE_URL."
    )
