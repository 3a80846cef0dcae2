"""Watched time as a test wants it: since when somebody has looked, and the gaps in between."""

from __future__ import annotations

from datetime import timedelta

import psycopg


def watched_since(dsn: str, ago: timedelta) -> None:
    """Let the vault have been watched, without a gap, from so long ago until now."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            "UPDATE lock_engine.watch_state SET first_look_at = clock_timestamp() - %s,"
            " last_look_at = clock_timestamp(), by_loop = false, unseen_since = NULL",
            [ago],
        )
        connection.execute("DELETE FROM lock_engine.coverage_gap")


def gap(dsn: str, start_ago: timedelta, length: timedelta, reason: str = "a test's gap") -> None:
    """Record one gap that began so long ago."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO lock_engine.coverage_gap (gap_start, gap_end, reason)"
            " SELECT m.at - %s, m.at - %s + %s, %s FROM (SELECT clock_timestamp() AS at OFFSET 0) m",
            [start_ago, start_ago, length, reason],
        )
