"""What a session of ours relies on, and how it comes to have it: the one owner of both.

A role's or a database's defaults reach every session that does not set its own. So each connection of the
product is opened here, and begins with START: sent with the connection's first packet where PostgreSQL
itself listens, said again when it has answered, because a pooler keeps nothing of the first. What a setting
cannot change about a result (memory, how PostgreSQL writes its log) is left to the site; what plans cost is
not: where all of it is 0 one plan is as good as another, and a page's statement took 47 seconds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import psycopg

from lockmon.text import mark_what_is_lacking

Connection = psycopg.Connection[Any]
Settings = Mapping[str, str | None]
"""Names and values; None leaves a setting to the site."""

READING_ROLE = "lock_monitoring_role"
SEARCH_PATH = "pg_catalog, pg_temp"
"""Schemas in which nobody else may create: an operator that somebody planted in another could be the one that
fits best, wherever it stands in the path."""

_MEANING = {
    # how values are written and read: the driver takes dates in ISO alone
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "timezone_abbreviations": "Default",
    "client_encoding": "UTF8",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "lc_monetary": "C",
    "lc_numeric": "C",
    "lc_time": "C",
    "xmlbinary": "base64",
    "xmloption": "content",
    # how statements, and the bodies of functions, are read
    "standard_conforming_strings": "on",
    "escape_string_warning": "on",
    "backslash_quote": "safe_encoding",
    "array_nulls": "on",
    "transform_null_equals": "off",
    "quote_all_identifiers": "off",
    "search_path": SEARCH_PATH,
    # what a transaction is
    "default_transaction_isolation": "read committed",
    "default_transaction_read_only": "off",
    "default_transaction_deferrable": "off",
    # what is found, and what ends the session
    "row_security": "on",
    "gin_fuzzy_search_limit": "0",
    "exit_on_error": "off",
    "client_min_messages": "notice",
    # what goes to the log beside messages: the trees of statements as long as ours are megabytes a cycle,
    # which the reader of the log then reads
    "debug_print_parse": "off",
    "debug_print_plan": "off",
    "debug_print_rewritten": "off",
    "trace_notify": "off",
    "trace_sort": "off",
    # what is made, and where
    "check_function_bodies": "on",
    "default_table_access_method": "heap",
    "default_tablespace": "",
    "temp_tablespaces": "",
    "password_encryption": "scram-sha-256",
}
LIMITS = {
    "statement_timeout": "30s",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "60s",
}
"""How long a page may wait for a statement, for a lock and for itself, before PostgreSQL ends it."""
_LINE = {
    # seconds: a client that is gone is noticed within half a minute
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "0",
}
_PLANS = {
    # One core at most of a server in trouble; and a worker begins with the database's transaction_timeout,
    # whatever its leader's is (17 and later).
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
    "geqo": "on",
    "geqo_threshold": "12",
    "seq_page_cost": "1",
    "random_page_cost": "4",
    "cpu_tuple_cost": "0.01",
    "cpu_index_tuple_cost": "0.005",
    "cpu_operator_cost": "0.0025",
    "effective_cache_size": "4GB",
    "plan_cache_mode": "auto",
    "constraint_exclusion": "partition",
    "cursor_tuple_fraction": "0.1",
    "from_collapse_limit": "8",
    "join_collapse_limit": "8",
} | dict.fromkeys(
    (
        "enable_bitmapscan",
        "enable_gathermerge",
        "enable_hashagg",
        "enable_hashjoin",
        "enable_incremental_sort",
        "enable_indexonlyscan",
        "enable_indexscan",
        "enable_material",
        "enable_mergejoin",
        "enable_nestloop",
        "enable_parallel_append",
        "enable_parallel_hash",
        "enable_partition_pruning",
        "enable_seqscan",
        "enable_sort",
        "enable_tidscan",
    ),
    "on",
)
# Only a session's beginning can say it.
_AT_START = {"local_preload_libraries": ""}

START: Settings = _MEANING | LIMITS | _LINE | _PLANS
"""What every session begins with, whatever it is for; PostgreSQL 13 and all later ones know these."""

# Settings that came later or went again, as well as one that came with minor releases; a server that does
# not know one is not told.
_WHERE_KNOWN: Settings = {
    "client_connection_check_interval": "0",
    "createrole_self_grant": "",
    "debug_print_raw_parse": "off",
    "debug_parallel_query": "off",
    "force_parallel_mode": "off",
    "icu_validation_level": "warning",
    "idle_session_timeout": "0",
    "recursive_worktable_factor": "10",
    "restrict_nonsystem_relation_kind": "",
    "stats_fetch_consistency": "cache",
    "transaction_timeout": "0",
} | dict.fromkeys(
    (
        "enable_async_append",
        "enable_distinct_reordering",
        "enable_group_by_reordering",
        "enable_memoize",
        "enable_presorted_aggregate",
        "enable_self_join_elimination",
    ),
    "on",
)
# Of these, what ends a session that has not said anything yet, and since which version it must be said first.
_ENDING_SINCE = {"idle_session_timeout": 140000, "transaction_timeout": 170000}

_SAY = """
    SELECT pg_catalog.pg_backend_pid(),
           pg_catalog.count(pg_catalog.set_config(w.name, w.value, %s))
      FROM ROWS FROM (pg_catalog.unnest(%s::pg_catalog.text[]), pg_catalog.unnest(%s::pg_catalog.text[]))
        AS w (name, value)
     WHERE pg_catalog.current_setting(w.name, true) IS NOT NULL
"""
# A login of the monitor works in the reading role. It has that as its default in this database; the default
# is lost in a copy of the database, and anybody's who may alter the login.
_SAY_ROLE = """
    SELECT pg_catalog.set_config('role', r.rolname, %s)
      FROM pg_catalog.pg_roles AS r CROSS JOIN pg_catalog.pg_roles AS me
     WHERE r.rolname = %s AND me.rolname = session_user AND NOT me.rolsuper
       AND pg_catalog.pg_has_role(session_user, r.oid, %s)
"""
# What is known of the servers that this process has met: (host, port) to server_version_num.
_versions: dict[tuple[str, ...], int] = {}


@dataclass(frozen=True)
class Session:
    """How a session of ours begins. role: what it works in, where its login may; None leaves the login's.

    first: whether the connection's first packet may carry settings; there are poolers that refuse any.
    """

    settings: Mapping[str, str]
    role: str | None = None
    first: bool = True

    @classmethod
    def of(cls, *later: Settings, role: str | None = None, first: bool = True) -> Session:
        """Begin with START and what the caller says otherwise; PostgreSQL's names know no upper case."""
        merged: dict[str, tuple[str, str | None]] = {}
        for settings in (START, _WHERE_KNOWN, *later):
            merged |= {name.lower(): (name, value) for name, value in settings.items()}
        return cls({name: value for name, value in merged.values() if value is not None}, role, first)

    def first_packet(self, version: int = 0) -> str:
        """The settings as ``options`` of a connection's first packet to a server of this version (0:
        unknown)."""
        if not self.first:
            return ""
        return " ".join(
            f"-c {name}=" + re.sub(r"([\\\s])", r"\\\1", value)
            for name, value in (dict(self.settings) | _AT_START).items()
            if name not in _WHERE_KNOWN or version >= _ENDING_SINCE.get(name, version + 1)
        )


def place(parameters: Mapping[str, Any]) -> tuple[str, ...]:
    """What tells one server from another among the parameters of connections."""
    return (str(parameters.get("host") or ""), str(parameters.get("port") or ""))


def parse(options: str) -> dict[str, str]:
    """The settings that a connection string's ``options`` names ("-c name=value", "--name=value")."""
    words = [re.sub(r"\\(.)", r"\1", word) for word in re.findall(r"(?:\\.|\S)+", options)]
    found: dict[str, str] = {}
    named = False
    for word in words:
        setting = word if named else word.removeprefix("-c" if word.startswith("-c") else "--")
        if "=" in setting and (named or setting != word):
            name, _, value = setting.partition("=")
            found[name.replace("-", "_")] = value
        named = word == "-c"
    return found


def connect(
    opening: Callable[[str], Connection], where: tuple[str, ...], session: Session
) -> tuple[Connection, int]:
    """Open a connection whose settings are ours from its first moment, and the pid of the server's session.

    opening: connects with the ``options`` that it is given. where: see place. A session that is ended at
    once, by a default that this server's version has and older ones have not, is opened a second time with
    that said first. Raises psycopg.Error.
    """
    known = _versions.get(where, 0)
    try:
        return _connect(opening, where, session, known)
    except psycopg.Error as error:
        learnt = _versions.get(where, 0)
        if "transaction timeout" in str(error):
            learnt = max(learnt, _ENDING_SINCE["transaction_timeout"])
        elif known and not learnt:
            pass  # another, older server answers there now, perhaps
        elif learnt == known:
            raise
        if not session.first:
            raise
    return _connect(opening, where, session, learnt)


def _connect(
    opening: Callable[[str], Connection], where: tuple[str, ...], session: Session, version: int
) -> tuple[Connection, int]:
    try:
        connection = opening(session.first_packet(version))
    except psycopg.OperationalError as error:
        if "unrecognized configuration parameter" in str(error):
            _versions.pop(where, None)
        raise
    try:
        _versions[where] = connection.info.server_version
        mark_what_is_lacking(connection)
        return connection, say(connection, session)
    except BaseException:
        connection.close()
        raise


def say(connection: Connection, session: Session, *, local: bool = False) -> int:
    """Tell an idle connection its settings, for good or (local) for the transaction that this begins.

    Returns the pid by which the server knows this session. Raises psycopg.Error.
    """
    names, values = list(session.settings), list(session.settings.values())
    row = connection.execute(_SAY, [local, names, values]).fetchone()
    assert row is not None
    if session.role is not None:
        how = "SET" if connection.info.server_version >= 160000 else "MEMBER"
        connection.execute(_SAY_ROLE, [local, session.role, how])
    if not local and not connection.autocommit:
        connection.commit()
    return int(row[0])
