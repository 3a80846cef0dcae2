"""The words in which a session, a prediction and an outcome are told: the same in pages and in commands."""

from __future__ import annotations

from django.utils import timezone

from lockmon.calls.door import Prediction, SessionFacts
from lockmon.views import words

CANCELLING = {
    "waits_for_standby": "cancelling ends its waiting for the standby; the commit stays",
    "client_not_reading": "cancelling would do nothing while it waits for its client",
    "client_not_sending": "cancelling would do nothing while it waits for its client",
    "concurrent_ddl": "cancelling ends its statement and leaves what it has begun: an INVALID index",
    "maintenance": "cancelling ends it; what it has not finished is done the next time",
    "advisory_lock": "cancelling ends its statement; an advisory lock of its session stays",
    "active": "cancelling ends its statement; the connection stays, and its transaction fails, unless its"
    " client goes back to a savepoint",
}
"""What cancelling does to a statement of a kind, unless the transaction simply fails: docs/kinds.md."""
CANCELLING["long_query"] = CANCELLING["active"]


def sessions(count: int) -> str:
    """Such as 1 session or 1,204 sessions."""
    return "1 session" if count == 1 else f"{count:,} sessions"


def statement(text: str | None, see_text: bool, limit: int = 300) -> str:
    """A statement on one line, its literals hidden from whoever may not see them."""
    return words.one_line((text if see_text else words.hide_literals(text)) or "", limit)


def who(facts: SessionFacts) -> str:
    """Application, user, client and since when."""
    claim = words.one_line(facts.tenant_claim, 60) if facts.tenant_claim else ""
    tenant = f", tenant {claim} (as the session claims)" if claim else ""
    name = words.one_line(facts.application_name, 80) or "no application name"
    return (
        f"{name}, user {words.one_line(facts.user_name, 80) or 'unknown'}, from "
        f"{facts.client_addr or 'this machine'}, connected "
        f"{timezone.localtime(facts.backend_start):%Y-%m-%d %H:%M:%S}{tenant}"
    )


def doing(facts: SessionFacts, see_text: bool = True) -> str:
    """State, since when, and its statement."""
    text = statement(facts.query, see_text)
    cut = " (cut by PostgreSQL)" if facts.query_truncated else ""
    verb = "running" if facts.state == "active" else "last statement"
    since = words.duration(words.seconds_between(facts.state_change, facts.at))
    told = f"{facts.state or 'unknown state'} since {since}" + (f"; {verb} {text}{cut}" if text else "")
    return told + progress(facts)


def progress(facts: SessionFacts) -> str:
    """How far its statement is, such as "; VACUUM, scanning heap: 34 %, about 2 min more at this pace"."""
    known = facts.progress or {}
    if not known.get("command"):
        return ""
    text = f"; {known['command']}, {known.get('phase') or 'phase not known'}"
    if known.get("percent") is None:
        return text
    text += f": {known['percent']} %"
    left = known.get("seconds_left")
    return text + (
        f", about {words.duration(left)} more of this at the present pace" if left is not None else ""
    )


def holds(facts: SessionFacts) -> str:
    """Locks, and whether there is work to roll back."""
    locks = "1 lock" if facts.locks_held == 1 else f"{facts.locks_held:,} locks"
    if facts.kind == "waits_for_standby":
        written = "what it has written is committed and stays"
    elif facts.backend_xid is not None:
        # a lock on a row and a strong one on a relation take a transaction id, too
        written = f"what transaction {facts.backend_xid} has written, if anything, will be rolled back"
    else:
        written = "it has written nothing"
    return f"{locks}, {facts.exclusive_locks_held:,} exclusive; {written}"


def then(prediction: Prediction, see_text: bool = True) -> str:
    """Who is freed and who blocks next."""
    if not prediction.blocks:
        return "nobody waits behind it"
    text = f"{sessions(prediction.blocks)} behind it: {prediction.freed_count:,} freed at once"
    if prediction.next_blockers:
        first = prediction.next_blockers[0]
        what = statement(first.query, see_text, 80)
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
    if facts.kind in CANCELLING:
        return CANCELLING[facts.kind]
    return "cancelling ends its statement; the connection stays, and the transaction with it fails"


def lines(facts: SessionFacts, see_text: bool = True, plan: str = "") -> list[tuple[str, str]]:
    """All of it, as (word, sentence). plan: what the rescue plan says of this session."""
    told = [
        ("Who", who(facts)),
        ("Doing", doing(facts, see_text)),
        ("Holds", holds(facts)),
        ("Then", then(facts.prediction, see_text)),
        ("Instead", instead(facts)),
        *([("Plan", plan)] if plan else []),
    ]
    return told + [
        ("Mind", text) for code, text in facts.warnings if code not in ("written", "cancel_useless")
    ]
