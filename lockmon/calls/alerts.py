"""Typed calls of the alerts: configuration, sandbox, evaluation and the life of events."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any

from psycopg.types.json import Jsonb

from .base import Cursor, build, columns, select_all

EVALUATOR_LOCK = (460, 6)
"""Session advisory lock of the one evaluator that works."""


@dataclass(frozen=True)
class AlertInput:
    """One alert as the evaluator needs it: its rules, where its evaluation stands, its unresolved event."""

    config_hk: bytes
    version: int
    name: str
    category: str
    severity: str
    is_active: bool
    query: str
    warning: Decimal | None
    critical: Decimal | None
    description: str | None
    for_at_least_seconds: int
    clear_after_seconds: int
    repeat_minutes: int
    escalate_minutes: int
    snoozed_until: datetime | None
    level: str
    level_since: datetime
    pending_level: str | None
    pending_since: datetime | None
    evaluated_at: datetime | None
    last_resolved_at: datetime | None
    event_hk: bytes | None
    event_version: int | None
    event_state: str | None
    event_level: str | None
    worst_level: str | None
    worst_value: Decimal | None
    started_at: datetime | None
    raised_at: datetime | None
    notified_levels: tuple[str, ...] | None
    last_notified_at: datetime | None
    notification_count: int | None
    escalated_at: datetime | None
    acknowledged_at: datetime | None
    event_snoozed_until: datetime | None


_INPUT = """
SELECT c.alert_config_hk, c.satellite_id, c.alert_name, c.alert_category, c.alert_severity, c.is_active,
c.alert_query,
       c.warning_threshold, c.critical_threshold, c.description, coalesce(c.for_at_least_seconds, 0),
       coalesce(c.clear_after_seconds, 30), coalesce(c.repeat_minutes, 60), coalesce(c.escalate_minutes,
       15),
       c.snoozed_until, coalesce(s.level, 'ok'), coalesce(s.level_since, clock_timestamp()),
       s.pending_level,
       s.pending_since, s.evaluated_at,
       (SELECT max(p.resolved_at) FROM monitoring.alert_event_s AS p
         WHERE p.alert_config_hk = c.alert_config_hk AND p.load_end_date IS NULL),
       e.alert_event_hk, e.satellite_id, e.event_state, e.level, e.worst_level, e.worst_value,
       e.started_at, e.raised_at,
       e.notified_levels, e.last_notified_at, e.notification_count, e.escalated_at, e.acknowledged_at,
       e.snoozed_until
  FROM monitoring.alert_configuration_s AS c
  LEFT JOIN monitoring.alert_state AS s ON s.alert_config_hk = c.alert_config_hk
  LEFT JOIN monitoring.alert_event_s AS e
         ON e.alert_config_hk = c.alert_config_hk AND e.load_end_date IS NULL AND e.event_state <>
         'resolved'
 WHERE c.load_end_date IS NULL AND (c.is_active OR e.alert_event_hk IS NOT NULL)
 ORDER BY c.alert_name, c.alert_config_hk
"""


@dataclass(frozen=True)
class AlertStanding:
    """Where the evaluation of one alert stands, as monitoring.store_alert_states() stores it."""

    alert_config_hk: str
    level: str
    level_since: datetime
    pending_level: str | None
    pending_since: datetime | None
    value: Decimal | None
    sentence: str | None
    evaluated_at: datetime
    evaluation_ms: float
    whole_sentence: str | None = None


@dataclass(frozen=True)
class AlertVersion:
    """One version of an alert with all that can be edited; recipients included, so administrators only."""

    alert_config_hk: bytes
    satellite_id: int
    load_date: datetime
    load_end_date: datetime | None
    alert_name: str
    alert_category: str
    alert_query: str
    warning_threshold: Decimal | None
    critical_threshold: Decimal | None
    alert_severity: str
    is_active: bool | None
    notification_recipients: tuple[str, ...] | None
    description: str | None
    for_at_least_seconds: int | None
    clear_after_seconds: int | None
    repeat_minutes: int | None
    escalate_minutes: int | None
    escalation_recipients: tuple[str, ...] | None
    snoozed_until: datetime | None
    changed_by: str | None
    change_note: str | None


@dataclass(frozen=True)
class Outcome:
    """What came of an action on an event: whether it was done, and a sentence."""

    done: bool
    sentence: str


def as_json(value: Any) -> Jsonb:
    """Return a jsonb parameter: datetimes as ISO text, numerics as text, bytes as bytea text.

    Not a text of JSON: in that a character which the vault lacks (lockmon.text) could not be marked.
    """

    def other(item: Any) -> str:
        if isinstance(item, datetime):
            return item.isoformat()
        if isinstance(item, (bytes, memoryview)):
            return "\\x" + bytes(item).hex()
        return str(item)

    return Jsonb(value, dumps=partial(json.dumps, default=other))


def alert_inputs(cursor: Cursor) -> list[AlertInput]:
    """Every alert that is on or has an unresolved event, as the evaluator needs it."""
    cursor.execute(_INPUT)
    return [build(AlertInput, row) for row in cursor.fetchall()]


def server_now(cursor: Cursor) -> datetime:
    """The database's clock."""
    cursor.execute("SELECT clock_timestamp()")
    now: datetime = cursor.fetchone()[0]
    return now


def setting_value(cursor: Cursor, name: str) -> Any:
    """lock_admin.setting(): one setting's value, parsed. Raises the database's error if there is none."""
    cursor.execute("SELECT lock_admin.setting(%s)::text", [name])
    return json.loads(cursor.fetchone()[0])


def evaluate_alert_query(cursor: Cursor, query: str, timeout_ms: int, lock_timeout_ms: int) -> Decimal:
    """monitoring.evaluate_alert_query(): the query's one number. The cursor's transaction must be READ
    ONLY.

    Raises the database's error, whose primary message is a sentence for people. The caller rolls back.
    """
    cursor.execute(
        "SELECT set_config('statement_timeout', %s, true), set_config('lock_timeout', %s, true),"
        " set_config('jit', 'off', true)",
        [f"{timeout_ms}ms", f"{lock_timeout_ms}ms"],
    )
    cursor.execute("SELECT monitoring.evaluate_alert_query(%s)", [query])
    value: Decimal = cursor.fetchone()[0]
    return value


def drop_advisory_locks(cursor: Cursor) -> None:
    """pg_advisory_unlock_all(): a query that took a session's lock keeps it no longer than its
    evaluation."""
    cursor.execute("SELECT pg_advisory_unlock_all()")


def try_evaluator_lock(cursor: Cursor) -> bool:
    """Take the evaluator's advisory lock for this session if nobody has it."""
    cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", list(EVALUATOR_LOCK))
    return bool(cursor.fetchone()[0])


def store_alert_states(cursor: Cursor, states: Sequence[AlertStanding]) -> int:
    """monitoring.store_alert_states(): where evaluations stand. Needs lock_admin_role. Returns how many."""
    cursor.execute(
        "SELECT monitoring.store_alert_states(%s::jsonb)", [as_json([asdict(one) for one in states])]
    )
    return int(cursor.fetchone()[0])


def whole_sentence(cursor: Cursor, config_hk: bytes) -> str | None:
    """PostgreSQL's own sentence of why an alert's query fails now, for who may see query texts; None where
    monitoring.alert_state.sentence says it all."""
    cursor.execute(
        "SELECT whole_sentence FROM monitoring.alert_state WHERE alert_config_hk = %s", [config_hk]
    )
    row = cursor.fetchone()
    return str(row[0]) if row and row[0] else None


def write_alert_event(
    cursor: Cursor,
    config_hk: bytes,
    event_hk: bytes | None,
    expected_version: int | None,
    fields: dict[str, Any],
    changed_by: str,
) -> bytes | None:
    """monitoring.write_alert_event(): an event's next version, or its first. None: somebody was quicker."""
    cursor.execute(
        "SELECT alert_event_hk FROM monitoring.write_alert_event(%s, %s, %s, %s::jsonb, %s)",
        [config_hk, event_hk, expected_version, as_json(fields), changed_by],
    )
    row = cursor.fetchone()
    return bytes(row[0]) if row else None


def act_on_alert_event(
    cursor: Cursor,
    event_hk: bytes,
    action: str,
    by: str,
    note: str | None = None,
    until: datetime | None = None,
) -> Outcome:
    """monitoring.act_on_alert_event(): acknowledge, snooze (until) or resolve. Needs lock_admin_role."""
    cursor.execute(
        "SELECT done, sentence FROM monitoring.act_on_alert_event(%s, %s, %s, %s, %s)",
        [event_hk, action, by, note, until],
    )
    return build(Outcome, cursor.fetchone())


def mirror_alert_events(cursor: Cursor) -> int:
    """monitoring.mirror_alert_events(): copy to the site's own alert tables. Needs lock_admin_role."""
    cursor.execute("SELECT monitoring.mirror_alert_events()")
    return int(cursor.fetchone()[0])


def save_alert_configuration(
    cursor: Cursor,
    config_hk: bytes,
    expected_version: int | None,
    values: dict[str, Any],
    changed_by: str,
    note: str | None,
) -> int:
    """monitoring.save_alert_configuration(): the next version. Needs lock_admin_role. Returns its number.

    values: columns by name; those not named stay. Raises SerializationFailure where somebody else saved
    first.
    """
    cursor.execute(
        "SELECT monitoring.save_alert_configuration(%s, %s, %s::jsonb, %s, %s)",
        [config_hk, expected_version, as_json(values), changed_by, note],
    )
    return int(cursor.fetchone()[0])


def alert_version(cursor: Cursor, config_hk: bytes) -> AlertVersion | None:
    """The present version of an alert with its recipients. Needs lock_admin_role."""
    rows = select_all(
        cursor,
        AlertVersion,
        "monitoring.alert_configuration_s WHERE alert_config_hk = %s AND load_end_date IS NULL",
        [config_hk],
    )
    return rows[0] if rows else None


def alert_versions(cursor: Cursor, config_hk: bytes) -> list[AlertVersion]:
    """All versions of an alert, newest first, with their recipients. Needs lock_admin_role."""
    cursor.execute(
        f"SELECT {columns(AlertVersion)} FROM monitoring.alert_configuration_s"  # noqa: S608 - constant texts
        " WHERE alert_config_hk = %s ORDER BY load_date DESC LIMIT 200",
        [config_hk],
    )
    return [build(AlertVersion, row) for row in cursor.fetchall()]


@dataclass(frozen=True)
class EventLine:
    """An event in a list of the command."""

    event_key: str
    alert_name: str
    event_state: str
    level: str
    value: Decimal | None
    started_at: datetime
    raised_at: datetime
    acknowledged_by: str | None
    snoozed_until: datetime | None
    resolved_at: datetime | None
    note: str | None
    sentence: str | None


def alert_events(cursor: Cursor, open_only: bool = True, limit: int = 100) -> list[EventLine]:
    """Events, newest first: the unresolved ones, or all."""
    return select_all(
        cursor,
        EventLine,
        "monitoring.alert_event_list WHERE is_open OR NOT %s ORDER BY is_open DESC, raised_at DESC LIMIT %s",
        [open_only, limit],
    )


def find_alert_events(cursor: Cursor, key: str) -> list[EventLine]:
    """Events whose key begins with ``key`` (hexadecimal), unresolved first; at most three."""
    return select_all(
        cursor,
        EventLine,
        "monitoring.alert_event_list WHERE event_key LIKE %s ORDER BY is_open DESC, raised_at DESC LIMIT 3",
        [key + "%"],
    )


@dataclass(frozen=True)
class Convoy:
    """DDL that waits with a queue behind it. seconds_left: until connections run out; None while nobody
    joins."""

    pid: int
    application_name: str | None
    object_name: str | None
    blocked_total: int
    free_connections: int
    seconds_left: Decimal | None


def convoys(cursor: Cursor) -> list[Convoy]:
    """monitoring.convoy_forecast: the longest queue first; any role."""
    return select_all(cursor, Convoy, "monitoring.convoy_forecast ORDER BY blocked_total DESC LIMIT 3")


@dataclass(frozen=True)
class LatestDeadlock:
    """The last deadlock, as its dashboard has it."""

    deadlock_timestamp: datetime
    involved_pids: tuple[int, ...] | None
    deadlock_victim_pid: int | None
    affected_tables: tuple[str, ...] | None
    prevention_suggestion: str | None


def latest_deadlock(cursor: Cursor) -> LatestDeadlock | None:
    """The newest row of lock_monitoring.deadlock_events_dashboard; any role."""
    rows = select_all(
        cursor,
        LatestDeadlock,
        "lock_monitoring.deadlock_events_dashboard ORDER BY deadlock_timestamp DESC LIMIT 1",
    )
    return rows[0] if rows else None


def why_not_storing(cursor: Cursor) -> str | None:
    """Why the loop looks but cannot store, naming who holds what it needs; None where it can; any role."""
    cursor.execute("SELECT skipped_because FROM lock_engine.monitor_status")
    row = cursor.fetchone()
    return str(row[0]) if row and row[0] else None
