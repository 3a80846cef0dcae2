"""Typed calls of the SQL functions about deadlocks and the server log.

Each takes a DB-API cursor (Django's or psycopg's) of a connection to the monitored database. Unless said
otherwise
they raise only what the driver raises.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class Look:
    """One light look at the waits-for graph. Times in seconds."""

    waiters: int
    young: bool
    cycles: int
    pending: int
    next_check: float | None
    deadlock_timeout: float


@dataclass(frozen=True)
class Detection:
    """The row of lock_monitoring.detect_deadlocks()."""

    detected: bool
    involved_sessions: tuple[int, ...]
    severity: str
    action: str


@dataclass(frozen=True)
class LogStatus:
    """How the reading of the server log stands.

    readable: the log could be read at the last attempt.
    lag_bytes: what the server has written and nobody has read yet; None when unknown.
    skipped_bytes: passed over because too much had gathered.
    """

    state: str
    readable: bool
    what_to_do: str | None
    since: datetime | None
    file_name: str | None
    log_format: str | None
    position: int | None
    lag_bytes: int | None
    last_record_at: datetime | None
    records_taken: int
    records_unreadable: int
    skipped_bytes: int


@dataclass(frozen=True)
class LedgerLine:
    """Deadlocks of one database over a period: counted by PostgreSQL and captured by the monitor."""

    database_name: str
    counted: int
    captured: int
    by_sampling: int
    by_log: int
    missed: int
    not_yet_settled: int
    first_window: datetime | None
    last_window: datetime | None


@dataclass(frozen=True)
class Pattern:
    """The same deadlock over time. trend: new, rising, steady, falling or not seen this week."""

    pattern_hash: str
    deadlocks: int
    first_seen: datetime
    last_seen: datetime
    last_7_days: int
    previous_7_days: int
    trend: str
    tables: str | None


@dataclass(frozen=True)
class Ingested:
    """What lock_log.ingest() made of a piece of a log file. consumed: bytes that need not be sent again.

    foreign_zone: an abbreviation among the unreadable times that the given zone does not have then.
    heads: of stderr, lines that have the prefix. claimed: of the records, those that the log only claims.
    """

    consumed: int
    records: int
    unreadable: int
    foreign_zone: str | None
    heads: int
    claimed: int


def look_for_deadlocks(cursor: Any) -> Look:
    """lock_engine.look_for_deadlocks(): find cycles, remember them, note those that are gone."""
    cursor.execute(
        "SELECT waiters, young, cycles, pending, next_check_seconds, deadlock_timeout_seconds"
        " FROM lock_engine.look_for_deadlocks()"
    )
    waiters, young, cycles, pending, next_check, timeout = cursor.fetchone()
    return Look(
        waiters, young, cycles, pending, None if next_check is None else float(next_check), float(timeout)
    )


def collect_deadlocks(cursor: Any) -> int:
    """lock_engine.collect_deadlocks(): take what is new in log, counter and looks; number of new events."""
    cursor.execute("SELECT coalesce(lock_engine.collect_deadlocks(), 0)")
    return int(cursor.fetchone()[0] or 0)


def detect_deadlocks(cursor: Any, tenant_hk: bytes | None = None) -> Detection:
    """lock_monitoring.detect_deadlocks()."""
    cursor.execute(
        "SELECT deadlock_detected, involved_sessions, deadlock_severity, resolution_action"
        " FROM lock_monitoring.detect_deadlocks(%s)",
        [tenant_hk],
    )
    detected, pids, severity, action = cursor.fetchone()
    return Detection(bool(detected), tuple(pids or ()), severity, action)


def log_status(cursor: Any) -> LogStatus:
    """lock_log.status()."""
    cursor.execute(
        "SELECT state, readable, what_to_do, since, file_name, log_format, position, lag_bytes,"
        " last_record_at, records_taken, records_unreadable, skipped_bytes FROM lock_log.status()"
    )
    return LogStatus(*cursor.fetchone())


def ledger(cursor: Any, since: datetime | None = None) -> list[LedgerLine]:
    """lock_engine.deadlock_ledger_summary(): one line a database, since a moment or since the ledger
    began."""
    cursor.execute(
        "SELECT database_name, counted, captured, by_sampling, by_log, missed, not_yet_settled,"
        " first_window, last_window FROM lock_engine.deadlock_ledger_summary(%s)",
        [since],
    )
    return [LedgerLine(*row) for row in cursor.fetchall()]


def patterns(cursor: Any, pattern_hash: str | None = None, limit: int = 20) -> list[Pattern]:
    """lock_monitoring.deadlock_patterns: the one with this hash, or those seen latest."""
    cursor.execute(
        "SELECT pattern_hash, deadlocks, first_seen, last_seen, last_7_days, previous_7_days, trend, tables"
        " FROM lock_monitoring.deadlock_patterns WHERE %s::text IS NULL OR pattern_hash = %s"
        " ORDER BY last_seen DESC LIMIT %s",
        [pattern_hash, pattern_hash, limit],
    )
    return [Pattern(*row) for row in cursor.fetchall()]


def ingest_log(
    cursor: Any,
    source: str,
    log_format: str,
    start: int,
    data: bytes,
    at_end: bool | None,
    log_line_prefix: str | None = None,
    time_zone: str | None = None,
) -> Ingested:
    """lock_log.ingest(): parse a piece of a log file that begins at byte start of source.

    Needs lock_admin_role. at_end: the file ends here, so that a last line without its end counts too;
    None: it ends here for now, and such a line is left; False: it goes on.
    log_line_prefix, time_zone: as the file was written; None: this server's settings.
    """
    cursor.execute(
        "SELECT consumed, records, unreadable, foreign_zone, heads, claimed"
        " FROM lock_log.ingest(%s, %s, %s, %s, %s, %s, %s)",
        [source, log_format, start, data, at_end, log_line_prefix, time_zone],
    )
    return Ingested(*cursor.fetchone())


def prefix_fit(cursor: Any, sample: bytes, log_line_prefix: str | None) -> tuple[int, int]:
    """lock_log.prefix_fit(): lines of the beginning of a log of stderr that have the prefix (None: this
    server's), and lines that look like the beginning of a record.

    An error of the database where the prefix lacks the time or the process.
    """
    # characters count for nothing here, and the vault's encoding may lack some
    text = sample.decode("utf-8", "replace").replace("\x00", "?").encode("ascii", "replace").decode()
    cursor.execute("SELECT fitting, heads FROM lock_log.prefix_fit(%s, %s)", [text, log_line_prefix])
    fitting, heads = cursor.fetchone()
    return int(fitting), int(heads)


def server_time_zone(cursor: Any) -> str:
    """The log_timezone of the vault's server."""
    cursor.execute("SELECT pg_catalog.current_setting('log_timezone')")
    return str(cursor.fetchone()[0])


def own_file(cursor: Any, source: str) -> int:
    """lock_log.own_file(): the file of this name is the vault server's own log; claims that wait for proof
    now. Needs lock_admin_role."""
    cursor.execute("SELECT lock_log.own_file(%s)", [source])
    return int(cursor.fetchone()[0])


def resume_position(cursor: Any, source: str, head: bytes) -> int:
    """lock_log.resume_position(): byte at which to go on reading source, 0 if its beginning is not what was
    read."""
    cursor.execute("SELECT lock_log.resume_position(%s, %s)", [source, head])
    return int(cursor.fetchone()[0])


_EVENT_COLUMNS = (
    "deadlock_id, deadlock_timestamp, involved_pids, involved_users, involved_queries, deadlock_victim_pid,"
    " deadlock_resolution, deadlock_duration_ms, affected_tables, lock_types_involved, prevention_suggestion,"
    " deadlock_graph, participants, sources, unknown, pattern_hash, similar_deadlocks, first_seen, last_seen"
)


@dataclass(frozen=True)
class DeadlockRecord:
    """The present version of one deadlock (lock_monitoring.deadlock_history)."""

    deadlock_id: str
    happened_at: datetime
    pids: tuple[int, ...]
    users: tuple[str | None, ...]
    queries: tuple[str | None, ...]
    victim_pid: int | None
    resolution: str | None
    duration_ms: int | None
    tables: tuple[str, ...]
    lock_types: tuple[str, ...]
    suggestion: str | None
    graph: dict[str, Any]
    participants: list[dict[str, Any]]
    sources: tuple[str, ...]
    unknown: tuple[str, ...]
    pattern_hash: str | None
    similar: int
    pattern_first_seen: datetime
    pattern_last_seen: datetime


def _json(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


def _record(row: Sequence[Any]) -> DeadlockRecord:
    return DeadlockRecord(
        deadlock_id=row[0],
        happened_at=row[1],
        pids=tuple(row[2] or ()),
        users=tuple(row[3] or ()),
        queries=tuple(row[4] or ()),
        victim_pid=row[5],
        resolution=row[6],
        duration_ms=row[7],
        tables=tuple(row[8] or ()),
        lock_types=tuple(row[9] or ()),
        suggestion=row[10],
        graph=_json(row[11]) or {},
        participants=_json(row[12]) or [],
        sources=tuple(row[13] or ()),
        unknown=tuple(row[14] or ()),
        pattern_hash=row[15],
        similar=row[16],
        pattern_first_seen=row[17],
        pattern_last_seen=row[18],
    )


def list_deadlocks(cursor: Any, since: datetime | None = None, limit: int = 100) -> list[DeadlockRecord]:
    """Latest deadlocks first."""
    cursor.execute(
        f"SELECT {_EVENT_COLUMNS} FROM lock_monitoring.deadlock_history"  # noqa: S608 - constant text
        " WHERE deadlock_timestamp >= coalesce(%s, '-infinity'::timestamptz)"
        " ORDER BY deadlock_timestamp DESC, deadlock_id LIMIT %s",
        [since, limit],
    )
    return [_record(row) for row in cursor.fetchall()]


def get_deadlock(cursor: Any, deadlock_id: str) -> DeadlockRecord | None:
    """One deadlock by its id; None if there is none."""
    cursor.execute(
        f"SELECT {_EVENT_COLUMNS} FROM lock_monitoring.deadlock_history WHERE deadlock_id = %s",  # noqa: S608
        [deadlock_id],
    )
    row = cursor.fetchone()
    return None if row is None else _record(row)
