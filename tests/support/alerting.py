"""An alert of the tests and what became of it."""

from __future__ import annotations

from typing import Any

import psycopg

from lockmon.calls import alerts as calls

HK = b"test alert"


def alert(
    connection: psycopg.Connection[Any], query: str = "SELECT 0", hk: bytes = HK, **changes: Any
) -> int:
    """Save the test's alert, or its next version."""
    present = calls.alert_version(connection.cursor(), hk)
    values = {
        "alert_name": f"Test {hk.decode()}",
        "alert_category": "TEST",
        "alert_query": query,
        "warning_threshold": 0,
        "critical_threshold": 10,
        "alert_severity": "HIGH",
        "is_active": True,
        "clear_after_seconds": 0,
        "notification_recipients": ["dba@example.org"],
    }
    return calls.save_alert_configuration(
        connection.cursor(), hk, present.satellite_id if present else None, values | changes, "test", None
    )


def say(connection: psycopg.Connection[Any], value: object) -> None:
    """Let the alert's query give this value."""
    alert(connection, f"SELECT {value}")


def outbox(connection: psycopg.Connection[Any]) -> list[tuple[str, str]]:
    return connection.execute(
        "SELECT kind, recipient FROM monitoring.alert_message ORDER BY message_id"
    ).fetchall()


def states(connection: psycopg.Connection[Any]) -> list[str]:
    rows = connection.execute(
        "SELECT event_state FROM monitoring.alert_event_history ORDER BY satellite_id"
    ).fetchall()
    return [row[0] for row in rows]
