"""What the commands over the vault share: which vault, which tenant, --json, sentences for errors, exit
codes."""

from __future__ import annotations

import dataclasses
import json
from argparse import ArgumentParser
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import psycopg
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from lockmon import errors
from lockmon.calls import vault as calls
from lockmon.calls.base import Cursor
from lockmon.monitor.connection import CannotWatchError, describe_failure
from lockmon.views.words import visible

EXIT_ERROR = 1
EXIT_SKIPPED = 2
EXIT_FOUND = 3
EXIT_CODES = (
    "Exit code: 0 done, 1 an error (one sentence says which), 2 skipped because another cycle was running, "
    "3 something was found that you asked to fail on."
)


class VaultCommand(BaseCommand):
    """A command on one vault. Subclasses implement ``work``; database errors become one sentence and exit
    code 1."""

    # a mistake in the pages must not keep anybody from watching
    requires_system_checks: tuple[str, ...] = ("lockmon",)
    takes_tenant = False

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the options that all of these commands have."""
        parser.epilog = EXIT_CODES
        parser.add_argument("--vault", default="vault", help="database alias of the vault (default: vault)")
        parser.add_argument("--json", action="store_true", help="print JSON instead of text")
        if self.takes_tenant:
            parser.add_argument(
                "--tenant", help="business key of a tenant, or its key as \\x...; default: all"
            )

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the command; the outcome's code is the process's exit code."""
        alias = options["vault"]
        if alias not in settings.VAULT_ALIASES:
            raise CommandError(
                f"There is no vault '{alias}'; there is: {', '.join(settings.VAULT_ALIASES)}.",
                returncode=EXIT_ERROR,
            )
        try:
            code = self.work(alias, **options)
        except CannotWatchError as error:
            raise CommandError(str(error), returncode=EXIT_ERROR) from error
        except (DatabaseError, psycopg.Error) as error:
            raise CommandError(database_sentence(error), returncode=EXIT_ERROR) from error
        if code:
            raise SystemExit(code)

    def work(self, alias: str, **options: Any) -> int:
        """Do it and return the exit code."""
        raise NotImplementedError

    def emit(self, options: dict[str, Any], rows: Sequence[Any], lines: Sequence[str]) -> None:
        """Print the rows as JSON, or the lines."""
        if options["json"]:
            self.stdout.write(json.dumps([dataclasses.asdict(row) for row in rows], default=plain, indent=2))
        else:
            for line in lines:
                # names and statements are strangers' texts: none of them may steer the terminal
                self.stdout.write(visible(line))


def plain(value: object) -> object:
    """Return what JSON can hold: times as ISO 8601, numbers as numbers, anything else as text."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, bytes | memoryview):
        return "\\x" + bytes(value).hex()
    return str(value)


def database_sentence(error: BaseException, see_text: bool = True) -> str:
    """Return a database's error as one sentence, or why it cannot be reached.

    see_text: for somebody who may see query texts, as whoever types a command may; see lockmon.errors.
    """
    cause = error if isinstance(error, psycopg.Error) else error.__cause__
    if isinstance(cause, psycopg.Error):
        said = errors.for_person(cause, see_text) if cause.diag.message_primary else ""
        text = said or describe_failure(cause)
        hint = cause.diag.message_hint if see_text else None
        text = text.rstrip(".") + "."
        if cause.sqlstate == "42501":
            text += " This login lacks the right; manage.py lockmon_deploy --login grants it."
        elif cause.sqlstate in ("3F000", "42883", "42P01"):
            text += " The vault is not installed here, or not completely: run manage.py lockmon_deploy."
        elif hint:
            text += f" {hint.rstrip('.')}."
        return text[0].upper() + text[1:]
    return describe_failure(error).rstrip(".") + "."


def tenant_key(cursor: Cursor, name: str | None) -> bytes | None:
    """Return the key of a tenant named by business key or \\x...; CommandError where it is none or
    several."""
    if name is None:
        return None
    if name.startswith("\\x"):
        try:
            return bytes.fromhex(name[2:])
        except ValueError as error:
            raise CommandError(
                f"{name} is not a key: \\x must be followed by pairs of hex digits."
            ) from error
    keys = calls.tenant_keys(cursor, name)
    if not keys:
        raise CommandError(f"There is no tenant '{name}'.", returncode=EXIT_ERROR)
    if len(keys) > 1:
        listed = ", ".join("\\x" + key.hex() for key in keys)
        raise CommandError(f"Several tenants are called '{name}'; name one by its key: {listed}.")
    return keys[0]


def positive(value: int, name: str, least: int = 1) -> int:
    """Return the value; CommandError, in one sentence, where it is too small."""
    if value < least:
        raise CommandError(f"{name} must be at least {least}, not {value}. Nothing was changed.")
    return value
