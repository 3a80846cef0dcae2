"""The doctor's lines about the web side: whose address is believed, what is refused, and for how long."""

from __future__ import annotations

from collections.abc import Iterator

from django.conf import settings
from django.utils import timezone

from onevault import web_place
from onevault.server import limits

from . import logins
from .doctor import OK, WARNING, Finding
from .views.words import one_line, some

MOST_NAMED = 5


def web(alias: str) -> Iterator[Finding]:
    """Proxies, logins, sessions and bodies, as they are configured; and who is locked out now."""
    yield place_of_users(settings.WEB_PLACE, alias)
    yield _addresses()
    yield Finding(
        "web",
        "failed logins",
        OK,
        f"After {settings.LOGIN_FAILURES} of one account from one address, or"
        f" {settings.LOGIN_FAILURES_ADDRESS} from one address, logins from there are refused for"
        f" {settings.LOGIN_LOCK_MINUTES} minutes. Sessions that are logged in go on.",
    )
    found = logins.locks()
    named = "; ".join(
        f"{one_line(lock.account, 60) if lock.account else 'every account'} from {lock.address} until"
        f" {timezone.localtime(lock.until):%H:%M}"
        for lock in found[:MOST_NAMED]
    )
    yield Finding(
        "web",
        "locked logins",
        WARNING if found else OK,
        f"{some(len(found), 'lock')}: {named}{' ...' if len(found) > MOST_NAMED else ''}."
        if found
        else "No login is refused now.",
        "manage.py lockmon_unlock ACCOUNT --address ADDRESS, if that was one of yours." if found else "",
    )
    yield Finding(
        "web",
        "sessions",
        OK,
        f"A session ends {settings.SESSION_COOKIE_AGE // 3600} h after its login, and after"
        f" {settings.SESSION_IDLE_MINUTES} minutes without use; pages that refresh themselves are no use.",
    )
    yield Finding(
        "web",
        "request bodies",
        OK,
        f"{limits.BODY_BYTES // 1024} kB within {limits.BODY_SECONDS:.0f} s; files are taken on the import"
        f" page alone, {settings.LOG_UPLOAD_MB} MB at most.",
    )


def place_of_users(place: str, alias: str) -> Finding:
    """Where users, sessions, tokens and the task queue are, and what takes them along when it goes.

    place: a word of onevault/web_place.py.
    """
    web, vault = settings.DATABASES["default"], settings.DATABASES[alias]
    server = ("HOST", "PORT")
    what = "Users, sessions, tokens and the task queue"
    if place == web_place.SQLITE:
        told = f"{what} are in the file {web_place.SQLITE_FILE} in ONEVAULT_LOCAL, for this host alone."
    elif place == web_place.VAULT:
        return Finding(
            "web",
            "web database",
            WARNING,
            f"{what} live in the schema onevault_web beside the vault: while that server is down or full of "
            "connections nobody can log in, and no task runs.",
            "manage.py lockmon_move_users moves the users to a file of this host, or to DATABASE_URL.",
        )
    elif place == web_place.EMBEDDED:
        told = f"{what} are in the PostgreSQL that make run starts, for this host alone."
    elif all(str(web.get(name) or "") == str(vault.get(name) or "") for name in server):
        told = f"{what} are where DATABASE_URL says: on the watched server, and away while that is down."
    else:
        told = f"{what} are where DATABASE_URL says, apart from the watched server."
    return Finding("web", "web database", OK, told)


def _addresses() -> Finding:
    proxies = ", ".join(str(network) for network in settings.TRUSTED_PROXIES)
    if settings.BEHIND_PROXY:
        good = bool(proxies)
        said = f"X-Forwarded-For is believed of {proxies} alone; any other proxy's address is everybody's."
        missing = "There is a proxy (BEHIND_PROXY), and none is trusted: everybody has its address."
        remedy = "" if good else "Set TRUSTED_PROXIES to the proxy's address."
        return Finding("web", "client addresses", OK if good else WARNING, said if good else missing, remedy)
    if proxies:
        return Finding("web", "client addresses", OK, f"X-Forwarded-For is believed of {proxies} alone.")
    return Finding(
        "web",
        "client addresses",
        OK,
        "Addresses are those of the connections; X-Forwarded-For is not believed.",
    )
