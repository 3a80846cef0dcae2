"""Times of a page in one zone: that of its reader, which the pages' script says in a cookie.

Moments that stand alone are set in the reader's zone by the script; those within sentences are written here.
Without the cookie (the first page of a browser without a login, no script) both are in TIME_ZONE until the
script has run.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

from django.http import HttpRequest, HttpResponse
from django.utils import timezone

COOKIE = "lockmon_zone"
"""Holds a name such as Europe/Berlin; the script writes it."""


@lru_cache(maxsize=1)
def _known() -> frozenset[str]:
    return frozenset(available_timezones())


def reader_zone(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware: whoever says a zone gets all times of the page in it; another word changes nothing."""

    def answer(request: HttpRequest) -> HttpResponse:
        name = request.COOKIES.get(COOKIE, "")
        if name not in _known():
            return get_response(request)
        with timezone.override(ZoneInfo(name)):
            return get_response(request)

    return answer
