"""Stop what has blocked others for too long, by the rules of auto_resolve_blocking."""

from __future__ import annotations

import getpass
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from lockmon import actions, vault
from lockmon.calls import door
from lockmon.management.vault_command import EXIT_ERROR, VaultCommand, positive, tenant_key


class Command(VaultCommand):
    """The plan of lock_monitoring.auto_resolve_blocking() from a terminal, each stop committed by itself."""

    help = "Say which root blockers would be stopped and why the others are spared; --execute stops them."
    takes_tenant = True

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.epilog = "Exit code: 0 done, 1 an error, 3 somebody who was to be stopped was not."
        parser.add_argument(
            "--seconds", type=int, default=600, help="least time that others have waited (default: 600)"
        )
        parser.add_argument("--execute", action="store_true", help="do it; without this it is a dry run")
        parser.add_argument("--reason", default="", help="why; needed with --execute")

    def work(self, alias: str, **options: Any) -> int:
        seconds = positive(options["seconds"], "--seconds", least=0)
        with vault.cursor(alias) as cursor:
            tenant = tenant_key(cursor, options["tenant"])
        if not options["execute"]:
            planned = actions.plan(tenant, seconds, alias)
            lines = [self._line(one) for one in planned]
            self.emit(
                options,
                planned,
                [*lines, "Dry run: nothing was done."] if lines else ["Nobody blocks anybody."],
            )
            return 0
        if not options["reason"].strip():
            raise CommandError("--execute needs a --reason. Nothing was done.", returncode=EXIT_ERROR)
        done = actions.resolve(tenant, seconds, options["reason"], acting_for=getpass.getuser(), alias=alias)
        lines = [self._line(one, outcome) for one, outcome in done]
        self.emit(options, [outcome or one for one, outcome in done], lines or ["Nobody blocks anybody."])
        good = ("terminated", "cancelled", "already gone")
        return 3 if any(outcome and outcome.outcome not in good for _, outcome in done) else 0

    def _line(self, one: door.Planned, outcome: door.Outcome | None = None) -> str:
        name = f"{one.pid:>7}  {one.application_name or '-'} as {one.user_name or '-'}"
        if outcome is not None:
            return f"{name}: {outcome.message}"
        return f"{name}: {'would ' + (one.action or '') if one.eligible else 'spared'}: {one.why}"
