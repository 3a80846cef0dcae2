"""Stop one session through the door."""

from __future__ import annotations

import getpass
import sys
from argparse import ArgumentParser
from datetime import datetime
from typing import Any

from django.core.management.base import CommandError

from lockmon import actions, door_words
from lockmon.calls import door
from lockmon.management.vault_command import EXIT_ERROR, VaultCommand

EXIT_NOT_STOPPED = 3


class Command(VaultCommand):
    """lock_admin.request_action() and execute_action() from a terminal, as lock_admin_role."""

    help = (
        "Stop one session: shows what would happen, asks, checks it is still the same session, records why."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.epilog = "Exit code: 0 stopped or already gone, 1 an error, 3 refused or still there."
        parser.add_argument("pid", type=int, help="pid of the session")
        parser.add_argument("--reason", required=True, help="why; it goes on the record")
        parser.add_argument(
            "--cancel", action="store_true", help="cancel its statement instead of ending the session"
        )
        parser.add_argument(
            "--backend-start", help="when it connected, as ISO 8601: stop it only if that is so"
        )
        parser.add_argument("--even-if-harmless", action="store_true", help="also if it blocks nobody")
        parser.add_argument("--yes", action="store_true", help="do not ask")

    def work(self, alias: str, **options: Any) -> int:
        if not options["reason"].strip():
            raise CommandError("A reason is needed. Nothing was done.", returncode=EXIT_ERROR)
        facts = actions.look(options["pid"], alias)
        if facts is None:
            raise CommandError(f"There is no session with pid {options['pid']}.", returncode=EXIT_NOT_STOPPED)
        action = door.CANCEL if options["cancel"] else door.TERMINATE
        if not options["json"]:
            self.stdout.write(f"{action.capitalize()} pid {facts.pid}?")
            for word, text in door_words.lines(facts):
                self.stdout.write(f"  {word:<8} {text}")
        if not options["yes"]:
            self._ask(facts.pid)
        try:
            outcome = actions.stop(
                actions.Target(facts.pid, self._start(options, facts), facts.xact_start),
                action,
                options["reason"],
                acting_for=getpass.getuser(),
                origin="command",
                explicit=options["even_if_harmless"],
                alias=alias,
            )
        except actions.NoRightError as error:
            raise CommandError(str(error), returncode=EXIT_ERROR) from error
        self.emit(options, [outcome], [f"{outcome.message} Recorded as action {outcome.action_id}."])
        return 0 if outcome.outcome in ("terminated", "cancelled", "already gone") else EXIT_NOT_STOPPED

    def _ask(self, pid: int) -> None:
        if not sys.stdin.isatty():
            raise CommandError(
                "There is nobody to ask: say --yes if you are sure. Nothing was done.", returncode=EXIT_ERROR
            )
        if input(f"Type {pid} to confirm: ").strip() != str(pid):
            raise CommandError("Not confirmed. Nothing was done.", returncode=EXIT_ERROR)

    def _start(self, options: dict[str, Any], facts: door.SessionFacts) -> datetime:
        if not options["backend_start"]:
            return facts.backend_start
        try:
            wanted = datetime.fromisoformat(options["backend_start"])
        except ValueError as error:
            raise CommandError(
                "--backend-start is a time such as 2026-11-22T14:03:22.123456+00:00.", returncode=EXIT_ERROR
            ) from error
        return wanted.astimezone() if wanted.tzinfo is None else wanted
