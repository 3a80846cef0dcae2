"""What a tree says of one node: what it does, waits for, holds up, and what is peculiar about it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from django.utils import timezone
from django.utils.html import format_html

from . import words
from .nodes import Node, Wait
from .session_links import session_links

MOST_WAITS = 8
"""So many waits of one waiter are named; the others are counted."""


def doing(node: Node, now: datetime) -> str:
    """Return what a session does and since when; "" for a waiter that queues no DDL."""
    if node.prepared_gid is not None:
        return f"prepared {words.duration(words.seconds_between(node.prepared_at, now))} ago"
    if node.is_waiting:
        return "QUEUED DDL" if node.kind == "queued_ddl" else ""
    since = node.query_start if node.state == "active" else node.state_change
    return f"{words.article(node.kind)} {words.clock(words.seconds_between(since, now))}"


def waiting(node: Node, now: datetime) -> str:
    """Return what a waiter waits for and for how long; "" for anybody else."""
    if not node.is_waiting:
        return ""
    bound = "at most " if node.wait_start_is_bound else ""
    waited = words.clock(words.seconds_between(node.wait_start, now))
    target = words.visible(node.object_name, 200) or "an unknown object"
    if node.row and "row (" not in target:
        target = f"{target}: {node.row}"
    mode = f"{node.lock_mode} on " if node.lock_mode and node.lock_type == "relation" else ""
    return f"waits {bound}{waited} for {mode}{target}"


def behind(node: Node) -> str:
    """Return how many wait behind a session and what they lost; "" where nobody does."""
    if not node.blocked_total:
        return ""
    lost = f", {words.duration(node.blocked_seconds)} of waiting" if node.blocked_seconds else ""
    return f"{node.blocked_total:,} behind it{lost}"


def facts(node: Node, depth: int) -> str:
    """What is known of a blocker, on one line; "" for mere waiters."""
    if depth and not node.blocked_total:
        return ""
    found = []
    if node.client:
        found.append(f"from {node.client}")
    if node.backend_start:
        found.append(f"connected {timezone.localtime(node.backend_start):%H:%M:%S}")
    if node.tenant_claim:
        found.append(f"tenant {words.one_line(node.tenant_claim, 60)} (as the session claims)")
    if node.database_name:
        found.append(f"database {words.one_line(node.database_name, 60)}")
    if node.locks_held:
        found.append(
            f"holds {words.some(node.locks_held, 'lock')}, {words.count(node.exclusive_locks_held)} exclusive"
        )
    if node.backend_xid is not None:
        # a lock on a row and a strong one on a relation take a transaction id, too
        found.append(f"may have written (transaction {node.backend_xid})")
    elif node.pid:
        found.append("has written nothing yet")
    return "; ".join(found) + ". " if found else ""


def each_wait(waits: Sequence[Wait]) -> list[str]:
    """Return the several waits of one waiter, "4711 for AccessShareLock on app.runs" each, and how many more
    there are."""
    more = len(waits) - MOST_WAITS
    return [*map(_one_wait, waits[:MOST_WAITS]), *([f"and {more} more"] if more > 0 else [])]


def _one_wait(one: Wait) -> str:
    mode = f"{one.lock_mode} on " if one.lock_mode and one.lock_type == "relation" else ""
    return f"{one.process} for {mode}{words.visible(one.object_name, 120) or 'an unknown object'}"


def objects(waits: Sequence[Wait]) -> str:
    """Return in one line what the processes of one waiter wait for, "2 waits: ..."; "" for one wait."""
    return f"{words.some(len(waits), 'wait')}: {'; '.join(each_wait(waits))}" if waits else ""


def notes(node: Node) -> Iterable[str]:
    """Yield what is peculiar about a session, a sentence each; pids in it are links."""
    if node.in_deadlock:
        yield "In a ring of waits: a deadlock. PostgreSQL will cancel one of them within deadlock_timeout."
    if node.waits:
        told = "; ".join(each_wait(node.waits))
        yield f"One waiter with {len(node.waits)} waits, its parallel processes: {told}."
    if node.soft_blockers:
        if node.kind == "queued_ddl" or node.lock_mode == "AccessExclusiveLock":
            yield (
                f"Stands in the queue behind "
                f"{words.some(len(node.soft_blockers), 'earlier request')}, not only behind a held lock."
            )
        else:
            yield format_html(
                "Held up by a request ahead of it in the queue ({}), not by a held lock alone.",
                session_links(list(node.soft_blockers)[:3]),
            )
    if node.kind == "queued_ddl" and node.blocked_total:
        yield (
            f"{words.some(node.blocked_total, 'session')} queue behind this DDL: cancelling it frees them"
            " unless they also wait for the lock in front of it."
        )
    if node.prepared_gid is not None:
        gid = words.visible(node.prepared_gid, 200).replace("'", "''")
        yield (
            f"No session to stop. Its owner or a superuser ends it: ROLLBACK "
            f"PREPARED '{gid}' or COMMIT PREPARED '{gid}'."
        )
    if node.kind == "autovacuum":
        yield "Autovacuum gives way by itself unless it prevents transaction wraparound."
