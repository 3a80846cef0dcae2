"""Typed calls of the outbox of alert messages. Unless said otherwise they need lock_admin_role."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from .alerts import as_json
from .base import Cursor, build, select_all, select_one


@dataclass(frozen=True)
class Recipients:
    """To whom an alert's messages go, and to whom besides when it escalates."""

    everyone: tuple[str, ...]
    escalation: tuple[str, ...]


@dataclass(frozen=True)
class Claimed:
    """A message that this process may send now."""

    message_id: int
    event_hk: bytes | None
    kind: str
    recipient: str
    context: dict[str, Any]
    attempt: int
    created_at: datetime


@dataclass(frozen=True)
class Waiting:
    """What waits: messages due now, seconds the oldest has been due, messages held back."""

    due: int
    oldest_seconds: float
    held: int


@dataclass(frozen=True)
class ChannelState:
    """How one recipient has answered lately."""

    recipient: str
    consecutive_failures: int
    failing_since: datetime | None
    last_failure_at: datetime | None
    last_error: str | None
    last_success_at: datetime | None
    next_try_at: datetime | None


@dataclass(frozen=True)
class SentLine:
    """One message of an alert's delivery log."""

    message_id: int
    kind: str
    recipient: str
    state: str
    created_at: datetime
    sent_at: datetime | None
    attempts: int
    last_sentence: str | None


def alert_recipients(cursor: Cursor, config_hk: bytes) -> Recipients:
    """The recipients of an alert's present version."""
    cursor.execute(
        "SELECT coalesce(notification_recipients, '{}'), coalesce(escalation_recipients, '{}')"
        " FROM monitoring.alert_configuration_s WHERE alert_config_hk = %s AND load_end_date IS NULL",
        [config_hk],
    )
    row = cursor.fetchone()
    return build(Recipients, row) if row else Recipients((), ())


def add_alert_message(
    cursor: Cursor,
    event_hk: bytes | None,
    config_hk: bytes | None,
    kind: str,
    recipient: str,
    dedupe_key: str,
    context: dict[str, Any],
    limit_per_minute: int,
) -> int | None:
    """monitoring.add_alert_message(): into the outbox. None: it was there already."""
    cursor.execute(
        "SELECT monitoring.add_alert_message(%s, %s, %s, %s, %s, %s::jsonb, %s)",
        [event_hk, config_hk, kind, recipient, dedupe_key, as_json(context), limit_per_minute],
    )
    number = cursor.fetchone()[0]
    return None if number is None else int(number)


def merge_held_alert_messages(cursor: Cursor, limit_per_minute: int) -> int:
    """monitoring.merge_held_alert_messages(): held messages become summaries. Returns how many
    summaries."""
    cursor.execute("SELECT monitoring.merge_held_alert_messages(%s)", [limit_per_minute])
    return int(cursor.fetchone()[0])


def claim_alert_message(cursor: Cursor, lease_seconds: int) -> Claimed | None:
    """monitoring.claim_alert_message(): one message to send, or None. Commit before sending."""
    cursor.execute(
        "SELECT message_id, alert_event_hk, kind, recipient, context::text, attempt, created_at"
        " FROM monitoring.claim_alert_message(%s)",
        [lease_seconds],
    )
    row = cursor.fetchone()
    if row is None:
        return None
    return Claimed(row[0], row[1], row[2], row[3], json.loads(row[4]), row[5], row[6])


def finish_alert_message(
    cursor: Cursor, message_id: int, attempt: int, started_at: datetime, sent: bool, sentence: str | None
) -> str:
    """monitoring.finish_alert_message(): sent, waiting (tried again later), failed (given up) or
    superseded."""
    cursor.execute(
        "SELECT monitoring.finish_alert_message(%s, %s, %s, %s, %s)",
        [message_id, attempt, started_at, sent, sentence],
    )
    return str(cursor.fetchone()[0])


def waiting_alert_messages(cursor: Cursor) -> Waiting:
    """monitoring.alert_outbox: what is due, leaving out recipients that are in a pause after failures; any
    role."""
    return select_one(cursor, Waiting, "monitoring.alert_outbox")


def channel_states(cursor: Cursor, recipients: tuple[str, ...]) -> list[ChannelState]:
    """How these recipients have answered lately."""
    return select_all(
        cursor,
        ChannelState,
        "monitoring.alert_channel WHERE recipient = ANY (%s) ORDER BY recipient",
        [list(recipients)],
    )


def dead_channels(cursor: Cursor) -> list[ChannelState]:
    """Recipients whose last three attempts failed."""
    return select_all(
        cursor, ChannelState, "monitoring.alert_channel WHERE consecutive_failures >= 3 ORDER BY recipient"
    )


def sent_messages(
    cursor: Cursor, config_hk: bytes | None, event_hk: bytes | None, limit: int = 50
) -> list[SentLine]:
    """The delivery log of an alert, or of one event: newest first."""
    cursor.execute(
        "SELECT m.message_id, m.kind, m.recipient, m.state, m.created_at, m.sent_at, m.attempts,"
        " (SELECT d.sentence FROM monitoring.alert_delivery AS d WHERE d.message_id = m.message_id"
        "   ORDER BY d.delivery_id DESC LIMIT 1)"
        " FROM monitoring.alert_message AS m"
        " WHERE (m.alert_config_hk = %s OR %s::bytea IS NULL) AND (m.alert_event_hk = %s OR %s::bytea"
        " IS NULL)"
        " ORDER BY m.message_id DESC LIMIT %s",
        [config_hk, config_hk, event_hk, event_hk, limit],
    )
    return [build(SentLine, row) for row in cursor.fetchall()]
