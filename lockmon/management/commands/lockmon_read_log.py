"""Take deadlocks, lock waits and timeouts out of a log file that this machine can read."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as ProgressBar

from lockmon import vault
from lockmon.calls.deadlocks import own_file
from lockmon.logfiles import LogFileError
from lockmon.logfiles.opening import KINDS
from lockmon.management.vault_command import EXIT_ERROR, VaultCommand
from lockmon.monitor.log_pieces import FileRead
from lockmon.monitor.logs import Progress, Ways, read_file, remarks
from lockmon.views.words import some, visible

WAYS = Ways("--prefix", "--time-zone NAME")


class Command(VaultCommand):
    """lock_log.ingest() over a file, from where it was left."""

    help = (
        "Import PostgreSQL log files: deadlocks, lock waits, lock timeouts. csvlog, jsonlog or stderr, plain,"
        " in gzip, syslog or the journal, or as containers and managed services give them. What was taken"
        " before is not taken twice; a file that has grown is read on."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("file", metavar="FILE", nargs="+")
        parser.add_argument("--format", choices=KINDS, help="default: as it looks")
        parser.add_argument("--prefix", help="log_line_prefix of a stderr file (default: the vault server's)")
        parser.add_argument(
            "--time-zone",
            metavar="NAME",
            help="log_timezone of the file's server, for example Asia/Kolkata (default: the vault server's)",
        )

        parser.add_argument(
            "--own-server",
            action="store_true",
            help="the files are the log of the vault's own server: its counters may prove what stderr claims",
        )

    def work(self, alias: str, **options: Any) -> int:
        done: list[FileRead] = []
        said: list[str] = []
        faults: list[str] = []
        several = len(options["file"]) > 1
        for name in options["file"]:
            try:
                with shown(name) as progress:
                    read = read_file(
                        Path(name),
                        lambda: vault.admin_transaction(alias),
                        options["format"],
                        options["prefix"],
                        options["time_zone"],
                        WAYS,
                        progress,
                    )
            except LogFileError as error:
                faults.append(str(error))
                continue
            done.append(read)
            lines = told(read)
            if options["own_server"]:
                with vault.admin_transaction(alias) as cursor:
                    waiting = own_file(cursor, str(Path(name).resolve()))
                lines += (
                    [f"{some(waiting, 'claimed deadlock')} may now be proven by the counters."]
                    if waiting
                    else []
                )
            said += [f"{name}: {line}" if several else line for line in lines]
        self.emit(options, done, said)
        if faults:
            raise CommandError(" ".join(faults), returncode=EXIT_ERROR)
        return 0


def told(read: FileRead) -> list[str]:
    """What reading a file came to, a sentence each."""
    lines = [
        f"{read.records} new records about locks{read.of_them} in {read.read:,} bytes of {read.form}"
        f"{f', read on from byte {read.start:,}' if read.start else ''}."
    ]
    if read.unreadable:
        lines.append(f"{read.unreadable} records could not be read: cut short, or of another form.")
    return lines + remarks(read, WAYS)


@contextmanager
def shown(name: str) -> Iterator[Progress | None]:
    """A bar on the terminal while a file is read; nothing where standard error is none."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with ProgressBar(*columns, console=console, transient=True) as bar:
        task = bar.add_task(escape(visible(Path(name).name)), total=None)
        yield lambda place, size: bar.update(task, completed=place, total=size)
