"""What else a message says, by what its alert watches: a convoy's time left, the last deadlock, why
nothing is stored."""

from __future__ import annotations

from lockmon.calls import alerts as calls
from lockmon.calls.base import Cursor
from lockmon.views import words


def more(cursor: Cursor, alert: calls.AlertInput, queued_ddl: bool) -> str | None:
    """Return sentences for a message, None where there is nothing to add. Raises the database's errors.

    queued_ddl: whether some DDL waits now with sessions behind it.
    """
    said: list[str] = []
    if queued_ddl or "convoy_forecast" in alert.query:
        said += [_convoy(one) for one in calls.convoys(cursor)]
    if "deadlock" in alert.query:
        latest = calls.latest_deadlock(cursor)
        if latest is not None:
            said.append(_deadlock(latest))
    if "skipping_since" in alert.query:
        why = calls.why_not_storing(cursor)
        if why:
            said.append(f"It cannot store because {words.one_line(why, 300)}")
    return " ".join(said) or None


def _convoy(one: calls.Convoy) -> str:
    queue = words.some(one.blocked_total, "session")
    object_name = words.one_line(one.object_name, 120) if one.object_name else "its table"
    who = f"DDL of {words.printable_name(one.application_name, 'no application name')} (pid {one.pid})"
    left = (
        f"At the queue's present growth no connection is left in {words.duration(one.seconds_left)}"
        if one.seconds_left is not None
        else "Nobody has joined the queue for 30 s"
    )
    return (
        f"{queue} queue behind the {who}, which itself waits for {object_name}. "
        f"{left} ({one.free_connections:,} are free). Cancel the DDL, not those that wait behind it."
    )


def _deadlock(one: calls.LatestDeadlock) -> str:
    when = f"{one.deadlock_timestamp:%Y-%m-%d %H:%M:%S %Z}".strip()
    pids = ", ".join(map(str, one.involved_pids or ())) or "unknown"
    victim = f", victim {one.deadlock_victim_pid}" if one.deadlock_victim_pid else ""
    tables = f" on {words.one_line(', '.join(one.affected_tables), 120)}" if one.affected_tables else ""
    advice = f" {words.one_line(one.prevention_suggestion, 300)}" if one.prevention_suggestion else ""
    return f"The last deadlock was at {when}: pids {pids}{victim}{tables}.{advice}"
