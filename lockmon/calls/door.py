"""Typed calls of the door (lock_admin): look, request, execute, outcome; policies and their back-test.

All but ``facts``, ``denied``, ``follow_up`` and ``run_policies`` need lock_admin_role. Refusals are results;
exceptions are the database's own (a right that lacks, a wrong argument).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from psycopg.types.json import Jsonb

from .base import Cursor, select_all, select_one

CANCEL = "cancel"
TERMINATE = "terminate"
_TIMES = ("at", "backend_start", "xact_start", "query_start", "state_change")


@dataclass(frozen=True)
class NextBlocker:
    """A session that will hold up others once the stopped one has gone. behind: how many."""

    pid: int
    application_name: str
    user_name: str
    query: str
    lock_mode: str
    object_name: str
    behind: int


@dataclass(frozen=True)
class Prediction:
    """What ending a session would do (lock_admin.simulate). blocked_seconds: sum of the present waits."""

    blocks: int
    freed_count: int
    wait_behind_next: int
    wait_for_others: int
    next_blockers: tuple[NextBlocker, ...] = ()
    freed_pids: tuple[int, ...] = ()
    severity: str | None = None
    kind: str | None = None
    is_root: bool = False
    blocked_seconds: float | None = None
    recommended_action: str | None = None
    waits_for: str | None = None


@dataclass(frozen=True)
class SessionFacts:
    """A session as it is at ``at``. refusal_code: why the door would refuse it whoever asks, or None.
    kind: of lock_engine.blocker_kinds(); None where a release before that recorded it. progress: columns of
    lock_catalog.progress_of(), None where its statement has none."""

    at: datetime
    pid: int
    backend_start: datetime
    xact_start: datetime | None
    query_start: datetime | None
    state_change: datetime | None
    state: str | None
    user_name: str | None
    application_name: str | None
    database_name: str | None
    client_addr: str | None
    backend_type: str | None
    backend_xid: int | None
    query: str | None
    query_truncated: bool
    locks_held: int
    exclusive_locks_held: int
    tenant_claim: str | None
    refusal_code: str | None
    refusal: str | None
    warnings: tuple[tuple[str, str], ...]
    prediction: Prediction
    kind: str | None = None
    progress: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Requested:
    """The answer to a request: its number, whether it may be executed, else code and sentence."""

    action_id: int
    accepted: bool
    code: str | None
    message: str


@dataclass(frozen=True)
class Outcome:
    """What came of an action: terminated, cancelled, already gone, refused, not permitted, still there.

    waited_ms: from the signal until the session was seen gone; recovery_ms: until all whose release was
    predicted were seen running; None where that was not seen.
    """

    action_id: int
    outcome: str
    code: str | None
    message: str
    waited_ms: Decimal | None = None
    recovery_ms: Decimal | None = None
    comparison: Mapping[str, Any] | None = field(default=None, hash=False)

    @property
    def signalled(self) -> bool:
        """Whether a signal was sent."""
        return self.outcome in ("terminated", "cancelled", "still there")


@dataclass(frozen=True)
class Planned:
    """One blocker in the plan of the automatic resolution; ``why`` is the ground, or why it is spared."""

    pid: int
    backend_start: datetime | None
    xact_start: datetime | None
    eligible: bool
    action: str | None
    why: str
    severity: str | None
    blocked_total: int
    blocked_for_seconds: Decimal | None
    kind: str | None
    user_name: str | None
    application_name: str | None
    query: str | None


@dataclass(frozen=True)
class PolicyResult:
    """What a run of the policies decided or did; pending: requested now, carried out by the next call."""

    policy: str
    mode: str
    session_pid: int
    decision: str
    message: str | None
    action_id: int | None
    pending: bool


@dataclass(frozen=True)
class ModeChange:
    """The answer to turning a policy off, to dry run, or arming it."""

    accepted: bool
    code: str | None
    message: str


@dataclass(frozen=True)
class SavedPolicy:
    """The version that now holds the rules, and a sentence."""

    version: int
    message: str


def _jsonb(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


def _time(value: Any) -> datetime | None:
    return datetime.fromisoformat(value) if value else None


def prediction(found: Mapping[str, Any] | None) -> Prediction:
    """Return the dataclass of a stored or fresh prediction; an empty one for None."""
    found = found or {}
    return Prediction(
        blocks=found.get("blocks") or 0,
        freed_count=found.get("freed_count") or 0,
        wait_behind_next=found.get("wait_behind_next") or 0,
        wait_for_others=found.get("wait_for_others") or 0,
        next_blockers=tuple(
            NextBlocker(**{name: one.get(name) for name in NextBlocker.__dataclass_fields__})
            for one in found.get("next_blockers") or ()
        ),
        freed_pids=tuple(one["pid"] for one in found.get("freed") or ()),
        severity=found.get("severity"),
        kind=found.get("kind"),
        is_root=bool(found.get("is_root")),
        blocked_seconds=found.get("blocked_seconds"),
        recommended_action=found.get("recommended_action"),
        waits_for=found.get("waits_for"),
    )


def facts(cursor: Cursor, pid: int) -> SessionFacts | None:
    """Return the session as it is now with what ending it would do, or None if there is none. Changes
    nothing."""
    cursor.execute(
        "SELECT f.found, lock_admin.refusal_message(f.found ->> 'refusal_code', %s)"
        " FROM (SELECT lock_admin.session_facts(%s) AS found) AS f",
        [pid, pid],
    )
    found, refusal = cursor.fetchone()
    found = _jsonb(found)
    if found is None:
        return None
    known: dict[str, Any] = {name: found.get(name) for name in SessionFacts.__dataclass_fields__}
    known |= {name: _time(found[name]) for name in _TIMES}
    known["query_truncated"] = bool(found.get("query_truncated"))
    known["warnings"] = tuple((one["code"], one["text"]) for one in found["warnings"])
    known["prediction"] = prediction(found["prediction"])
    known["refusal"] = refusal if found.get("refusal_code") else None
    return SessionFacts(**known)


def request(
    cursor: Cursor,
    action: str,
    pid: int,
    backend_start: datetime | None,
    reason: str,
    *,
    xact_start: datetime | None = None,
    explicit: bool = False,
    acting_for: str | None = None,
    origin: str = "sql",
) -> Requested:
    """Put the wish to stop a session on record; commit before ``execute``.

    explicit: also if it blocks nobody. xact_start: only while it is in that transaction.
    """
    return select_one(
        cursor,
        Requested,
        "lock_admin.request_action(%s, %s, %s, %s, %s, %s, %s, %s)",
        [action, pid, backend_start, reason, xact_start, explicit, acting_for, origin],
    )


def execute(cursor: Cursor, action_id: int) -> Outcome:
    """Carry out a committed request and return what came of it; waits up to setting door.wait_seconds."""
    # a page's own limit is shorter than the wait for a session that ends slowly
    cursor.execute("SELECT pg_catalog.set_config('statement_timeout', '40s', true)")
    cursor.execute(
        "SELECT action_id, outcome, code, message, waited_ms, recovery_ms, comparison"
        " FROM lock_admin.execute_action(%s)",
        [action_id],
    )
    number, outcome, code, message, waited, recovery, compared = cursor.fetchone()
    return Outcome(number, outcome, code, message, waited, recovery, _jsonb(compared))


def denied(
    cursor: Cursor,
    action: str,
    pid: int,
    backend_start: datetime | None,
    reason: str,
    acting_for: str,
    origin: str,
) -> int | None:
    """Record that somebody without the right tried; the reading role is enough. Returns its number."""
    cursor.execute(
        "SELECT lock_admin.record_denied(%s, %s, %s, %s, %s, %s)",
        [action, pid, backend_start, reason, acting_for, origin],
    )
    number: int | None = cursor.fetchone()[0]
    return number


def follow_up(cursor: Cursor) -> int:
    """Record which sessions that were still there have gone since; returns how many."""
    cursor.execute("SELECT lock_admin.follow_up()")
    found: int = cursor.fetchone()[0]
    return found


def resolve_plan(cursor: Cursor, tenant_hk: bytes | None, seconds: int) -> list[Planned]:
    """Return what the automatic resolution would do now, and why each other blocker is spared."""
    return select_all(cursor, Planned, "lock_admin.resolve_plan(%s, %s)", [tenant_hk, seconds])


def run_policies(cursor: Cursor) -> list[PolicyResult]:
    """Run the active policies once; needs a transaction of its own (autocommit). Call again while a result is
    pending."""
    return select_all(cursor, PolicyResult, "lock_admin.run_policies()")


def save_policy(cursor: Cursor, policy: str, rules: Mapping[str, Any], edited_by: str) -> SavedPolicy:
    """Create a policy or write a new version of its rules (columns of lock_admin.policy_s)."""
    return select_one(
        cursor,
        SavedPolicy,
        "lock_admin.save_policy(%s, %s::jsonb, %s)",
        [policy, Jsonb(dict(rules)), edited_by],
    )


def set_policy_mode(
    cursor: Cursor, policy: str, mode: str, reason: str, changed_by: str, people: int
) -> ModeChange:
    """Turn a policy off, to dry_run, or armed. people: how many persons of the application could arm it."""
    return select_one(
        cursor,
        ModeChange,
        "lock_admin.set_policy_mode(%s, %s, %s, %s, %s)",
        [policy, mode, reason, changed_by, people],
    )


def backtest_policy(
    cursor: Cursor, policy: str, period_from: datetime | None, period_to: datetime | None, ran_by: str
) -> int:
    """Replay a policy over the stored history; returns the number of the stored back-test."""
    cursor.execute(
        "SELECT lock_admin.backtest_policy(%s, %s, %s, %s)", [policy, period_from, period_to, ran_by]
    )
    number: int = cursor.fetchone()[0]
    return number


def setting(cursor: Cursor, name: str) -> Any:
    """Return the value of one setting."""
    cursor.execute("SELECT lock_admin.setting(%s)", [name])
    return _jsonb(cursor.fetchone()[0])


@dataclass(frozen=True)
class ModeRow:
    """One mode that a policy had: since when, for which version of the rules, by whom and why."""

    load_date: datetime
    mode: str
    version: int
    reason: str
    evidence: str | None
    by_breaker: bool
    changed_by: str


def policy_rules(cursor: Cursor, policy: str) -> dict[str, Any]:
    """Return the present rules of a policy by their names, without keys and dates; {} if there is none."""
    cursor.execute(
        "SELECT to_jsonb(p) - ARRAY['policy_hk', 'load_date', 'load_end_date', 'hash_diff', 'edited_by',"
        " 'edited_login', 'record_source', 'version']"
        " FROM lock_admin.policy_s AS p JOIN lock_admin.policy_h AS h USING (policy_hk)"
        " WHERE h.policy_bk = %s AND p.load_end_date IS NULL",
        [policy],
    )
    row = cursor.fetchone()
    return dict(_jsonb(row[0])) if row else {}


def policy_modes(cursor: Cursor, policy: str) -> list[ModeRow]:
    """Return the modes a policy had, the latest first."""
    return select_all(
        cursor,
        ModeRow,
        "lock_admin.policy_mode_s WHERE policy_hk ="
        " (SELECT h.policy_hk FROM lock_admin.policy_h AS h WHERE h.policy_bk = %s)"
        " ORDER BY load_date DESC LIMIT 20",
        [policy],
    )
