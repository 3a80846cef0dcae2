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
        _, loop = watchdog.without_vault(cause.alias, cause.sentence)
        context = pages.context_of(request, cause) | {"loop": loop, "seen": memory.last_tree(cause.alias)}
        return page(request, admin.site, "lockmon/unreachable.html", **context)
    except DatabaseError:
        return None
