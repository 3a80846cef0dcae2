"""Failed logins: logged, counted, and after too many of them refused for a while.

django-axes counts, in Django's own database, for the pair of account and address and for an address over all
accounts; an account as such is never locked, or anybody could lock the person on call out. Only the login
asks here: a session that stands is not looked at. A browser in which an account has logged in before is
counted by itself, so that whoever shares its address cannot lock it out (OWASP calls it a device cookie).
Failed bearer tokens of the API are counted apart, for each address, and a good token is always let in.
"""

from __future__ import annotations

import logging
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from axes.backends import AxesStandaloneBackend
from axes.handlers.database import AxesDatabaseHandler
from axes.models import AccessAttempt
from django import forms
from django.conf import settings
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth import get_user_model
from django.contrib.auth.signals import user_login_failed
from django.core import signing
from django.core.exceptions import PermissionDenied
from django.db.models import Max, Q, QuerySet, Sum
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from onevault import proxies

log = logging.getLogger("lockmon.logins")

TOKEN = "(API token)"  # noqa: S105 - a name in the account's place
KNOWN = " (known browser "
"""Between an account and a browser's number, in the account's place."""
COOKIE = "lockmon_browser"
_COOKIE_DAYS = 180
_LONGEST_NAME = 60
_SALT = "lockmon.logins.browser"


def cool_off() -> timedelta:
    """How long a lock lasts, from the last failure that counted."""
    return timedelta(minutes=settings.LOGIN_LOCK_MINUTES)


def _recent() -> QuerySet[Any]:
    attempts: QuerySet[Any] = AccessAttempt.objects.all()
    return attempts.filter(attempt_time__gte=timezone.now() - cool_off())


def _sum(attempts: QuerySet[Any]) -> int:
    return int(attempts.aggregate(number=Sum("failures_since_start"))["number"] or 0)


@dataclass(frozen=True)
class Failures:
    """How often a login failed of late: for this account from this address, and from this address at all."""

    pair: int
    address: int

    @property
    def pair_is_locked(self) -> bool:
        """Whether this account may not log in from this address."""
        return self.pair >= settings.LOGIN_FAILURES

    @property
    def address_is_locked(self) -> bool:
        """Whether nobody may log in from this address."""
        return self.address >= settings.LOGIN_FAILURES_ADDRESS


def failures(name: str, address: str) -> Failures:
    """Count those that are not forgotten yet, of a name as it is counted (see counted_name)."""
    here = _recent().filter(ip_address=address)
    if name == TOKEN:
        return Failures(0, _sum(here.filter(username=TOKEN)))
    if KNOWN in name:
        return Failures(_sum(_recent().filter(username=name)), 0)
    return Failures(_sum(here.filter(username=name)), _sum(_of_addresses(here)))


def _of_addresses(attempts: QuerySet[Any]) -> QuerySet[Any]:
    """Those that an address answers for."""
    return attempts.exclude(username=TOKEN).exclude(username__contains=KNOWN)


def counted_name(request: HttpRequest, credentials: dict[str, Any] | None = None) -> str:
    """Under which name a failure is counted: the account's, or that of a browser which the account knows."""
    typed = str((credentials or {}).get("username") or "")
    if (credentials or {}).get("token"):
        return TOKEN
    number = _browser_of(request, typed)
    return f"{_plain(typed)}{KNOWN}{number})" if number else _plain(typed)


def _plain(typed: str) -> str:
    """What was typed, as a name that cannot pass for one of ours."""
    return typed[:200].replace("(", "[").replace("\0", " ")


def _browser_of(request: HttpRequest, account: str) -> str:
    """The number of a browser in which this account has logged in before; empty for any other."""
    try:
        found = signing.loads(request.COOKIES.get(COOKIE, ""), salt=_SALT, max_age=_COOKIE_DAYS * 86_400)
    except signing.BadSignature:
        return ""
    return str(found["number"]) if found.get("account") == account else ""


def remember_browser(request: HttpRequest, response: HttpResponse) -> None:
    """Have a browser in which somebody has just logged in show so at his next login."""
    account = request.user.get_username()
    number = _browser_of(request, account) or secrets.token_hex(8)
    response.set_cookie(
        COOKIE,
        signing.dumps({"account": account, "number": number}, salt=_SALT),
        max_age=_COOKIE_DAYS * 86_400,
        path=request.path,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )


@dataclass(frozen=True)
class Lock:
    """What is refused now; `account` is None for a whole address. Ends by itself at `until`."""

    account: str | None
    address: str
    number: int
    until: datetime


def locks() -> list[Lock]:
    """Everything that is refused now, the latest first."""
    found = [
        Lock(row["username"], row["ip_address"], row["number"], row["last"] + cool_off())
        for row in _recent()
        .values("username", "ip_address")
        .annotate(number=Sum("failures_since_start"), last=Max("attempt_time"))
        if row["number"]
        >= (settings.LOGIN_FAILURES_ADDRESS if row["username"] == TOKEN else settings.LOGIN_FAILURES)
    ]
    found += [
        Lock(None, row["ip_address"], row["number"], row["last"] + cool_off())
        for row in _of_addresses(_recent())
        .values("ip_address")
        .annotate(number=Sum("failures_since_start"), last=Max("attempt_time"))
        if row["number"] >= settings.LOGIN_FAILURES_ADDRESS
    ]
    return sorted(found, key=lambda lock: lock.until, reverse=True)


def unlock(account: str | None = None, address: str | None = None) -> int:
    """Forget the failures of an account, an address, a pair, or all; how many failures that were."""
    attempts = AccessAttempt.objects.all()
    if account is not None:
        name = account if account == TOKEN else _plain(account)
        attempts = attempts.filter(Q(username=name) | Q(username__startswith=f"{name}{KNOWN}"))
    if address is not None:
        attempts = attempts.filter(ip_address=address)
    number = _sum(attempts)
    attempts.delete()
    return number


class Handler(AxesDatabaseHandler):  # type: ignore[misc]  # axes has no types
    """axes' own handler with two limits instead of one; what is refused anyway is not counted, so that a lock
    ends, and an attacker cannot fill the table."""

    def get_failures(self, request: HttpRequest, credentials: dict[str, Any] | None = None) -> int:
        """The number that axes holds against AXES_FAILURE_LIMIT, which is the pair's limit: the address's is
        counted down to the same."""
        found = failures(counted_name(request, credentials), proxies.client_address(request))
        return max(found.pair, found.address - (settings.LOGIN_FAILURES_ADDRESS - settings.LOGIN_FAILURES))

    def user_login_failed(
        self, sender: Any, credentials: dict[str, Any], request: HttpRequest | None = None, **more: Any
    ) -> None:
        """Count and log a failure."""
        if request is None:
            return  # code of ours asked, nobody over the network
        if self.is_locked(request, credentials):
            request.axes_locked_out = True  # type: ignore[attr-defined]
            return
        super().user_login_failed(sender, credentials, request, **more)
        _tell(request, credentials)

    def user_logged_in(self, sender: Any, request: HttpRequest, user: Any, **more: Any) -> None:
        """Forget the failures of the pair, or of the browser, and no others: one account of his own would let
        an attacker forget what he did to the others."""
        name = counted_name(request, {"username": user.get_username()})
        mine = AccessAttempt.objects.filter(username=name)
        if KNOWN not in name:
            mine = mine.filter(ip_address=proxies.client_address(request))
        number = _sum(mine)
        mine.delete()
        if number:
            log.info("%s logged in after %d failures", user.get_username(), number)

    def user_logged_out(self, sender: Any, request: HttpRequest, user: Any, **more: Any) -> None:
        """Nothing is kept of it."""


def _name(account: str) -> str:
    """An account for the log. What is no account may be a password in the wrong field: it is not shown."""
    known = get_user_model().objects.filter(username=account).exists()
    return repr(account[:_LONGEST_NAME]) if known else "an account that does not exist"


def _tell(request: HttpRequest, credentials: dict[str, Any]) -> None:
    """Say in a line that a login failed, and in another that this was one too many."""
    counted, address = counted_name(request, credentials), proxies.client_address(request)
    found = failures(counted, address)
    note = ""
    if proxies.ignored(request):
        note = " (it sent X-Forwarded-For and is not named in TRUSTED_PROXIES: that is not believed)"
    who = "an API token" if counted == TOKEN else _name(str(credentials.get("username") or ""))
    all_of_it = f"{found.address} of {settings.LOGIN_FAILURES_ADDRESS} from there"
    pair = f"{found.pair} of {settings.LOGIN_FAILURES}"
    if counted == TOKEN:
        numbers = all_of_it
    elif KNOWN in counted:
        numbers = f"{pair} for this account in a browser that it knows"
    else:
        numbers = f"{pair} for this account from there, {all_of_it} in all"
    log.warning("Login failed: %s from %s%s; %s", who, address, note, numbers)
    if found.pair_is_locked or found.address_is_locked:
        whole = found.address_is_locked and counted != TOKEN
        log.warning(
            "Locked for %d minutes: %s from %s; manage.py lockmon_unlock ends it",
            settings.LOGIN_LOCK_MINUTES,
            "every login" if whole else who,
            "that browser" if KNOWN in counted else address,
        )


class Guard(AxesStandaloneBackend):  # type: ignore[misc]  # axes has no types
    """An authentication backend that stands before Django's own, lets nobody in, and refuses what is locked
    before a password is hashed. (Sessions are none of its: it has no get_user.)"""

    def authenticate(self, request: HttpRequest | None, **credentials: Any) -> None:
        """None: ask the next backend. PermissionDenied: it is locked."""
        if request is not None and Handler().is_locked(request, credentials):
            request.axes_locked_out = True  # type: ignore[attr-defined]
            raise PermissionDenied


class LoginForm(AdminAuthenticationForm):
    """The admin's login, which says why it refuses and what to do."""

    def get_invalid_login_error(self) -> forms.ValidationError:
        """A sentence about the lock, if that is what was in the way."""
        request = self.request
        if request is None or not getattr(request, "axes_locked_out", False):
            return super().get_invalid_login_error()
        name = counted_name(request, {"username": self.cleaned_data.get("username")})
        found = failures(name, proxies.client_address(request))
        which = (
            "any account from your address" if found.address_is_locked else "this account from your address"
        )
        return forms.ValidationError(
            f"Too many failed logins to {which}: for {settings.LOGIN_LOCK_MINUTES} minutes it is refused,"
            " with the right password too. Wait, log in from another address, or have an administrator of"
            " this host run manage.py lockmon_unlock. Sessions that are logged in go on.",
            code="locked",
        )


def locked_response(request: HttpRequest, response: HttpResponse, *more: Any) -> HttpResponse:
    """What axes' middleware sends once a login is locked: the login page, which says it, with its status."""
    response.status_code = 429
    response["Retry-After"] = str(int(cool_off().total_seconds()))
    return response


def token_failed(request: HttpRequest) -> bool:
    """Count a bearer token that is none; True once there have been too many from that address."""
    user_login_failed.send(sender=__name__, credentials={"username": TOKEN, "token": True}, request=request)
    return failures(TOKEN, proxies.client_address(request)).address_is_locked
