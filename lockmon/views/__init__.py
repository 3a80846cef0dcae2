"""Our pages inside the admin. ``routes`` is the list of them; each checks its own permission."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, update_wrapper
from typing import TYPE_CHECKING

from django.http import HttpResponse

if TYPE_CHECKING:
    from django.contrib.admin import AdminSite

Route = tuple[str, Callable[..., HttpResponse], str]


def routes(site: AdminSite) -> list[Route]:
    """Return (path, view, name) of each page; names are reversed as ``admin:<name>``."""
    from . import live, overview

    table: list[Route] = [
        ("monitor/overview/fragment/", overview.overview_fragment, "lockmon_overview_fragment"),
        ("monitor/live/", live.live, "lockmon_live"),
        ("monitor/live/fragment/", live.live_fragment, "lockmon_live_fragment"),
        ("monitor/waiters/", live.waiters, "lockmon_waiters"),
        ("monitor/session/", live.session, "lockmon_session"),
    ]
    return [(path, update_wrapper(partial(view, site=site), view), name) for path, view, name in table]
