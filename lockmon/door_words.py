"""The words in which a session, a prediction and an outcome are told: the same in pages and in commands."""

from __future__ import annotations

from datetime import datetime

from lockmon.calls.door import Prediction, SessionFacts


def duration(since: datetime | None, now: datetime) -> str:
    """Such as 6 min 12 s; unknown where it is."""
    if since is None:
        return "unknown"
    seconds = max(0, int((now - since).total_seconds()))
    parts = (
        (seconds // 86400, "d"),
        (seconds // 3600 % 24, "h"),
        (seconds // 60 % 60, "min"),
        (seconds % 60, "s"),
    )
    shown = [f"{count} {unit}" for count, unit in parts if count]
    return " ".join(shown[:2]) or "0 s"


def sessions(count: int) -> str:
    """Such as 1 session or 1,204 sessions."""
    return "1 session" if count == 1 else f"{count:,} sessions"


def who(facts: SessionFacts) -> str:
    """Application, user, client and since when."""
    tenant = f", tenant {facts.tenant_claim} (as the session claims)" if facts.tenant_claim else ""
    client = facts.client_addr or "this machine"
    return (
        f"{facts.application_name or 'no application name'}, user {facts.user_name or 'unknown'}, "
        f"from {client}, connected {facts.backend_start:%Y-%m-%d %H:%M:%S}{tenant}"
    )


def doing(facts: SessionFacts) -> str:
    """State, since when, and its statement."""
    statement = " ".join((facts.query or "").split())
    cut = " (cut by PostgreSQL)" if facts.query_truncated else ""
    verb = "running" if facts.state == "active" else "last statement"
    told = f"; {verb} {statement[:300]}{cut}" if statement else ""
    return f"{facts.state or 'unknown state'} since {duration(facts.state_change, facts.at)}{told}"


def holds(facts: SessionFacts) -> str:
    """Locks, and whether there is work to roll back."""
    locks = "1 lock" if facts.locks_held == 1 else f"{facts.locks_held:,} locks"
    if facts.backend_xid is not None:
        written = f"it has written (transaction {facts.backend_xid}), which will be rolled back"
    else:
        written = "it has written nothing"
    return f"{locks}, {facts.exclusive_locks_held:,} exclusive; {written}"


def then(prediction: Prediction) -> str:
    """Who is freed and who blocks next."""
    if not prediction.blocks:
        return "nobody waits behind it"
    text = f"{sessions(prediction.blocks)} behind it: {prediction.freed_count:,} freed at once"
    if prediction.next_blockers:
        first = prediction.next_blockers[0]
        what = " ".join((first.query or "").split())[:80]
        text += f"; next in line is {first.pid} ({what}), behind which {first.behind:,} will wait"
        if len(prediction.next_blockers) > 1:
            text += f", and {len(prediction.next_blockers) - 1:,} others likewise"
    if prediction.wait_for_others:
        text += f"; {sessions(prediction.wait_for_others)} go on waiting for others"
    return text


def instead(facts: SessionFacts) -> str:
    """What the milder action would do."""
    if facts.state != "active":
        return "cancelling would do nothing: it is not running a statement"
    return "cancelling ends its statement; the connection stays, and the transaction with it fails"


def lines(facts: SessionFacts) -> list[tuple[str, str]]:
    """All of it, as (word, sentence)."""
    told = [
        ("Who", who(facts)),
        ("Doing", doing(facts)),
        ("Holds", holds(facts)),
        ("Then", then(facts.prediction)),
        ("Instead", instead(facts)),
    ]
    return told + [
        ("Mind", text) for code, text in facts.warnings if code not in ("written", "cancel_useless")
    ]
