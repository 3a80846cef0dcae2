"""Typed calls about rows that are kept aside until their tenant can be had."""

from __future__ import annotations

from .base import Cursor


def move_rest(cursor: Cursor) -> bool:
    """lock_engine.place_rows(), where more rows can move than the cycle's own transaction moved: move so many
    more. Tells whether another call has something to move."""
    cursor.execute(
        "SELECT lock_engine.place_rows() FROM (SELECT) AS one"
        " WHERE EXISTS (SELECT FROM lock_engine.aside_tenant AS t WHERE t.movable)"
    )
    row = cursor.fetchone()
    return row is not None and bool(row[0])
