"""Make or withdraw a token of the JSON API."""

from __future__ import annotations

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from lockmon.models.api_token import ApiToken


class Command(BaseCommand):
    """A token sees what its person may see."""

    help = "Make a token of the JSON API for a person, shown once; or withdraw it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("user", help="the person's name")
        parser.add_argument("name", help="what uses the token")
        parser.add_argument("--days", type=int, help="it expires after so many days (default: never)")
        parser.add_argument("--withdraw", action="store_true", help="delete the token of this name instead")

    def handle(self, *args: Any, **options: Any) -> None:
        people = get_user_model()
        try:
            user = people.objects.get_by_natural_key(options["user"])
        except people.DoesNotExist as error:
            raise CommandError(f"There is nobody called '{options['user']}'.") from error
        tokens = ApiToken.objects.filter(user=user, name=options["name"])
        if options["withdraw"]:
            number, _ = tokens.delete()
            if not number:
                raise CommandError(f"{options['user']} has no token '{options['name']}'.")
            self.stdout.write("Withdrawn.")
            return
        if tokens.exists():
            raise CommandError(
                f"{options['user']} has a token '{options['name']}' already; withdraw it first."
            )
        days = options["days"]
        if days is not None and days < 1:
            raise CommandError("--days must be at least 1.")
        expires = None if days is None else timezone.now() + timedelta(days=days)
        _, token = ApiToken.make(user=user, name=options["name"], expires_at=expires)
        self.stdout.write(token)
