"""Take deadlocks, lock waits and timeouts out of a log file that this machine can read."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from lockmon import vault
from lockmon.management.vault_command import EXIT_ERROR, VaultCommand
from lockmon.monitor.logs import LogFileError, read_file, remarks


class Command(VaultCommand):
    """lock_log.ingest() over a file, from where it was left."""

    help = (
        "Import a PostgreSQL log file (csvlog, jsonlog or stderr): deadlocks, lock waits, lock timeouts. "
        "What was taken before is not taken twice; a file that has grown is read on."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("file", metavar="FILE")
        parser.add_argument("--format", choices=("csvlog", "jsonlog", "stderr"), help="default: as it looks")
        parser.add_argument("--prefix", help="log_line_prefix of a stderr file (default: the vault server's)")
        parser.add_argument(
            "--time-zone",
            metavar="NAME",
            help="log_timezone of the file's server, for example Asia/Kolkata (default: the vault server's)",
        )

    def work(self, alias: str, **options: Any) -> int:
        try:
            read = read_file(
                Path(options["file"]),
                lambda: vault.admin_transaction(alias),
                options["format"],
                options["prefix"],
                options["time_zone"],
            )
        except LogFileError as error:
            raise CommandError(str(error), returncode=EXIT_ERROR) from error
        lines = [
            f"{read.records} new records about locks{read.of_them} in {read.read:,} bytes of"
            f" {read.log_format}"
            f"{f', read on from byte {read.start:,}' if read.start else ''}."
        ]
        if read.unreadable:
            lines.append(f"{read.unreadable} records could not be read: cut short, or of another form.")
        lines += remarks(read, "--prefix", "--time-zone NAME")
        self.emit(options, [read], lines)
        return 0
