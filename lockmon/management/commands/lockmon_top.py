"""The live tree in a terminal."""

from __future__ import annotations

import io
import shutil
import sys
from argparse import ArgumentParser
from typing import Any

from rich.console import Console

from lockmon.management.vault_command import VaultCommand
from lockmon.top import app
from lockmon.top.render import HELP


class Command(VaultCommand):
    """Who blocks whom now, refreshing by itself; one can inspect a session and stop it through the door."""

    help = "Show the live tree of who blocks whom in a terminal. " + HELP + "."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--once", action="store_true", help="print the tree of this moment and end")
        parser.add_argument("--seconds", type=float, default=1.0, help="between two looks (default: 1)")

    def work(self, alias: str, **options: Any) -> int:
        if options["json"]:
            self.emit(options, app.take(alias).nodes, [])
        elif options["once"] or not (sys.stdin.isatty() and sys.stdout.isatty()):
            text = io.StringIO()
            colour = sys.stdout.isatty()
            app.print_once(alias, Console(file=text, force_terminal=colour, width=width()))
            self.stdout.write(text.getvalue(), ending="")
        else:
            app.Top(alias, Console(), max(0.2, options["seconds"])).run()
        return 0


def width() -> int:
    """Return the terminal's width, or a wide one where the output goes to a file."""
    return shutil.get_terminal_size((160, 24)).columns
