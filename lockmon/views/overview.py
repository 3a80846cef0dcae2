"""The overview: the admin's index. Heart first, then the cause, the live tree, and the last 24 hours."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.contrib.admin import AdminSite
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse

from ..groups import VIEW_PAGES
from ..models import BlockingSession
from . import figures, svg, words
from .context import VAULT, fragment, link, needs, page
from .heart import Deadlocks, deadlocks_today, tried
from .live import picture_now
from .marks import alerts_firing, marks_between

HOURS = 24


def _now(request: HttpRequest) -> dict[str, Any]:
    picture = picture_now(request)
    quiet = None
    alerts = None
    locked = Deadlocks(None, None, None)
    if picture.tree is not None and not picture.old:
        locked = deadlocks_today()
        alerts = alerts_firing()
        quiet = _last_block(picture.now) if not picture.tree.waiting else None
    return picture.context | {
        "quiet": quiet,
        "deadlocks": locked,
        "alerts": alerts,
        "alerts_url": link("lockmon_alerts") or link("lockmon_alertevent_changelist"),
    }


def _last_block(now: datetime) -> str:
    """Return when the last block ended, in words; for the page on which all is well."""
    rows = BlockingSession.objects.using(VAULT).filter(is_root=True, ended_at__gt=now - timedelta(days=30))
    last = tried(
        lambda: (
            rows.only("ended_at", "blocking_since", "blocked_sessions_count")
            .order_by("-satellite_id")
            .first()
        )
    )
    if last is None:
        return "No block is on record in the last 30 days."
    lasted = words.seconds_between(last.blocking_since, last.ended_at)
    waited = words.some(last.blocked_sessions_count or 0, "session")
    ago = words.duration(words.seconds_between(last.ended_at, now))
    return f"The last block ended {ago} ago ({waited}, {words.duration(lasted)})."


@needs(VIEW_PAGES)
def overview(request: HttpRequest, site: AdminSite) -> HttpResponse:
    """The whole page."""
    context = _now(request)
    picture = None
    if not context["old"]:
        try:
            since, until, drawn = figures.recent_picture(HOURS)
            marks = marks_between(since, until)
            picture = svg.area(drawn.slots, marks, since, until, watched=drawn.watched)
        except DatabaseError:
            picture = None
    return page(
        request,
        site,
        "admin/index.html",
        "Overview",
        picture=picture,
        time_url=link("lockmon_time"),
        app_list=site.get_app_list(request),
        **context,
    )


@needs(VIEW_PAGES)
def overview_fragment(request: HttpRequest, site: AdminSite) -> HttpResponse:
    """What the overview's script puts in its place every two seconds: all but the picture."""
    return fragment(request, "lockmon/_overview.html", **_now(request))


@needs(VIEW_PAGES)
def everything(request: HttpRequest, site: AdminSite) -> HttpResponse:
    """All lists that this person may see: the stock admin's own index."""
    return page(request, site, "lockmon/everything.html", "Everything", app_list=site.get_app_list(request))
