"""Alert events from a terminal: list, acknowledge, snooze, resolve."""

from __future__ import annotations

import getpass
import re
from argparse import ArgumentParser
from datetime import UTC, datetime, timedelta
from typing import Any

from django.core.management.base import CommandError

from lockmon import vault, watched
from lockmon.alerts.messages import number
from lockmon.calls import alerts as calls
from lockmon.management.vault_command import EXIT_FOUND, VaultCommand
from lockmon.views.words import duration, seconds_between
from lockmon.watched_words import part

_SPAN = re.compile(r"^(\d{1,5})(m|h|d)$")
_MINUTES = {"m": 1, "h": 60, "d": 1440}
KEY = 12
"""Characters of an event's key that the list shows; any beginning that is unique will do."""


class Command(VaultCommand):
    """List alert events, or act on one of them."""

    help = "List alert events, or acknowledge, snooze or resolve one."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "action", nargs="?", default="list", choices=["list", "acknowledge", "snooze", "resolve"]
        )
        parser.add_argument("event", nargs="?", help="beginning of the event's key, as the list shows it")
        parser.add_argument("--note", default="", help="what you know or do about it")
        parser.add_argument("--for", dest="span", default="1h", help="snooze for 30m, 4h, 2d (default: 1h)")
        parser.add_argument("--by", default="", help="who does it (default: your login on this machine)")
        parser.add_argument("--all", action="store_true", help="list events that are over, too")
        parser.add_argument(
            "--fail-on-open", action="store_true", help="exit with 3 if an event is unresolved"
        )

    def work(self, alias: str, **options: Any) -> int:
        if options["action"] == "list":
            return self._list(alias, options)
        return self._act(alias, options)

    def _list(self, alias: str, options: dict[str, Any]) -> int:
        with vault.cursor(alias) as cursor:
            events = calls.alert_events(cursor, not options["all"])
            now = datetime.now(UTC)
            seen = watched.read(cursor, min((one.started_at for one in events), default=now), now)
        lines = [
            f"{one.event_key[:KEY]}  {one.event_state:<12}  {one.alert_name}: value {number(one.value)}, "
            + (
                f"lasted {duration(seconds_between(one.started_at, one.resolved_at))}"
                if one.resolved_at
                else f"for {duration(seconds_between(one.started_at, now))}"
            )
            + part(seen, one.started_at, one.resolved_at or now)
            + (f", acknowledged by {one.acknowledged_by}" if one.acknowledged_by else "")
            + (f". {one.sentence}" if one.sentence else "")
            for one in events
        ]
        nothing = "There has been no alert event." if options["all"] else "No alert event is unresolved."
        self.emit(options, events, lines or [nothing])
        return EXIT_FOUND if options["fail_on_open"] and any(not one.resolved_at for one in events) else 0

    def _act(self, alias: str, options: dict[str, Any]) -> int:
        until = datetime.now(UTC) + _span(options["span"]) if options["action"] == "snooze" else None
        by = options["by"].strip() or getpass.getuser()
        with vault.cursor(alias) as cursor:
            found = self._find(
                calls.find_alert_events(cursor, _beginning(options["event"])), options["event"]
            )
        with vault.admin_transaction(alias) as cursor:
            key = bytes.fromhex(found.event_key)
            outcome = calls.act_on_alert_event(
                cursor, key, options["action"], by, options["note"].strip() or None, until
            )
            calls.mirror_alert_events(cursor)
        if not outcome.done:
            raise CommandError(outcome.sentence)
        self.emit(options, [outcome], [f"{found.alert_name}: {outcome.sentence}"])
        return 0

    @staticmethod
    def _find(found: list[calls.EventLine], beginning: str) -> calls.EventLine:
        unresolved = [one for one in found if one.resolved_at is None]
        if len(found) > 1 and len(unresolved) == 1:
            found = unresolved
        if not found:
            raise CommandError(f"There is no alert event whose key begins with {beginning}.")
        if len(found) > 1:
            raise CommandError(f"Several events' keys begin with {beginning}: give more of it.")
        return found[0]


def _beginning(text: str | None) -> str:
    """Return the beginning of a key; CommandError, in one sentence, where it is none."""
    if not text:
        raise CommandError("Say which event: the beginning of its key, as manage.py lockmon_alerts shows it.")
    if not re.fullmatch(r"[0-9a-fA-F]{4,64}", text):
        raise CommandError(f"{text!r} is not the beginning of a key: 4 to 64 hexadecimal digits.")
    return text.lower()


def _span(text: str) -> timedelta:
    """Return a time span written as 30m, 4h or 2d; CommandError where it is none or over 30 days."""
    match = _SPAN.match(text)
    span = timedelta(minutes=int(match[1]) * _MINUTES[match[2]]) if match else timedelta(0)
    if not timedelta(0) < span <= timedelta(days=30):
        raise CommandError(f"{text!r} is no time to snooze for: write 30m, 4h or 2d, at most 30d.")
    return span
