"""Typed calls for looks that are kept in memory until they can be stored."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from .base import Cursor, build, columns, select_one


@dataclass(frozen=True)
class LookSettings:
    """What a look takes from the vault's settings. own_logins: the monitor's. min_age: of a transaction."""

    own_logins: tuple[str, ...]
    min_age: timedelta


@dataclass(frozen=True)
class Seen:
    """One look. seen: a text for store_seen(), None where digest and durations are as in the look before.

    due: when a wait reaches the next step of its duration.
    """

    seen_at: datetime
    digest: Decimal
    due: datetime | None
    seen: str | None


@dataclass(frozen=True)
class StoredLook:
    """outcome: stored, or skipped or late with the reason. next_at: the same look is to be stored for then,
    too."""

    outcome: str
    next_at: datetime | None


def look_settings(cursor: Cursor) -> LookSettings:
    """The settings that lock_catalog.look() is to be given."""
    cursor.execute(
        "SELECT ARRAY(SELECT pg_catalog.jsonb_array_elements_text(lock_admin.setting('monitor.own_logins'))),"
        " pg_catalog.make_interval(secs => (lock_admin.setting('capture.min_transaction_age_seconds')"
        " #>> '{}')::double precision)"
    )
    return build(LookSettings, cursor.fetchone())


def look(
    cursor: Cursor, settings: LookSettings, digest: Decimal | None = None, due: datetime | None = None
) -> Seen:
    """lock_catalog.look(): all that a cycle looks at; reads no table. digest, due: of the look before."""
    return select_one(
        cursor,
        Seen,
        "lock_catalog.look(%s::text[], %s, %s::numeric, %s::timestamptz)",
        [list(settings.own_logins), settings.min_age, digest, due],
    )


def store_seen(
    cursor: Cursor, since: datetime | None, at: datetime, until: datetime, seen: str, reason: str
) -> StoredLook:
    """lock_engine.store_seen(): store a kept look at its time. since: the loop looked without a pause since
    then, None: a look before is lost, for this reason."""
    cursor.execute(
        f"SELECT {columns(StoredLook)} FROM lock_engine.store_seen("  # noqa: S608 - constant texts
        "%s::timestamptz, %s, %s, %s::jsonb, %s)",
        [since, at, until, seen, reason],
    )
    return build(StoredLook, cursor.fetchone())
