"""What is answered instead of a page: a refusal, a fault of ours, or a database that does not answer.

The same cause as a page in the site's look, as JSON under /api/, or as the line that a page's script puts
into place. No database is opened for it: no session, no person, no context processor.
"""

from __future__ import annotations

import json
import logging
import secrets
import sys
from collections.abc import Callable
from enum import Enum
from typing import Any

from django.contrib import admin
from django.core.exceptions import DisallowedHost, RequestDataTooBig, TooManyFieldsSent
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.cache import add_never_cache_headers

from ..sessions import PLAYING
from . import memory
from .causes import WEB, Cause, behind, cause_of, is_of_a_database

log = logging.getLogger("lockmon.standing")

STANDING = "X-Lockmon-Standing"
"""A header of the line that our script puts in the place of the health line, and leaves the rest as it is."""
AGAIN = "5"
"""Seconds after which it is worth asking again: Retry-After, and what our script does."""


class Form(Enum):
    """In which form an answer is wanted."""

    PAGE = "page"
    JSON = "json"
    LINE = "line"


def form_of(request: HttpRequest) -> Form:
    """Return what reads the answer: a person, a program, or the script of an open page."""
    if request.path_info.startswith("/api/"):
        return Form.JSON
    if request.path_info.endswith("/fragment/") or PLAYING in request.headers:
        return Form.LINE
    return Form.PAGE


def answer(request: HttpRequest, cause: Cause) -> HttpResponse:
    """Return a cause in the form that was asked for."""
    form = form_of(request)
    if form is Form.JSON:
        return finished(HttpResponse(json.dumps({"error": cause.whole}), content_type=_JSON), cause)
    if form is Form.LINE:
        response = HttpResponse(render_to_string("lockmon/_standing.html", {"cause": cause}))
        response[STANDING] = cause.kind
        return finished(response, cause)
    page = render_to_string("lockmon/standing.html", context_of(request, cause))
    return finished(HttpResponse(page), cause)


def finished(response: HttpResponse, cause: Cause) -> HttpResponse:
    """Give an answer the cause's code, and say when to ask again."""
    response.status_code = cause.status
    if cause.status == 503:
        response["Retry-After"] = AGAIN
    add_never_cache_headers(response)
    return response


def context_of(request: HttpRequest, cause: Cause) -> dict[str, Any]:
    """Return what both templates of a cause need."""
    reading = request.method in ("GET", "HEAD", "OPTIONS")
    return {
        "cause": cause,
        "title": cause.title,
        "site_title": admin.site.site_title,
        "site_header": admin.site.site_header,
        "again": AGAIN if cause.status == 503 and reading else "",
        "sent": _SENT if cause.status >= 500 and not reading else "",
        "now": timezone.now(),
    }


_JSON = "application/json"
_SENT = "Whether what you sent was done is not known: look at the list of Actions before you send it again."


class Standing:
    """Middleware, the innermost: a view whose database failed is answered with the cause.

    What fails before a view, such as reading the session, comes to `server_error`.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response
        memory.switch_on()

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Nothing before the view, nothing behind it."""
        return self._get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """The cause of a database's error; any other is Django's to handle."""
        return for_error(request, error) if is_of_a_database(error) else None


def for_error(request: HttpRequest, error: BaseException) -> HttpResponse:
    """Return the answer to a request whose database failed."""
    cause = cause_of(error)
    if cause.alias != WEB:
        from .person import page_of  # the pages import this module

        found = page_of(request, cause)
        if found is not None:
            return finished(found, cause)
    return answer(request, cause)


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's handler500, called while the error is being handled."""
    error = sys.exc_info()[1]
    try:
        if error is not None and is_of_a_database(error):
            return for_error(request, error)
        return answer(request, _fault(request))
    except Exception:
        log.exception("The page that says what is wrong could not be made")
        text = "This page failed, and so did the one that says why. The web server's log has both.\n"
        return HttpResponse(text, status=500, content_type="text/plain; charset=utf-8")


def _fault(request: HttpRequest) -> Cause:
    reference = secrets.token_hex(4)
    log.error("Fault %s: %s %s", reference, request.method, request.path_info[:200])
    return Cause(
        "fault",
        "This page failed",
        "That is a fault of the monitor, not of the database. The web server's log has it under "
        f"{reference}.",
        (
            "The other pages go on, and so does the watching.",
            f"Report it with the lines of the log around {reference} (docs/production.md says where it is).",
        ),
        500,
    )


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler400."""
    hidden = behind(exception)
    if hidden is not None:
        return for_error(request, hidden)
    if isinstance(exception, DisallowedHost):
        cause = Cause(
            "host",
            "This server does not answer to that name",
            "The address in your browser's bar is none that this web server was told of.",
            ("Whoever keeps it adds the name to ALLOWED_HOSTS, or tells you the right one.",),
            400,
        )
    elif isinstance(exception, RequestDataTooBig | TooManyFieldsSent):
        cause = Cause("request", "That was too much", "The request has more in it than is read.", (), 400)
    else:
        cause = Cause(
            "request",
            "That request could not be read",
            "What the browser sent is no request that this server understands.",
            ("Go back and try again; if it is a link, it was damaged on its way.",),
            400,
        )
    return answer(request, cause)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler403."""
    cause = Cause(
        "forbidden",
        "That is not for this login",
        "You are logged in, and your login lacks the right to this page, or to do this.",
        (
            "Whoever keeps the monitor's users can give it: the groups are lock_monitoring_role (looks) and "
            "lock_admin_role (acts).",
        ),
        403,
    )
    return answer(request, cause)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler404."""
    cause = Cause(
        "absent",
        "There is no such page",
        "The address leads nowhere: it was mistyped, or what it led to is no longer kept.",
        ("What has expired is deleted by the cleanup; the overview and the lists show what there is.",),
        404,
    )
    return answer(request, cause)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """CSRF_FAILURE_VIEW: a form that cannot be told from one that somebody else's page sent."""
    cause = Cause(
        "form",
        "That form was not taken",
        "It cannot be told from one that another site's page has sent. Nothing was done.",
        (
            "Go back, reload the page and send it again: you may have logged in or out meanwhile, or the "
            "browser keeps no cookies.",
            "If it happens each time, the name in the browser's bar lacks in CSRF_TRUSTED_ORIGINS.",
        ),
        403,
    )
    return answer(request, cause)
