"""Idle sessions end: after SESSION_IDLE_MINUTES without use, whatever refreshes itself.

Use is a page or a form that a person asked for. It is written down once a minute at most. The pieces that
open pages fetch by themselves read the session, never write it, and end it when its time is over.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth import logout
from django.contrib.auth.signals import user_logged_in
from django.contrib.auth.views import redirect_to_login
from django.contrib.sessions.backends.base import UpdateError
from django.contrib.sessions.backends.db import SessionStore
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone

from .standing.causes import behind

log = logging.getLogger("lockmon.sessions")

USED_AT = "lockmon_used_at"
"""In the session: when it was used last, in seconds since 1970, right to a minute."""
REFRESHING = frozenset({"lockmon_overview_fragment", "lockmon_live_fragment"})
"""What open pages fetch every two seconds."""
PLAYING = "X-Lockmon-Refresh"
"""A header of our script: this piece was fetched by a clock (the time machine plays), not by a hand."""
LOGIN = "X-Lockmon-Login"
"""A header of ours beside the sentence that a session has ended: where to log in again."""
_WRITE_EVERY = 60


def idle_seconds() -> int:
    """How long a session lives without use."""
    return int(settings.SESSION_IDLE_MINUTES) * 60


def is_over(request: HttpRequest) -> bool:
    """Whether this session has not been used for too long; a session of an earlier release is not."""
    used = request.session.get(USED_AT)
    return isinstance(used, int) and int(time.time()) - used >= idle_seconds()


def ended_sentence() -> str:
    """What somebody whose session ended is told."""
    return (
        f"Your session ended: it was not used for {settings.SESSION_IDLE_MINUTES} minutes"
        " (a page that refreshes itself is no use). Log in again."
    )


def forget_ended() -> None:
    """Delete the rows of sessions whose hours are over and that nobody ended."""
    SessionStore.clear_expired()


def _is_refresh(request: HttpRequest) -> bool:
    match = request.resolver_match
    return (match is not None and match.url_name in REFRESHING) or PLAYING in request.headers


def _begin(sender: Any, request: HttpRequest, user: Any, **more: Any) -> None:
    """A session's last hour is fixed when it begins: being written later does not prolong it."""
    if hasattr(request, "session"):
        request.session[USED_AT] = int(time.time())
        request.session.set_expiry(timezone.now() + timedelta(seconds=settings.SESSION_COOKIE_AGE))


user_logged_in.connect(_begin, dispatch_uid="lockmon.sessions")


class IdleSessions:
    """Middleware, behind the session's and the authentication's."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Nothing before the address is known: what has no session of a person reads none."""
        return self._get_response(request)

    def process_view(
        self, request: HttpRequest, view: Any, arguments: Any, keywords: Any
    ) -> HttpResponse | None:
        """End an idle session of the admin, or note its use."""
        match = request.resolver_match
        if match is None or match.app_name != "admin" or not request.user.is_authenticated:
            return None
        now = int(time.time())
        used = request.session.get(USED_AT)
        refresh = _is_refresh(request)
        if is_over(request) and match.url_name != "logout":
            return _end(request, refresh)
        if not refresh and (not isinstance(used, int) or abs(now - used) >= _write_every()):
            request.session[USED_AT] = now
            _write(request)
        return None


def _write(request: HttpRequest) -> None:
    """Write down the use of a session now. Where the web database takes no change, who is logged in goes on
    reading: the session then ends as if it had not been used."""
    try:
        request.session.save()
    except (UpdateError, DatabaseError) as error:
        if behind(error) is None:
            return  # it was ended meanwhile: the session's middleware says so
        log.debug("The use of a session could not be written down")
    request.session.modified = False


def _write_every() -> int:
    return min(_WRITE_EVERY, idle_seconds() // 4)


def _end(request: HttpRequest, refresh: bool) -> HttpResponse | None:
    match = request.resolver_match
    assert match is not None
    logout(request)
    if match.url_name == "login":
        return None  # he is about to log in again
    login = f"{reverse('admin:login')}?ended=idle"
    if refresh or str(match.url_name).endswith("_fragment"):
        response = HttpResponse(ended_sentence(), status=401, content_type="text/plain; charset=utf-8")
        response[LOGIN] = login
        return response
    back = request.get_full_path() if request.method in ("GET", "HEAD") else reverse("admin:index")
    return redirect_to_login(back, login)
