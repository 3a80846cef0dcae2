"""Failed logins: logged, counted, and after too many of them refused for a while.

django-axes counts, in Django's own database, for the pair of account and address and for an address over all
accounts; an account as such is never locked, or anybody could lock the person on call out. Only the login
asks here: a session that stands is not looked at. Failed bearer tokens of the API are counted apart, for each
address, and a good token is always let in.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from axes.handlers.database import AxesDatabaseHandler
from axes.models import AccessAttempt
from django import forms
from django.conf import settings
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth import get_user_model
from django.contrib.auth.signals import user_login_failed
from django.core.exceptions import PermissionDenied
from django.db.models import Max, QuerySet, Sum
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from onevault import proxies

log = logging.getLogger("lockmon.logins")

TOKEN = "(API token)"  # noqa: S105 - a name in the account's place; no account can have it
_LONGEST_NAME = 60


def cool_off() -> timedelta:
    """How long a lock lasts, from the last failure that counted."""
    return timedelta(minutes=settings.LOGIN_LOCK_MINUTES)


def _recent() -> QuerySet[Any]:
    return AccessAttempt.objects.filter(attempt_time__gte=timezone.now() - cool_off())


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


def failures(account: str, address: str) -> Failures:
    """Count those that are not forgotten yet. For TOKEN the pair's are the address's."""
    here = _recent().filter(ip_address=address)
    pair = _sum(here.filter(username=account))
    if account == TOKEN:
        return Failures(0, pair)
    return Failures(pair, _sum(here.exclude(username=TOKEN)))


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
        for row in _recent()
        .exclude(username=TOKEN)
        .values("ip_address")
        .annotate(number=Sum("failures_since_start"), last=Max("attempt_time"))
        if row["number"] >= settings.LOGIN_FAILURES_ADDRESS
    ]
    return sorted(found, key=lambda lock: lock.until, reverse=True)


def unlock(account: str | None = None, address: str | None = None) -> int:
    """Forget the failures of an account, an address, a pair, or all; how many failures that were."""
    attempts = AccessAttempt.objects.all()
    if account is not None:
        attempts = attempts.filter(username=account)
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
        found = failures(_account(credentials), proxies.client_address(request))
        return max(found.pair, found.address - (settings.LOGIN_FAILURES_ADDRESS - settings.LOGIN_FAILURES))

    def user_login_failed(
        self, sender: Any, credentials: dict[str, Any], request: HttpRequest | None = None, **more: Any
    ) -> None:
        """Count and log a failure."""
        if request is None:
            return  # code of ours asked, nobody over the network
        if self.is_locked(request, credentials):
            request.axes_locked_out = True  # type: ignore[attr-defined]
            log.debug("A login as %s was refused unasked: it is locked", _name(_account(credentials)))
            return
        super().user_login_failed(sender, credentials, request, **more)
        _tell(request, _account(credentials))

    def user_logged_in(self, sender: Any, request: HttpRequest, user: Any, **more: Any) -> None:
        """Forget the pair's failures, and no others: one account of his own would let an attacker forget what
        he did to the others."""
        number = unlock(user.get_username(), proxies.client_address(request))
        if number:
            log.info("%s logged in after %d failures", user.get_username(), number)

    def user_logged_out(self, sender: Any, request: HttpRequest, user: Any, **more: Any) -> None:
        """Nothing is kept of it."""


def _account(credentials: dict[str, Any] | None) -> str:
    return str((credentials or {}).get("username") or "")


def _name(account: str) -> str:
    """An account for the log. What is no account may be a password in the wrong field: it is not shown."""
    if account == TOKEN:
        return "an API token"
    known = get_user_model().objects.filter(username=account).exists()
    return repr(account[:_LONGEST_NAME]) if known else "an account that does not exist"


def _tell(request: HttpRequest, account: str) -> None:
    address = proxies.client_address(request)
    found = failures(account, address)
    note = ""
    if proxies.ignored(request):
        note = " (it sent X-Forwarded-For and is not named in TRUSTED_PROXIES: that is not believed)"
    counted = f"{found.address} of {settings.LOGIN_FAILURES_ADDRESS} from there"
    if account != TOKEN:
        counted = f"{found.pair} of {settings.LOGIN_FAILURES} for this account from there, {counted} in all"
    log.warning("Login failed: %s from %s%s; %s", _name(account), address, note, counted)
    if found.pair_is_locked or found.address_is_locked:
        whole = found.address_is_locked and account != TOKEN
        log.warning(
            "Locked for %d minutes: %s from %s; manage.py lockmon_unlock ends it",
            settings.LOGIN_LOCK_MINUTES,
            "every login" if whole else _name(account),
            address,
        )


class Guard:
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
        found = failures(str(self.cleaned_data.get("username") or ""), proxies.client_address(request))
        which = "any account from your address" if found.address_is_locked else "this account from your address"
        return forms.ValidationError(
            f"Too many failed logins to {which}: for {settings.LOGIN_LOCK_MINUTES} minutes it is refused,"
            " with the right password too. Wait, log in from another address, or have an administrator of this"
            " host run manage.py lockmon_unlock. Sessions that are logged in go on.",
            code="locked",
        )


def locked_response(request: HttpRequest, response: HttpResponse, *more: Any) -> HttpResponse:
    """What axes' middleware sends once a login is locked: the login page, which says it, with its status."""
    response.status_code = 429
    response["Retry-After"] = str(int(cool_off().total_seconds()))
    return response


def token_failed(request: HttpRequest) -> bool:
    """Count a bearer token that is none; True once there have been too many from that address."""
    user_login_failed.send(sender=__name__, credentials={"username": TOKEN}, request=request)
    return failures(TOKEN, proxies.client_address(request)).address_is_locked
