"""What a message says: gathered when it is decided, written out when it is sent."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.template.loader import render_to_string
from django.urls import NoReverseMatch, reverse
from django.utils import timezone

from lockmon import errors
from lockmon.calls.alerts import AlertInput
from lockmon.calls.base import Cursor
from lockmon.calls.catalog import WaitNode, waits_for_and_plan
from lockmon.views import words

from .lifecycle import Observation

ROOTS, VICTIMS, QUERY, STEPS = 3, 8, 500, 2
"""How much of a block a message shows: root blockers, their waiters, characters of a query."""


@dataclass(frozen=True)
class Message:
    """A message ready to be handed over."""

    subject: str
    text: str
    html: str


def base_url() -> str:
    """Return the address of the pages for links, without a slash at the end; empty where none is
    configured."""
    configured = getattr(settings, "LOCKMON_BASE_URL", "") or os.environ.get("LOCKMON_BASE_URL", "")
    if not configured and settings.CSRF_TRUSTED_ORIGINS:
        configured = settings.CSRF_TRUSTED_ORIGINS[0]
    return str(configured).rstrip("/")


def _link(name: str, *args: str, **query: Any) -> str | None:
    """Return the full address of an admin page; None where there is no such page or no address of the
    site."""
    root = base_url()
    try:
        path = reverse(f"admin:{name}", args=args)
    except NoReverseMatch:
        return None
    return f"{root}{path}{'?' + urlencode(query) if query else ''}" if root else None


def _who(node: WaitNode) -> str:
    if node.pid == 0:
        return f"prepared transaction '{words.one_line(node.prepared_gid, 60)}'"
    return f"{words.printable_name(node.application_name, 'no application name')} (pid {node.pid})"


def _session(node: WaitNode, now: datetime) -> dict[str, Any]:
    since = node.wait_start if node.is_waiting else node.state_change
    return {
        "who": _who(node),
        "pid": node.pid,
        "user": words.printable_name(node.user_name, "unknown"),
        "doing": words.article(node.kind)
        if node.kind and node.kind != "waiting"
        else (node.state or "unknown"),
        "for": words.duration(words.seconds_between(since, now)),
        "object": words.one_line(node.object_name, 120) if node.object_name else None,
        "query": words.visible(node.query, QUERY) if node.query else None,
    }


def situation(cursor: Cursor, now: datetime) -> dict[str, Any]:
    """Return who blocks whom now: root blockers, their victims, what to do. Empty where nobody waits."""
    nodes, plan = waits_for_and_plan(cursor)
    roots = [node for node in nodes if node.is_root]
    roots.sort(key=lambda node: (node.blocked_total, node.blocked_seconds or 0), reverse=True)
    waiting = [node for node in nodes if node.is_waiting]
    told = []
    for root in roots[:ROOTS]:
        behind = [node for node in waiting if node.roots and root.node in node.roots]
        behind.sort(key=lambda node: node.wait_start or now)
        seconds = words.seconds_between(root.blocking_since, now)
        told.append(
            _session(root, now)
            | {
                "node": root.node,
                "backend_start": root.backend_start.isoformat() if root.backend_start else None,
                "severity": root.severity,
                "blocked": root.blocked_total,
                "blocking_for": words.duration(seconds),
                "lost": words.duration(root.blocked_seconds),
                "action": root.recommended_action,
                "victims": [_session(node, now) for node in behind[:VICTIMS]],
                "more_victims": max(0, len(behind) - VICTIMS),
            }
        )
    if not nodes:
        return {}
    return {
        "roots": told,
        "more_roots": max(0, len(roots) - ROOTS),
        "waiting": len(waiting),
        "plan": [words.visible(row.text, QUERY) for row in plan if row.step is not None][:STEPS],
        "queued_ddl": any(node.kind == "queued_ddl" and node.blocked_total for node in nodes),
    }


def number(value: Decimal | None) -> str:
    """Return a value as people write it: no trailing zeros, separators; "no value" for None."""
    if value is None:
        return "no value"
    if abs(value) >= Decimal("1e15"):
        return f"{value:.6g}"
    return f"{value:,.4f}".rstrip("0").rstrip(".")


def rule_in_words(warning: Decimal | None, critical: Decimal | None) -> str:
    """Return what the thresholds mean: "warning above 0, critical from 1 up"."""
    lower = warning is not None and critical is not None and critical < warning
    parts = []
    if warning is not None:
        parts.append(f"warning {'below' if lower else 'above'} {number(warning)}")
    if critical is not None:
        parts.append(f"critical from {number(critical)} {'down' if lower else 'up'}")
    return ", ".join(parts) or "no threshold"


def context_of(
    alert: AlertInput,
    kind: str,
    level: str,
    seen: Observation,
    since: datetime,
    now: datetime,
    event_key: str | None,
) -> dict[str, Any]:
    """Return what a message about this alert says, as JSON can keep it; the situation is added by the
    caller."""
    return {
        "name": alert.name,
        "kind": kind,
        "level": level,
        "severity": alert.severity,
        "description": alert.description,
        "value": number(seen.value),
        "sentence": seen.sentence,
        "rule": rule_in_words(alert.warning, alert.critical),
        "since": since.isoformat(),
        "at": now.isoformat(),
        "lasted": words.duration(words.seconds_between(since, now)),
        "event_key": event_key,
    }


def for_recipient(context: dict[str, Any], literals: bool) -> dict[str, Any]:
    """Return the context with the literals of queries hidden, unless this recipient may see them."""
    if literals or not context.get("roots"):
        return context

    def hidden(session: dict[str, Any]) -> dict[str, Any]:
        shown = session | {"query": words.hide_literals(session.get("query"))}
        if "victims" in shown:
            shown["victims"] = [hidden(one) for one in shown["victims"]]
        return shown

    return context | {"roots": [hidden(root) for root in context["roots"]]}


_SUBJECTS = {
    "raised": "{LEVEL}: {name} ({value})",
    "worse": "Now {LEVEL}: {name} ({value})",
    "reminder": "Still {LEVEL}: {name} ({value})",
    "escalated": "ESCALATED: {name} ({value}), nobody has acknowledged it",
    "resolved": "Over: {name}, it lasted {lasted}",
    "test": "Test: {name}",
    "channel": "A recipient of alerts does not work",
    "digest": "{held} more alert messages in one",
}


def _subject(kind: str, context: dict[str, Any], vault: str) -> str:
    shown = {
        key: "" if item is None else str(item)
        for key, item in context.items()
        if not isinstance(item, (list, dict))
    }
    shown |= {"LEVEL": {"error": "NOT EVALUATED"}.get(shown.get("level", ""), shown.get("level", "").upper())}
    line = _SUBJECTS[kind].format_map({**dict.fromkeys(("name", "value", "lasted", "held"), ""), **shown})
    return words.one_line(f"[{vault}] {line}", 180)


def write(kind: str, context: dict[str, Any], vault: str) -> Message:
    """Return subject, text and HTML. vault: the watched database, "one_vault on db1"."""
    at, since = (
        datetime.fromisoformat(context[key]) if context.get(key) else None for key in ("at", "since")
    )
    roots = [
        root
        | {
            "stop_url": _link("lockmon_stop", pid=root["pid"], backend_start=root["backend_start"])
            if root.get("pid") and root.get("backend_start")
            else None
        }
        for root in context.get("roots", [])
    ]
    safe = {key: words.visible(item) if isinstance(item, str) else item for key, item in context.items()}
    full = safe | {
        "kind": kind,
        "vault": vault,
        "at": timezone.localtime(at) if at else None,
        "since": timezone.localtime(since) if since else None,
        "roots": roots,
        "tree_url": _link("lockmon_time", at=context["at"]) if context.get("at") else None,
        "event_url": _link("lockmon_alert_event", context["event_key"]) if context.get("event_key") else None,
    }
    if kind == "channel" and context.get("sentence"):
        full["sentence"] = errors.problem(str(safe["sentence"]), may_see=False)
    subject = _subject(kind, context, vault)
    full["subject"] = subject
    return Message(
        subject,
        render_to_string("lockmon/mail/alert.txt", full),
        render_to_string("lockmon/mail/alert.html", full),
    )
