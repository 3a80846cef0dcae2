"""Why the watched server cannot be asked, for somebody whose session and rights could be read."""

from __future__ import annotations

from django.contrib import admin
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse

from ..groups import VIEW_PAGES
from ..monitor import watchdog
from ..views.context import page
from . import memory, pages
from .causes import Cause


def page_of(request: HttpRequest, cause: Cause) -> HttpResponse | None:
    """Return the page with all that a page of this person has, and what the loops last reported.

    None where a script asked, nobody is logged in, or the web database fails, too.
    """
    if pages.form_of(request) is not pages.Form.PAGE:
        return None
    try:
        if not request.user.has_perm(VIEW_PAGES):
            return None
        # what the loops say is for who may see the pages; strangers learn the state's word
        context = pages.context_of(request, cause) | {
            "loop": _of_the_loops(cause),
            "seen": memory.last_tree(cause.alias),
        }
        return page(request, admin.site, "lockmon/unreachable.html", **context)
    except DatabaseError:
        return None


def _of_the_loops(cause: Cause) -> str:
    """What those who watch have reported to the web database; it tells the server's fault from the line's."""
    watching, said = watchdog.without_vault(cause.alias, cause.sentence)
    if watching:
        return (
            f"The loop has reported within {watchdog.STALE_SECONDS:.0f} s that it watches: what is wrong is "
            "between this web server and the watched one."
        )
    if cause.sentence.rstrip(".") in said:
        return "No loop has reported lately: as far as can be seen from here, nobody watches."
    return said
