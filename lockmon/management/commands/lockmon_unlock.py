"""Show which logins are refused, and end that."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from lockmon import logins
from lockmon.views.words import one_line, some
from onevault import proxies


class Command(BaseCommand):
    """What is locked after failed logins, and its end."""

    help = "Say which logins are refused after failed ones; with an account or an address: take them again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "account", nargs="?", help="forget the failed logins of this account, from anywhere"
        )
        parser.add_argument(
            "--address", help="forget the failed logins from this address (with an account: its)"
        )
        parser.add_argument("--all", action="store_true", help="forget all failed logins")

    def handle(self, *args: Any, **options: Any) -> None:
        account, address, everything = options["account"], options["address"], options["all"]
        if everything and (account or address):
            raise CommandError("--all goes with nothing else.")
        if not everything and not account and not address:
            self._show()
            return
        if address and (address := proxies.counted_address(address)) is None:
            raise CommandError(
                f"{one_line(options['address'], 80)} is no address: say one such as 192.0.2.7 or 2001:db8::7."
            )
        number = logins.unlock(account, address)
        if not number:
            self.stdout.write("No failed login of that kind is counted: nothing was locked.")
            return
        self.stdout.write(f"{some(number, 'failed login')} forgotten: logins are taken again.")

    def _show(self) -> None:
        found = logins.locks()
        for lock in found:
            what = f"account {one_line(lock.account, 80)}" if lock.account else "every account"
            until = timezone.localtime(lock.until)
            number = some(lock.number, "failed login")
            self.stdout.write(f"{what} from {lock.address}: {number}, refused until {until:%H:%M:%S}")
        if not found:
            self.stdout.write("No login is refused.")
