"""Typed calls about the monitor itself: its heartbeat, its coverage, its locks and its connection."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from .base import Cursor, columns, select_all, select_one

LOCK_CLASS = 460
"""First key of the project's two-integer advisory locks."""
LEADER_LOCK = 3
STANDBY_LOCK = 4

Say = Callable[[Cursor], None]


@dataclass(frozen=True)
class MonitorStatus:
    """The row of lock_engine.monitor_status. state: watching, skipping, not watching or never started."""

    state: str
    last_look_at: datetime | None
    last_look_age_seconds: Decimal | None
    last_cycle_at: datetime | None
    look_ms: Decimal | None
    cycle_ms: Decimal | None
    look_by: str | None
    leader_pid: int | None
    leader_host: str | None
    leader_process: int | None
    watching_since: datetime | None
    standby_pid: int | None
    skipping_since: datetime | None
    skipped_because: str | None
    gaps_today: int
    gap_seconds_today: Decimal
    looks_today: int | None
    cycles_run_today: int | None
    cycles_skipped_today: int | None
    cycles_failed_today: int | None
    largest_gap_ms_today: Decimal | None
    busy_ms_today: Decimal | None
    unsampled_transactions_today: int | None
    first_look_at: datetime | None
    failing_parts: tuple[str, ...]


@dataclass(frozen=True)
class FailingPart:
    """A part of the monitor that has failed twice in a row or more.

    set_aside: records left out while the rest was done."""

    part: str
    failures_in_a_row: int
    set_aside: int
    what: str | None
    last_sqlstate: str | None
    last_error: str | None
    failing_since: datetime | None


@dataclass(frozen=True)
class Heartbeat:
    """What the loop writes of itself. Times by the server's clock, look_ms and cycle_ms in milliseconds."""

    leader_host: str
    leader_process: int
    watching_since: datetime
    last_look_at: datetime | None
    last_cycle_at: datetime | None
    look_ms: float | None
    cycle_ms: float | None
    look_by: str
    skipping_since: datetime | None = None
    skipped_because: str | None = None


@dataclass(frozen=True)
class Period:
    """One period of coverage, as lock_engine.record_coverage() stores it. None: not knowable, ``unknown``
    says why."""

    period_start: datetime
    period_end: datetime
    leader_host: str
    looks: int
    cycles_run: int
    cycles_skipped: int
    cycles_failed: int
    deadlock_looks: int
    largest_gap_ms: float
    busy_ms: float
    slowest_cycle_ms: float | None
    finished_transactions: int | None
    monitor_transactions: int
    seen_transactions: int | None
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True)
class Counters:
    """PostgreSQL's counters at one end of a period. seen_transactions: None in the first call."""

    counted_at: datetime
    finished_transactions: int | None
    counters_reset_at: datetime
    last_satellite: int
    seen_transactions: int | None


@dataclass(frozen=True)
class CycleBlocker:
    """A session that keeps a full cycle from running; pid None is a prepared transaction."""

    pid: int | None
    user_name: str | None
    application_name: str | None
    state: str | None
    held: str
    since: datetime | None


@dataclass(frozen=True)
class ServerFacts:
    """What the loop must know about the server before it watches. backend_pid as the server itself gives
    it."""

    version_num: int
    backend_pid: int
    in_recovery: bool
    now: datetime
    database: str
    login: str
    vault_installed: bool
    reads_activity: bool
    started: datetime


def monitor_status(cursor: Cursor) -> MonitorStatus:
    """lock_engine.monitor_status: is the loop watching, and how well has it covered today?"""
    return select_one(cursor, MonitorStatus, "lock_engine.monitor_status")


def failing_parts(cursor: Cursor) -> list[FailingPart]:
    """lock_engine.part_state: the parts without which the monitor watches, and why."""
    return select_all(
        cursor,
        FailingPart,
        "lock_engine.part_state WHERE failures_in_a_row >= 2 ORDER BY failing_since, part",
    )


def part_failed(cursor: Cursor, part: str, sqlstate: str, message: str) -> None:
    """lock_engine.part_failed(): count a failed run of one part of the monitor."""
    cursor.execute("SELECT lock_engine.part_failed(%s, %s, %s)", [part, sqlstate, message])


def part_ok(cursor: Cursor, part: str) -> None:
    """lock_engine.part_ok(): this part has done all of its work."""
    cursor.execute("SELECT lock_engine.part_ok(%s)", [part])


def record_heartbeat(cursor: Cursor, beat: Heartbeat) -> None:
    """lock_engine.record_heartbeat(): the loop's sign of life."""
    values = [getattr(beat, name) for name in columns(Heartbeat).split(", ")]
    cursor.execute(
        "SELECT lock_engine.record_heartbeat(%s, %s, %s, %s, %s, %s::numeric, %s::numeric, %s, %s, %s)",
        values,
    )
    cursor.fetchone()


def record_coverage(cursor: Cursor, period: Period) -> int | None:
    """lock_engine.record_coverage(): close a period; the transactions too short to be sampled, None if
    unknown."""
    names = columns(Period).split(", ")
    values = [list(period.unknown) if name == "unknown" else getattr(period, name) for name in names]
    cursor.execute(
        "SELECT lock_engine.record_coverage(%s, %s, %s, %s, %s, %s, %s, %s, %s::numeric, %s::numeric,"
        " %s::numeric, %s, %s, %s, %s::text[])",
        values,
    )
    value = cursor.fetchone()[0]
    return None if value is None else int(value)


def record_coverage_gap(cursor: Cursor, start: datetime, end: datetime, reason: str) -> float | None:
    """lock_engine.record_coverage_gap(): seconds of it that were no gap before, None if nothing is left."""
    cursor.execute("SELECT lock_engine.record_coverage_gap(%s, %s, %s)", [start, end, reason])
    row = cursor.fetchone()
    return None if row is None or row[0] is None else float(row[0])


def begin_watching(cursor: Cursor) -> datetime | None:
    """lock_engine.begin_watching(): this session's cycles are the loop's; the last look before, None if
    there was none."""
    cursor.execute("SELECT lock_engine.begin_watching()")
    before: datetime | None = cursor.fetchone()[0]
    return before


def note_look(cursor: Cursor, patience: float) -> datetime | None:
    """lock_engine.note_look(): the loop watches now, a longer pause than ``patience`` seconds is a gap.

    Returns the server's time, None where another cycle was writing.
    """
    cursor.execute("SELECT lock_engine.note_look(%s::double precision)", [patience])
    noted: datetime | None = cursor.fetchone()[0]
    return noted


def name_gap(cursor: Cursor, reason: str, within: float) -> float | None:
    """lock_engine.name_gap(): say why the gaps stored within the last seconds came to be; their seconds,
    None if there are none."""
    cursor.execute("SELECT lock_engine.name_gap(%s, %s::double precision)", [reason, within])
    value = cursor.fetchone()[0]
    return None if value is None else float(value)


def transaction_counters(
    cursor: Cursor, after_satellite: int | None, begun_since: datetime | None
) -> Counters:
    """lock_engine.transaction_counters(): both None at the beginning of a period."""
    return select_one(
        cursor,
        Counters,
        "lock_engine.transaction_counters(%s::bigint, %s::timestamptz)",
        [after_satellite, begun_since],
    )


def cycle_blockers(cursor: Cursor) -> list[CycleBlocker]:
    """lock_engine.cycle_blockers(): who keeps a full cycle from running now."""
    return select_all(cursor, CycleBlocker, "lock_engine.cycle_blockers()")


def server_facts(cursor: Cursor) -> ServerFacts:
    """What the loop checks when it has connected."""
    cursor.execute(
        "SELECT pg_catalog.current_setting('server_version_num')::integer, pg_catalog.pg_backend_pid(),"
        " pg_catalog.pg_is_in_recovery(), pg_catalog.clock_timestamp(), pg_catalog.current_database(),"
        " session_user,"
        # names, not regclass: looking up a name in a schema without USAGE would raise
        " EXISTS (SELECT FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace"
        "  WHERE n.nspname = 'lock_monitoring' AND p.proname = 'run_lock_monitoring'"
        # one that somebody else made in its place is not the monitor's
        "  AND pg_catalog.pg_get_userbyid(p.proowner) = 'lock_vault_owner'"
        "  AND pg_catalog.has_schema_privilege(n.oid, 'USAGE')"
        "  AND pg_catalog.has_function_privilege(p.oid, 'EXECUTE'))"
        " AND EXISTS (SELECT FROM pg_catalog.pg_class c"
        "  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        "  WHERE n.nspname = 'lock_engine' AND c.relname = 'monitor_status'"
        "  AND pg_catalog.pg_get_userbyid(c.relowner) = 'lock_vault_owner'"
        "  AND pg_catalog.has_schema_privilege(n.oid, 'USAGE')"
        "  AND pg_catalog.has_table_privilege(c.oid, 'SELECT')),"
        " pg_catalog.pg_has_role(current_user, 'pg_read_all_stats', 'USAGE'),"
        " pg_catalog.pg_postmaster_start_time()"
    )
    return ServerFacts(*cursor.fetchone())


def require_watcher(cursor: Cursor) -> None:
    """lock_engine.require_watcher(): psycopg.errors.InsufficientPrivilege, with the line to type, for a login
    that may not say what was watched."""
    cursor.execute("SELECT lock_engine.require_watcher()")


def server_now(cursor: Cursor) -> datetime:
    """The server's time now."""
    cursor.execute("SELECT pg_catalog.clock_timestamp()")
    now: datetime = cursor.fetchone()[0]
    return now


def try_session_lock(cursor: Cursor, key: int) -> bool:
    """Take the session-level advisory lock (460, key) if it is free; never waits."""
    cursor.execute("SELECT pg_catalog.pg_try_advisory_lock(%s, %s)", [LOCK_CLASS, key])
    return bool(cursor.fetchone()[0])


def holder_of(cursor: Cursor, key: int) -> str | None:
    """Return what the session of this very login that holds a lock of the project calls itself
    (application_name); None where nobody or somebody else holds it."""
    cursor.execute(
        "SELECT a.application_name FROM lock_catalog.monitor_locks m"
        " JOIN pg_catalog.pg_stat_activity a ON a.pid = m.pid"
        " JOIN pg_catalog.pg_stat_activity o ON o.usesysid = a.usesysid"
        " WHERE m.number = %s AND o.pid = pg_catalog.pg_backend_pid()",
        [key],
    )
    row = cursor.fetchone()
    return None if row is None else str(row[0])


def release_session_lock(cursor: Cursor, key: int) -> bool:
    """Release the session-level advisory lock (460, key); False if this session did not hold it."""
    cursor.execute("SELECT pg_catalog.pg_advisory_unlock(%s, %s)", [LOCK_CLASS, key])
    return bool(cursor.fetchone()[0])
