"""Install the database side over a DBA's connection, and show whether all of it is there."""

from __future__ import annotations

import dataclasses
import getpass
import json
import os
import sys
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import psycopg
from django.core.management.base import BaseCommand, CommandError
from psycopg import sql

from lockmon import install
from onevault.databases import WEB_SCHEMA

DSN_VARIABLE = "LOCKMON_DEPLOY_DSN"
PASSWORD_VARIABLE = "LOCKMON_LOGIN_PASSWORD"  # noqa: S105 - a variable's name
HEADINGS = ("what", "name", "state", "how to fix")


class Command(BaseCommand):
    """``manage.py lockmon_deploy --dsn postgresql://dba@host/one_vault [--login NAME]``"""

    help = (
        "Install the monitor's schemas, tables, functions and roles into a database, or bring them up to "
        "date. Run again, it changes nothing. It ends with a table of everything that should be there."
    )
    # The vault that the checks would look at is what this command brings.
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the options."""
        parser.add_argument(
            "--dsn",
            default=os.environ.get(DSN_VARIABLE),
            help=f"the DBA's connection (URL or libpq words); default: ${DSN_VARIABLE}",
        )
        parser.add_argument(
            "--login",
            metavar="NAME",
            help="let this login work for the monitor; it is made if there is none, with the password of "
            f"${PASSWORD_VARIABLE} or one that is asked for",
        )
        parser.add_argument(
            "--reading-only", action="store_true", help="with --login: it may not take lock_admin_role"
        )
        parser.add_argument(
            "--tenants-only",
            action="store_true",
            help="with --login: it may have tenants looked up and nothing else; for VAULT_SITE_DATABASE_URL",
        )
        parser.add_argument(
            "--web-schema",
            action="store_true",
            help=f"with --login: also make the schema {WEB_SCHEMA} for Django's tables, for a site without "
            "a database of its own for them",
        )
        parser.add_argument(
            "--again", action="store_true", help="run the files even where nothing seems to be missing"
        )
        parser.add_argument(
            "--system-tenant",
            metavar="NAME",
            help="business key, or key as \\x and digits, of the tenant in auth.tenant_h that sessions of "
            "nobody's belong to; default: the site's own, else one that is added",
        )
        parser.add_argument("--verify", action="store_true", help="install nothing, only look")
        parser.add_argument("--all", action="store_true", help="list internal objects one by one, too")
        parser.add_argument("--json", action="store_true", help="print the table as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        """Install, let the login in, verify; exit code 1 where something is missing."""
        if not options["dsn"]:
            raise CommandError(f"Say which database: --dsn postgresql://dba@host/name, or ${DSN_VARIABLE}.")
        try:
            with install.connect(options["dsn"]) as connection:
                if not options["verify"]:
                    self._install(connection, options)
                checks = install.verify(connection)
        except install.InstallError as error:
            raise CommandError(str(error)) from error
        except psycopg.Error as error:
            raise CommandError(f"The database refused: {str(error).splitlines()[0]}.") from error
        if options["json"]:
            self.stdout.write(json.dumps([dataclasses.asdict(check) for check in checks], indent=2))
        else:
            for line in table(checks, everything=options["all"]):
                self.stdout.write(line)
        failed = sum(not check.passed for check in checks)
        if failed:
            raise CommandError(f"{failed} of {len(checks)} checks failed; the table says how to fix them.")

    def _install(self, connection: install.Connection, options: dict[str, Any]) -> None:
        def tell(line: str) -> None:
            if not options["json"]:
                self.stdout.write(line)

        done = install.install_on(
            connection, tell, again=options["again"], system_tenant=options["system_tenant"]
        )
        tell(
            f"{'Installed' if done.changed else 'Nothing had to be changed'} in {done.database} "
            f"(PostgreSQL {done.server}), {done.seconds:.1f} s."
        )
        if options["login"]:
            password = self._password(connection, options["login"])
            admin, tenants = not options["reading_only"], options["tenants_only"]
            grant = install.grant_login(
                connection, options["login"], password, admin=admin, tenants_only=tenants
            )
            what = (
                "it has tenants looked up, and nothing else"
                if tenants
                else f"it reads as lock_monitoring_role{' and may take lock_admin_role' if admin else ''}"
            )
            tell(
                f"{grant.login} {'was made and ' if grant.created else ''}may work for the monitor in "
                f"{grant.database}: {what}."
            )
            if options["web_schema"]:
                self._make_web_schema(connection, grant.login)
                tell(f"The schema {WEB_SCHEMA} is there for Django's tables.")
        tell("")

    @staticmethod
    def _make_web_schema(connection: install.Connection, login: str) -> None:
        row = connection.execute(
            "SELECT r.rolname, r.rolsuper FROM pg_catalog.pg_namespace AS n "
            "JOIN pg_catalog.pg_roles AS r ON r.oid = n.nspowner WHERE n.nspname = %s",
            [WEB_SCHEMA],
        ).fetchone()
        if row is not None and row[0] != login and not row[1]:
            raise CommandError(
                f"The schema {WEB_SCHEMA} belongs to {row[0]}, whose code would run in the pages' "
                f'statements: run ALTER SCHEMA {WEB_SCHEMA} OWNER TO "{login}"; and try again. '
                "The database side is installed."
            )
        if row is None:
            connection.execute(
                sql.SQL("CREATE SCHEMA {} AUTHORIZATION {}").format(
                    sql.Identifier(WEB_SCHEMA), sql.Identifier(login)
                )
            )

    def _password(self, connection: install.Connection, login: str) -> str | None:
        if password := os.environ.get(PASSWORD_VARIABLE):
            return password
        known = connection.execute("SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = %s", [login]).fetchone()
        if known is not None:
            return None
        if not sys.stdin.isatty():
            raise CommandError(
                f'There is no login "{login}" yet: put its password into ${PASSWORD_VARIABLE}. '
                "The database side is installed."
            )
        first = getpass.getpass(f"Password for the new login {login}: ")
        if not first or first != getpass.getpass("Once more: "):
            raise CommandError("The two passwords differ, or are empty. The database side is installed.")
        return first


def table(checks: Sequence[install.Check], *, everything: bool) -> Iterator[str]:
    """The verification table's lines; internal objects that are ok become a line per schema and kind."""
    rows: list[tuple[str, str, str, str]] = []
    grouped: Counter[tuple[str, str]] = Counter()
    for check in checks:
        schema = check.name.split(".")[0]
        internal = check.kind in ("table", "index", "function", "view") and schema != "lock_monitoring"
        if internal and check.state == "ok" and not everything:
            grouped[check.kind, schema] += 1
        else:
            rows.append((check.kind, check.name, check.state, check.how))
    rows += [(kind, f"{schema}: {count}", "ok", "") for (kind, schema), count in grouped.items()]
    widths = [max(len(row[place]) for row in [HEADINGS, *rows]) for place in range(3)]
    for row in [HEADINGS, ("-" * widths[0], "-" * widths[1], "-" * widths[2], "-" * 10), *rows]:
        yield "  ".join([*(f"{row[place]:<{widths[place]}}" for place in range(3)), row[3]]).rstrip()
    count = Counter(
        (check.kind, check.state) for check in checks if check.name.startswith("lock_monitoring.")
    )
    published = ", ".join(f"{count[kind, 'ok']} {plural}" for kind, plural in _PLURALS if count[kind, "ok"])
    passed = sum(check.passed for check in checks)
    advice = sum(check.state == "advice" for check in checks)
    yield ""
    yield f"lock_monitoring has {published or 'nothing yet'}."
    yield f"{passed} of {len(checks)} checks passed{f', {advice} of them with advice' if advice else ''}."


_PLURALS = (("table", "tables"), ("function", "functions"), ("index", "indexes"), ("view", "views"))
