"""The first person who can log in, for set-ups that nobody types into (deploy/compose.yaml)."""

from __future__ import annotations

import os
import secrets
from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.models import User
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, transaction

from lockmon import errors

VARIABLE = "LOCKMON_FIRST_PASSWORD"


class Command(BaseCommand):
    """Makes a superuser where there is nobody yet; else it changes nothing."""

    help = (
        "Make a first superuser where nobody can log in yet. The password is that of the variable "
        f"{VARIABLE}, or a new one, which is printed once."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the name."""
        parser.add_argument("--name", default="admin", help="who it is (default: admin)")

    def handle(self, *args: Any, **options: Any) -> None:
        """Make the user, or say that there is no need."""
        name = options["name"]
        given = os.environ.get(VARIABLE, "")
        password = given or secrets.token_urlsafe(16)
        user = User(username=name, is_staff=True, is_superuser=True)
        try:
            user.clean_fields(exclude=["password"])
            validate_password(password, user)
        except ValidationError as error:
            raise CommandError(f"Nobody was made: {' '.join(error.messages)}") from error
        user.set_password(password)
        try:
            with transaction.atomic():
                if User.objects.exists():
                    self.stdout.write("There are users already: nobody was made.")
                    return
                user.save(force_insert=True)
        except DatabaseError as error:
            raise CommandError(
                f"Nobody was made: {errors.told(error)} Is the web database there, and has "
                "'manage.py migrate' been run?"
            ) from error
        self.stdout.write(
            f"Made the first user '{name}'"
            + (f" with the password of {VARIABLE}." if given else f", password {password} (said only here).")
            + " It may do everything: log in, make users for people, and change the password."
        )
