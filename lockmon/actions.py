"""The Python side of the door: each step committed by itself, whoever asks: a page, a command, a policy.

look -> request (committed) -> execute (committed) -> outcome. The database judges; nothing is decided here.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from django.db import DatabaseError
from psycopg import errors

from lockmon import vault
from lockmon.calls import door

MAX_POLICY_ROUNDS = 3
NO_RIGHT = "Not stopped: this needs lock_admin_role. The attempt is on the record."
# one connection for the policies of each vault in each thread, opened in the process that uses it
_kept = threading.local()


class NoRightError(Exception):
    """The login lacks lock_admin_role; the attempt is on the record."""


@dataclass(frozen=True)
class Target:
    """The session that is meant: pid and backend_start; xact_start where one transaction is meant."""

    pid: int
    backend_start: datetime | None
    xact_start: datetime | None = None


def look(pid: int, alias: str = "vault") -> door.SessionFacts | None:
    """Return the session as it is now and what ending it would do, or None if there is none."""
    with vault.cursor(alias) as cursor:
        return door.facts(cursor, pid)


def stop(
    target: Target,
    action: str,
    reason: str,
    *,
    acting_for: str,
    origin: str,
    explicit: bool = False,
    alias: str = "vault",
) -> door.Outcome:
    """Cancel the statement of a session or terminate it. Refusals are outcomes with a code.

    Raises NoRightError where the login may not (recorded), DatabaseError where the vault cannot be reached.
    """
    try:
        with vault.admin_transaction(alias) as cursor:
            requested = door.request(
                cursor,
                action,
                target.pid,
                target.backend_start,
                reason,
                xact_start=target.xact_start,
                explicit=explicit,
                acting_for=acting_for,
                origin=origin,
            )
        if not requested.accepted:
            gone = requested.code == "already_gone"
            return door.Outcome(
                requested.action_id, "already gone" if gone else "refused", requested.code, requested.message
            )
        with vault.admin_transaction(alias) as cursor:
            return door.execute(cursor, requested.action_id)
    except DatabaseError as error:
        if not isinstance(error.__cause__, errors.InsufficientPrivilege):
            raise
        record_denied(target, action, reason, acting_for=acting_for, origin=origin, alias=alias)
        raise NoRightError(
            "Not stopped: this needs lock_admin_role. The attempt is on the record."
        ) from error


def record_denied(
    target: Target, action: str, reason: str, *, acting_for: str, origin: str, alias: str = "vault"
) -> None:
    """Write down that somebody without the right tried to stop a session."""
    with vault.cursor(alias) as cursor:
        door.denied(cursor, action, target.pid, target.backend_start, reason, acting_for, origin)


def plan(tenant_hk: bytes | None, seconds: int, alias: str = "vault") -> list[door.Planned]:
    """Return what the automatic resolution would do now; changes nothing."""
    with vault.admin_transaction(alias) as cursor:
        return door.resolve_plan(cursor, tenant_hk, seconds)


def resolve(
    tenant_hk: bytes | None, seconds: int, reason: str, *, acting_for: str, alias: str = "vault"
) -> list[tuple[door.Planned, door.Outcome | None]]:
    """Carry out the plan, each stop committed by itself. None stands beside those that were spared."""
    done: list[tuple[door.Planned, door.Outcome | None]] = []
    for planned in plan(tenant_hk, seconds, alias):
        outcome = None
        if planned.eligible and planned.action:
            outcome = stop(
                Target(planned.pid, planned.backend_start, planned.xact_start),
                planned.action,
                f"{reason} ({planned.why})",
                acting_for=acting_for,
                origin="auto_resolve",
                alias=alias,
            )
        done.append((planned, outcome))
    return done


def run_policies(alias: str = "vault") -> list[door.PolicyResult]:
    """Run the active policies: what one round requests and commits, the next carries out."""
    results: list[door.PolicyResult] = []
    with _policy_connection(alias).cursor() as cursor:
        for _ in range(MAX_POLICY_ROUNDS):
            found = door.run_policies(cursor)
            results.extend(found)
            if not any(one.pending for one in found):
                break
    return results


def _policy_connection(alias: str) -> psycopg.Connection[tuple[Any, ...]]:
    kept: dict[tuple[str, int], psycopg.Connection[tuple[Any, ...]]] = _kept.__dict__.setdefault(
        "by_alias", {}
    )
    key = (alias, os.getpid())
    if key not in kept or kept[key].closed:
        kept[key] = vault.direct_connection(alias, "policies", statement_timeout_ms=30_000)
    return kept[key]


def close_kept() -> None:
    """Close what run_policies keeps open in this thread, at its end; another round opens another."""
    for (_, process), connection in _kept.__dict__.pop("by_alias", {}).items():
        if process == os.getpid():
            connection.close()


def describe(outcomes: Sequence[door.Outcome]) -> str:
    """One sentence for several outcomes: how many of each."""
    counts: dict[str, int] = {}
    for one in outcomes:
        counts[one.outcome] = counts.get(one.outcome, 0) + 1
    return ", ".join(f"{count} {name}" for name, count in counts.items()) + "."
