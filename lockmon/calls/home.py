"""Typed calls about the vault's place: is this the database that it acts in, or a copy of it?"""

from __future__ import annotations

from dataclasses import dataclass

from .base import Cursor, select_one


@dataclass(frozen=True)
class Adopted:
    """Whether this database became the vault's place, and a sentence."""

    adopted: bool
    message: str


def disarmed_because(cursor: Cursor) -> str | None:
    """lock_engine.disarmed_because(): why no policy acts and no alert is sent here, in sentences; None where
    this is the database that the vault belongs to. The reading role is enough."""
    cursor.execute("SELECT lock_engine.disarmed_because()")
    row = cursor.fetchone()
    return str(row[0]) if row and row[0] else None


def adopt(cursor: Cursor, reason: str, by: str) -> Adopted:
    """lock_admin.adopt(): let the vault act in this database. Needs lock_admin_role.

    Raises the database's error where no reason is given, or the server may not be asked which it is.
    """
    return select_one(cursor, Adopted, "lock_admin.adopt(%s, %s)", [reason, by])


def disarm(cursor: Cursor, reason: str, by: str) -> str:
    """lock_admin.disarm(): nothing acts by itself here until adopt; returns the sentences that pages show."""
    cursor.execute("SELECT lock_admin.disarm(%s, %s)", [reason, by])
    return str(cursor.fetchone()[0])
