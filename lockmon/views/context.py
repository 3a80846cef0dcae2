"""What every page of ours shares: navigation, the vault's name, and what this person may do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

from django.conf import settings
from django.contrib.admin import AdminSite
from django.core.exceptions import PermissionDenied
from django.db import connections
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import NoReverseMatch, reverse

from ..groups import ADMINS, EXPORT_HISTORY, READERS, STOP_SESSION, VIEW_PAGES, VIEW_QUERY_TEXT

VAULT = "vault"


@dataclass(frozen=True)
class Rights:
    """What one person may do; all False for whoever is not logged in."""

    pages: bool
    query_text: bool
    stop: bool
    export: bool


def rights(request: HttpRequest) -> Rights:
    """Return this request's rights, from Django's permissions."""
    may = request.user.has_perm
    return Rights(
        pages=may(VIEW_PAGES),
        query_text=may(VIEW_QUERY_TEXT),
        stop=may(STOP_SESSION),
        export=may(EXPORT_HISTORY),
    )


def needs(permission: str) -> Callable[[Callable[..., HttpResponse]], Callable[..., HttpResponse]]:
    """Decorator: 403 for whoever lacks the permission (the admin has asked for a login before)."""

    def decorate(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
        @wraps(view)
        def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if not request.user.has_perm(permission):
                raise PermissionDenied
            return view(request, *args, **kwargs)

        return checked

    return decorate


def link(name: str, *args: Any) -> str | None:
    """Return the address of an admin page, None where this installation has no such page."""
    try:
        return reverse(f"admin:{name}", args=args)
    except NoReverseMatch:
        return None


def vault_name(alias: str = VAULT) -> str:
    """Return "one_vault on db1" for the watched database."""
    database = connections[alias].settings_dict if alias in settings.DATABASES else {}
    return f"{database.get('NAME') or 'unknown'} on {database.get('HOST') or 'this machine'}"


def _role(request: HttpRequest) -> str:
    user = request.user
    if not user.is_authenticated:
        return ""
    if user.is_superuser:
        return "superuser"
    names = set(user.groups.values_list("name", flat=True))
    return next((name for name in (ADMINS, READERS) if name in names), "no role")


_NAVIGATION = (
    ("index", "Overview"),
    ("lockmon_live", "Live tree"),
    ("lockmon_time", "Time machine"),
    ("lockmon_blockingsession_changelist", "Blocking"),
    ("lockmon_deadlockevent_changelist", "Deadlocks"),
    ("lockmon_lockactivity_changelist", "Locks"),
    ("lockmon_insight", "Insight"),
    ("lockmon_alert_changelist", "Alerts"),
    ("lockmon_actionlog_changelist", "Actions"),
    ("lockmon_policy_changelist", "Policies"),
    ("lockmon_everything", "Everything"),
)


def each_page(request: HttpRequest, site: AdminSite) -> dict[str, Any]:
    """Return the context that the site adds to each of its pages; costs one query of Django's own
    database."""
    if not request.user.is_authenticated:
        return {"lockmon_nav": []}
    can = rights(request)
    path = request.path
    entries = []
    for name, title in _NAVIGATION if can.pages else ():
        address = link(name)
        if address:
            here = path == address if name == "index" else path.startswith(address)
            entries.append({"url": address, "title": title, "here": here})
    return {
        "lockmon_nav": entries,
        "lockmon_vault": vault_name(),
        "lockmon_role": _role(request),
        "can": can,
        "stop_url": link("lockmon_stop") if can.stop else None,
        "session_url": link("lockmon_session"),
    }


def page(
    request: HttpRequest, site: AdminSite, template: str, title: str, status: int = 200, **context: Any
) -> HttpResponse:
    """Return one of our pages inside the admin's frame."""
    full = {**site.each_context(request), "title": title, **context}
    return render(request, template, full, status=status)


def fragment(request: HttpRequest, template: str, **context: Any) -> HttpResponse:
    """Return a piece of a page for the refreshing script, marked so that a login page is never taken for
    it."""
    can = rights(request)
    addresses = {
        "stop_url": link("lockmon_stop") if can.stop else None,
        "session_url": link("lockmon_session"),
    }
    context = {"can": can, **addresses, **context}
    response = render(request, template, context)
    response["X-Lockmon-Fragment"] = "1"
    return response
