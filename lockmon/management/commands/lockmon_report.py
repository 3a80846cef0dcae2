"""The weekly review from a terminal."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from lockmon.management.vault_command import VaultCommand
from lockmon.report import figures, render


class Command(VaultCommand):
    """What blocked, how long, who suffered, and what follows from it."""

    help = "Print the report of the last day, week or month, or write it to a file."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--period", choices=list(figures.PERIODS), default="week")
        parser.add_argument("--format", choices=list(render.FORMATS), default="markdown")
        parser.add_argument("--output", type=Path, help="file to write instead of printing")

    def work(self, alias: str, **options: Any) -> int:
        form = "json" if options["json"] else options["format"]
        text = render.FORMATS[form](figures.gather(alias, options["period"]))
        if options["output"] is None:
            self.stdout.write(text)
            return 0
        try:
            options["output"].write_text(text, encoding="utf-8")
        except OSError as error:
            raise CommandError(f"{options['output']} cannot be written: {error.strerror}.") from error
        self.stdout.write(f"Written to {options['output']}.")
        return 0
