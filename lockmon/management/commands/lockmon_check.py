"""The doctor from a terminal."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from lockmon import doctor
from lockmon.management.vault_command import EXIT_ERROR, VaultCommand
from lockmon.views.words import some

MARKS = {doctor.OK: "ok", doctor.WARNING: "WARNING", doctor.FAILURE: "FAILURE"}


class Command(VaultCommand):
    """Examine server, settings, roles, objects, schedules, heartbeat and cost."""

    help = "Examine the whole installation; say what is wrong, what it means, and what mends it."
    # what system checks find is part of the result
    requires_system_checks: tuple[str, ...] = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.epilog = "Exit code: 0 no failure, 1 at least one failure (with --strict: or warning)."
        parser.add_argument("--strict", action="store_true", help="warnings count as failures")
        parser.add_argument("--quiet", action="store_true", help="leave out what is ok")

    def work(self, alias: str, **options: Any) -> int:
        found = doctor.examine(alias)
        shown = [line for line in found if not options["quiet"] or line.state != doctor.OK]
        lines = []
        for line in shown:
            lines.append(f"{MARKS[line.state]:<8} {line.section:<11} {line.name}: {line.meaning}")
            if line.remedy:
                lines.append(f"{'':<20} -> {line.remedy}")
        failures = sum(line.state == doctor.FAILURE for line in found)
        warnings = sum(line.state == doctor.WARNING for line in found)
        lines.append(f"{some(len(found), 'line')}: {some(failures, 'failure')}, {some(warnings, 'warning')}.")
        self.emit(options, shown, lines)
        return EXIT_ERROR if failures or (options["strict"] and warnings) else 0
