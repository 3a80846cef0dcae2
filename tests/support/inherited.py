"""Settings that a role or a database may give to every session, at their extremes, from the server's list."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from lockmon import session as sessions
from tests.support.servers import Server

Default = tuple[str, str]
"""A setting's name and value."""

# Strings have no extremes: what is plausible somewhere and hostile to whoever relies on another.
TEXTS: dict[str, Sequence[str]] = {
    "DateStyle": ("German", "SQL, DMY", "Postgres, MDY"),
    "TimeZone": ("Asia/Kathmandu", "America/St_Johns", "<+14>-14"),
    "timezone_abbreviations": ("Australia", "India"),
    "client_encoding": ("SQL_ASCII", "LATIN1", "EUC_JP"),
    "search_path": ("nowhere", '"$user"', ""),
    "default_text_search_config": ("pg_catalog.german",),
    "lc_monetary": ("POSIX",),
    "lc_numeric": ("POSIX",),
    "lc_time": ("POSIX",),
    "lc_messages": ("POSIX",),
    "local_preload_libraries": ("no_such_library",),
    "default_tablespace": ("pg_default",),
    "temp_tablespaces": ("pg_default",),
    "default_table_access_method": ("heap",),
    "restrict_nonsystem_relation_kind": ("view, foreign-table", "view"),
    "createrole_self_grant": ("set, inherit", "inherit"),
    "application_name": ("somebody else", ""),
    "role": ("pg_monitor", "none"),
}
# With these nobody can connect or work, whoever it is, and no session can help itself.
HOPELESS = {
    "session_preload_libraries": "each connection ends before it begins",
    "max_stack_depth": "at its least no statement of some length can be read",
    "debug_discard_caches": "at its most each statement takes minutes",
    "temp_file_limit": "at its least no result larger than work_mem is possible",
    "temp_buffers": "at its most no temporary table is possible, also PostgreSQL says so",
    "transaction_isolation": "is of a transaction, no default",
    "transaction_read_only": "is of a transaction, no default",
    "transaction_deferrable": "is of a transaction, no default",
}


def extremes(connection: psycopg.Connection[Any], contexts: Sequence[str]) -> dict[str, list[str]]:
    """Each setting of these contexts ("user", "superuser") with its extremes: both, all, least and most."""
    found: dict[str, list[str]] = {}
    for name, kind, low, high, words in connection.execute(
        "SELECT name, vartype, min_val, max_val, enumvals FROM pg_catalog.pg_settings"
        " WHERE context = ANY (%s) ORDER BY name",
        [list(contexts)],
    ):
        if name in HOPELESS:
            continue
        if kind == "bool":
            found[name] = ["on", "off"]
        elif kind == "enum":
            found[name] = list(words)
        elif kind in ("integer", "real"):
            # a timeout's least is "none" (0); what ends sessions is the least above it
            found[name] = [str(low), *(["1"] if "timeout" in name else []), str(high)]
        elif name in TEXTS:
            found[name] = list(TEXTS[name])
    return found


def server_options(server: Server) -> dict[str, str]:
    """What a session of the tests says about itself, so that it too inherits nothing."""
    ours = sessions.Session.of({"statement_timeout": "0", "lock_timeout": "0", "search_path": None})
    first = ours.first_packet(server.version * 10000)
    # every minor version that the tests run on knows it
    return {"options": f"{first} -c restrict_nonsystem_relation_kind="}


def steady(server: Server, dsn: str) -> str:
    """The DSN for sessions of a test that are not tried."""
    return make_conninfo(dsn, **server_options(server))


@contextlib.contextmanager
def defaults(
    server: Server, databases: Sequence[str], settings: Sequence[Default], role: str | None = None
) -> Iterator[list[str]]:
    """Give these defaults to all sessions of the databases, or to those of one role there; yields the names
    that PostgreSQL takes. They are gone at the end."""
    taken: list[str] = []
    whose = [
        sql.SQL("ALTER ROLE {} IN DATABASE {}").format(sql.Identifier(role), sql.Identifier(name))
        if role
        else sql.SQL("ALTER DATABASE {}").format(sql.Identifier(name))
        for name in databases
    ]
    with psycopg.connect(server.dsn("template1"), autocommit=True) as connection:
        for name, value in settings:
            # a list is given as one, not as one name with commas in it
            given: sql.Composable = sql.Literal(value)
            words = [sql.Literal(word.strip().strip('"')) for word in value.split(",")]
            if name in ("search_path", "restrict_nonsystem_relation_kind", "createrole_self_grant"):
                given = sql.SQL(", ").join(words)
            try:
                for one in whose:
                    connection.execute(sql.SQL("{} SET {} TO {}").format(one, sql.Identifier(name), given))
            except psycopg.Error:
                continue  # not for this server, or not for a role or database
            taken.append(name)
    try:
        yield taken
    finally:
        with psycopg.connect(server.dsn("template1"), autocommit=True) as connection:
            for one in whose:
                connection.execute(sql.SQL("{} RESET ALL").format(one))
