"""Which databases there are: `default` for Django's own tables, `vault` for the monitored database.

neither DATABASE_URL nor VAULT_DATABASE_URL   the embedded PostgreSQL holds both, as two databases
both                                          each as named
only VAULT_DATABASE_URL                       where Django's tables are says onevault/web_place.py
only DATABASE_URL                             refused: it would be unclear what is to be watched

On PostgreSQL Django's tables are in the schema onevault_web, which `migrate` makes: in `public` others may
create, or may be let create, and what they make there would run in the pages' own statements.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dj_database_url
from django.core.exceptions import ImproperlyConfigured

from lockmon import session
from onevault import env, web_place
from onevault.sqlite.base import OPTIONS as SQLITE_OPTIONS

BACKEND = "onevault.postgresql"
SQLITE_BACKEND = "onevault.sqlite"
WEB_SCHEMA = "onevault_web"
EMBEDDED_VAULT = "one_vault"
EMBEDDED_WEB = "onevault_web"
EMBEDDED_LOGIN = "onevault_app"
EMBEDDED_PORT = 54329

Database = dict[str, Any]

_PAGE_LIMITS = " ".join(f"-c {name}={value}" for name, value in session.LIMITS.items())
# Where Django's own tables are, unless the URL says otherwise.
_WEB_SEARCH_PATH = f"-c search_path={WEB_SCHEMA},pg_temp"


@dataclass(frozen=True)
class Databases:
    """What settings.py needs to know.

    `web_schema` is set where Django's tables share the vault's database, `tables_schema` wherever they are in
    a schema that `migrate` makes: everywhere but in SQLite and where the URL names a search path.
    `direct` holds, per vault alias and purpose ("monitor", "admin"), the own login a site may name.
    `place` is a word of onevault/web_place.py. `embedded`: the vault, too, is the embedded PostgreSQL's.
    """

    databases: dict[str, Database]
    embedded: bool
    web_schema: str | None
    direct: dict[str, dict[str, Database]] = field(default_factory=dict)
    tables_schema: str | None = WEB_SCHEMA
    place: str = web_place.URL


def read(local: Path) -> Databases:
    """Apply the rules above to the environment.

    `local` is the folder of the embedded PostgreSQL. Raises ImproperlyConfigured with one sentence.
    """
    web_url, vault_url = env.text("DATABASE_URL"), env.text("VAULT_DATABASE_URL")
    if web_url and not vault_url:
        raise ImproperlyConfigured(
            "DATABASE_URL is set and VAULT_DATABASE_URL is not: name the database to watch there, "
            "or unset both to use the embedded PostgreSQL."
        )
    if not vault_url:
        return _embedded(local)
    vault = parse("VAULT_DATABASE_URL", vault_url, "onevault_web")
    schema = None
    tables: str | None = WEB_SCHEMA
    place = web_place.URL
    if web_url:
        web = parse("DATABASE_URL", web_url, "onevault_web", _WEB_SEARCH_PATH)
        if _place(web) == _place(vault) and "role" not in session.parse(web["OPTIONS"]["options"]):
            _as_the_login(web)
        if "search_path" in session.parse(web["OPTIONS"]["options"]):
            tables = None
    else:
        place = web_place.read(local) or web_place.VAULT
        web = own(place, local)
        schema = WEB_SCHEMA if place == web_place.VAULT else None
        tables = None if place == web_place.SQLITE else WEB_SCHEMA
    direct = {}
    for purpose, name in (
        ("monitor", "VAULT_MONITOR_DATABASE_URL"),
        ("admin", "VAULT_ADMIN_DATABASE_URL"),
        ("site", "VAULT_SITE_DATABASE_URL"),
    ):
        if url := env.text(name):
            direct[purpose] = parse(name, url, f"one_vault_lockmon:{purpose}")
            _same_database(name, direct[purpose], vault)
    databases = {"default": web, "vault": vault}
    return Databases(
        databases=databases,
        embedded=False,
        web_schema=schema,
        direct={"vault": direct},
        tables_schema=tables,
        place=place,
    )


def own(place: str, local: Path) -> Database:
    """Django's own tables at a place of onevault/web_place.py, beside a vault of VAULT_DATABASE_URL."""
    if place == web_place.SQLITE:
        return {
            "ENGINE": SQLITE_BACKEND,
            "NAME": str(web_place.sqlite_file(local)),
            "CONN_MAX_AGE": _conn_max_age(),
            "OPTIONS": dict(SQLITE_OPTIONS),
        }
    if place == web_place.EMBEDDED:
        return _embedded(local).databases["default"]
    web = parse("VAULT_DATABASE_URL", env.text("VAULT_DATABASE_URL"), "onevault_web", _WEB_SEARCH_PATH)
    _as_the_login(web, _WEB_SEARCH_PATH)
    return web


def parse(name: str, url: str, application: str, own: str = "") -> Database:
    """Django's settings for one postgresql:// URL out of the variable `name`.

    `own` is what a session there sets otherwise than lockmon.session says; without it the database is a
    vault, where the login works in the reading role.
    """
    scheme = urlsplit(url).scheme
    if scheme not in ("postgres", "postgresql"):
        raise ImproperlyConfigured(
            f"{name} begins with {scheme or url[:12]!r}: say postgresql://user:password@host/name."
        )
    try:
        found: Database = dict(
            dj_database_url.parse(url, conn_max_age=_conn_max_age(), conn_health_checks=True)
        )
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} cannot be read as a URL: {error}.") from error
    if not found.get("NAME"):
        raise ImproperlyConfigured(f"{name} names no database: say postgresql://user:password@host/name.")
    found["ENGINE"] = BACKEND
    options = dict(found.get("OPTIONS") or {})
    options.setdefault("application_name", application)
    options.setdefault("connect_timeout", 5)
    # A URL with ?options=... of its own has the last word; with a blank nothing is said in the connection's
    # first packet (some poolers refuse any), but only later.
    options["options"] = options.get("options", _PAGE_LIMITS).strip()
    options |= {"session_options": own, "session_role": None if own else session.READING_ROLE}
    found["OPTIONS"] = options
    return found


def _conn_max_age() -> int:
    """Seconds that a page's connection is kept: pages then still work where connections have run out."""
    return env.number("CONN_MAX_AGE", 60, 0, 86_400)


def _as_the_login(web: Database, more: str = "") -> None:
    """What the login's default in the vault is (the reading role) is not for Django's own tables."""
    key = "options" if web["OPTIONS"]["options"] else "session_options"
    web["OPTIONS"][key] = f"{web['OPTIONS'][key]} -c role=none {more}".strip()


def _place(database: Database) -> tuple[str, str, str]:
    return str(database["HOST"]), str(database["PORT"] or 5432), str(database["NAME"])


def _same_database(name: str, other: Database, vault: Database) -> None:
    if _place(other) != _place(vault):
        raise ImproperlyConfigured(
            f"{name} names another database than VAULT_DATABASE_URL: only the login may differ."
        )


def _embedded(local: Path) -> Databases:
    """Both databases on the embedded PostgreSQL, whose port and passwords `make run` wrote to `local`."""
    state: dict[str, Any] = {}
    try:
        state = json.loads((local / "embedded.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        pass  # not started yet: commands that need no database still work
    except (OSError, ValueError) as error:
        raise ImproperlyConfigured(f"{local / 'embedded.json'} cannot be read: {error}.") from error

    def database(name: str, own: str = "") -> Database:
        return {
            "ENGINE": BACKEND,
            "HOST": "127.0.0.1",
            "PORT": int(state.get("port", EMBEDDED_PORT)),
            "NAME": name,
            "USER": EMBEDDED_LOGIN,
            "PASSWORD": str(state.get("app_password", "")),
            "CONN_MAX_AGE": _conn_max_age(),
            "CONN_HEALTH_CHECKS": True,
            "OPTIONS": {
                "application_name": "onevault_web",
                "connect_timeout": 5,
                "options": _PAGE_LIMITS,
                "session_options": own,
                "session_role": None if own else session.READING_ROLE,
            },
        }

    web = database(EMBEDDED_WEB, f"-c role=none {_WEB_SEARCH_PATH}")
    vault = database(EMBEDDED_VAULT)
    return Databases(
        databases={"default": web, "vault": vault},
        embedded=True,
        web_schema=None,
        place=web_place.EMBEDDED,
    )
