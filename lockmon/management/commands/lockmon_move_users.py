"""Move users, groups, tokens and schedules to a web database of their own; or go back."""

from __future__ import annotations

import contextlib
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from lockmon.views.words import some
from onevault import databases, web_choice, web_place

RESTART = "Restart what runs (web, task queue, loop): until then it works at the old place."


class Command(BaseCommand):
    """From where the file in ONEVAULT_LOCAL says to DATABASE_URL, or where that is not set from beside the
    vault to a file of this host."""

    help = (
        "Move people, groups, permissions, API tokens and schedules out of the watched database: to a file "
        "of this host, or to DATABASE_URL if that is set. All or nothing; the old place is left as it is."
    )
    requires_system_checks: tuple[str, ...] = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--back",
            action="store_true",
            help="work beside the vault again, with the people as they are there; the file is left as it is",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Move or go back; CommandError with one sentence, and then nothing has changed."""
        if settings.EMBEDDED:
            raise CommandError("VAULT_DATABASE_URL is not set: users of the embedded PostgreSQL stay there.")
        local = Path(settings.LOCAL_DIR)
        try:
            self._back(local) if options["back"] else self._move(local)
        except (web_place.PlaceError, web_choice.UnansweredError) as error:
            raise CommandError(str(error)) from error

    def _move(self, local: Path) -> None:
        from lockmon.management import moving

        by_url = settings.WEB_PLACE == web_place.URL
        said = web_place.read(local) or web_place.VAULT
        if not by_url and said != web_place.VAULT:
            raise CommandError(
                f"The users are in a place of their own already ({said}): set {web_place.SET_URL} to move "
                "them to a server, --back goes back beside the vault."
            )
        if by_url:
            with moving.places(databases.own(said, local), None):
                moving.require_current()
                counts, waiting = moving.move(), moving.waiting_tasks()
        else:
            with web_place.alone(web_place.private_folder(local), wait=False), self._new_file(local) as new:
                with moving.places(databases.own(said, local), new):
                    moving.require_current()
                    counts, waiting = moving.move(), moving.waiting_tasks()
                made = Path(str(new["NAME"]))
                web_place.settle(made)
                # killed between these, all goes on at the old place
                web_place.change(local, web_place.VAULT)
                moved = made.rename(web_place.sqlite_file(local))
                try:
                    web_place.change(local, web_place.SQLITE)
                except web_place.PlaceError:
                    moved.unlink()
                    raise
        self.stdout.write(f"{'':<26}{'there':>7}{'here':>7}")
        for count in counts:
            self.stdout.write(f"{count.what:<26}{count.before:>7}{count.after:>7}")
        where = "DATABASE_URL" if by_url else str(web_place.sqlite_file(local))
        self.stdout.write(
            f"Moved to {where}; nothing was deleted at the old place. Sessions were not moved: everybody "
            f"logs in once more. {some(waiting, 'waiting task')} stayed. {RESTART}"
        )

    @staticmethod
    @contextlib.contextmanager
    def _new_file(local: Path) -> Iterator[databases.Database]:
        """An empty database under another name, so that a half-filled one is never taken for a whole."""
        file = web_place.sqlite_file(local)
        if file.exists():
            raise CommandError(f"{file} is there already: move it away first; nothing was moved.")
        new = file.with_name(f"moving.{file.name}")

        def remove() -> None:
            for left in local.glob(f"{new.name}*"):
                left.unlink()

        remove()
        try:
            web_place.make_sqlite(new)
            yield databases.own(web_place.SQLITE, local) | {"NAME": str(new)}
        finally:
            remove()

    def _back(self, local: Path) -> None:
        if settings.WEB_PLACE == web_place.URL:
            raise CommandError("DATABASE_URL says where the users are: unset it to go back, and restart.")
        if settings.WEB_PLACE == web_place.VAULT:
            raise CommandError("The users are beside the vault: there is nothing to go back to.")
        if not web_choice.tables_beside_vault():
            raise CommandError("Beside the vault are no users: there is nothing to go back to.")
        with web_place.alone(local, wait=False):
            web_place.change(local, web_place.VAULT)
        self.stdout.write(
            "Users are beside the vault again, as they were when they were moved; what has changed since is "
            f"in {web_place.sqlite_file(local)}, which stays. Run manage.py migrate. {RESTART}"
        )
