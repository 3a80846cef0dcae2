"""The time machine: the tree as of any moment of the past, and the way from change to change."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.contrib.admin import AdminSite
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from ..admin.filters import typed_moment
from ..groups import VIEW_PAGES
from . import figures, past, svg
from .context import fragment, link, needs, page, rights
from .marks import marks_between

SPANS = {"1": 1, "6": 6, "24": 24, "168": 168, "720": 720}
SLOTS = 144


def _asked(request: HttpRequest) -> tuple[datetime | None, datetime | None, str]:
    try:
        return typed_moment(request.GET.get("at")), typed_moment(request.GET.get("compare")), ""
    except ValidationError as error:
        return None, None, " ".join(error.messages)


def _context(request: HttpRequest) -> dict[str, Any]:
    at, compare, trouble = _asked(request)
    now = timezone.now()
    span = SPANS.get(request.GET.get("span", ""), 6)
    if at is not None and at > now:
        at, trouble = now, "That moment has not come yet: this is now."
    see = rights(request).query_text
    if at is None:
        at = now
        if not request.GET.get("at"):
            at = past.last_busy(now) or now
    then = past.at_moment(at, see)
    other = past.at_moment(compare, see) if compare is not None else None
    since, until = _window(at, span, now)
    drawn = figures.cached_picture(since, until, SLOTS)
    marks = marks_between(since, until)
    return {
        "then": then,
        "tree": then.tree,
        "other": other,
        "difference": past.compared(then, other) if other else "",
        "trouble": trouble,
        "span": span,
        "spans": [(key, _span_words(hours)) for key, hours in SPANS.items()],
        "picture": svg.area(drawn.slots, marks, since, until, cursor=at, watched=drawn.watched),
        "time_url": link("lockmon_time"),
        "past": True,
        "now": now,
    }


def _span_words(hours: int) -> str:
    return f"{hours} h" if hours <= 24 else f"{hours // 24} days"


def _window(at: datetime, hours: int, now: datetime) -> tuple[datetime, datetime]:
    """Return a period around the moment, on a grid, so that stepping does not redraw another picture each
    time."""
    grid = hours * 3600 // 4
    middle = int(at.timestamp()) // grid * grid + grid // 2
    latest = int(now.timestamp()) // 300 * 300 + 300
    end = datetime.fromtimestamp(min(middle + hours * 1800, latest), tz=timezone.get_current_timezone())
    return end - timedelta(hours=hours), end


@needs(VIEW_PAGES)
def time_machine(request: HttpRequest, site: AdminSite) -> HttpResponse:
    """The whole page; ``at`` and ``compare`` are moments, so that a link leads to exactly this."""
    context = _context(request)
    return page(request, site, "lockmon/time.html", "Time machine", **context)


@needs(VIEW_PAGES)
def time_fragment(request: HttpRequest, site: AdminSite) -> HttpResponse:
    """What stepping and playing put in the page's place."""
    return fragment(request, "lockmon/_time.html", **_context(request))
