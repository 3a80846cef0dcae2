"""The door's questions in a terminal: what would happen, how, why, and the pid once more."""

from __future__ import annotations

import getpass
from collections.abc import Callable

from lockmon import actions
from lockmon.calls.catalog import WaitNode
from lockmon.calls.door import Prediction, SessionFacts
from lockmon.door_words import holds
from lockmon.views.words import duration, one_line, some

Ask = Callable[[str], str]
Say = Callable[[str], None]

TIMES = {"c": "cancel", "t": "terminate"}


def stop_session(node: WaitNode, alias: str, ask: Ask, say: Say) -> str:
    """Lead through the door's questions for one session; returns what came of it, in a sentence.

    Raises DatabaseError where the vault cannot be reached.
    """
    if not node.pid:
        return f"A prepared transaction cannot be stopped here: ROLLBACK PREPARED '{node.prepared_gid}'."
    facts = actions.look(node.pid, alias)
    if facts is None or facts.backend_start != node.backend_start:
        return (
            f"Not stopped: pid {node.pid} is gone, or belongs to another session now. Nothing was signalled."
        )
    for line in describe(facts):
        say(line)
    if facts.refusal:
        return facts.refusal
    kind = TIMES.get(
        ask("Cancel the statement or terminate the session? [c/t, Enter: neither] ").strip().lower()
    )
    if kind is None:
        return "Nothing was done."
    reason = ask("Reason: ").strip()
    if not reason:
        return "Not stopped: a reason is needed. Nothing was signalled."
    if ask(f"Type the pid to {kind} it: ").strip() != str(facts.pid):
        return "Not stopped: that was not its pid. Nothing was signalled."
    target = actions.Target(facts.pid, facts.backend_start, facts.xact_start)
    try:
        outcome = actions.stop(
            target, kind, reason, acting_for=getpass.getuser(), origin="command", alias=alias
        )
    except actions.NoRightError as error:
        return str(error)
    return outcome.message


def describe(facts: SessionFacts) -> list[str]:
    """Return what the confirmation page says, as lines."""
    since = (facts.at - facts.state_change).total_seconds() if facts.state_change else None
    lines = [
        f"Stop pid {facts.pid}?",
        f"Who      {one_line(facts.application_name, 60)}, user {facts.user_name}, "
        f"from {facts.client_addr or 'this host'}",
        f"Doing    {facts.state} since {duration(since)}: {one_line(facts.query, 160)}",
        f"Holds    {holds(facts)}",
        f"Then     {then(facts.prediction)}",
    ]
    return [*lines, *(f"Mind     {text}" for _, text in facts.warnings)]


def then(prediction: Prediction) -> str:
    """Return who would be freed, and who would hold up whom next."""
    if not prediction.blocks:
        return "it blocks nobody: nobody would be freed"
    text = f"{some(prediction.freed_count, 'session')} would be freed"
    for after in prediction.next_blockers[:3]:
        who = one_line(after.application_name or after.user_name, 40)
        text += f"; next in line is {after.pid} ({who}), behind which {after.behind} will wait"
    return text
