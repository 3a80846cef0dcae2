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
    from . import check, claimed, deadlock, episode, insight, live, overview, time_machine

    table: list[Route] = [
        ("monitor/overview/fragment/", overview.overview_fragment, "lockmon_overview_fragment"),
        ("monitor/live/", live.live, "lockmon_live"),
        ("monitor/live/fragment/", live.live_fragment, "lockmon_live_fragment"),
        ("monitor/waiters/", live.waiters, "lockmon_waiters"),
        ("monitor/session/", live.session, "lockmon_session"),
        ("monitor/time/", time_machine.time_machine, "lockmon_time"),
        ("monitor/time/fragment/", time_machine.time_fragment, "lockmon_time_fragment"),
        ("monitor/episode/<str:key>/", episode.episode, "lockmon_episode"),
        ("monitor/deadlock/<str:key>/", deadlock.deadlock, "lockmon_deadlock"),
        ("monitor/claimed-deadlocks/", claimed.claimed, "lockmon_claimed"),
        ("monitor/everything/", overview.everything, "lockmon_everything"),
        ("monitor/insight/", insight.insight, "lockmon_insight"),
        ("monitor/check/", check.check, "lockmon_check"),
    ]
    return [(path, update_wrapper(partial(view, site=site), view), name) for path, view, name in table]
