"""The page of deadlocks that the log only claims: who, when, why only claimed, and what would prove them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.contrib.admin import AdminSite
from django.db import connections
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString

from ..calls import claims
from ..groups import VIEW_PAGES
from . import words
from .context import VAULT, needs, page, rights

TITLE = "Claimed deadlocks"
SHOWN = 100


@dataclass(frozen=True)
class Line:
    """One claimed deadlock as it is shown. standing: waiting for proof, or claimed."""

    happened_at: datetime
    pid: int
    others: str
    who: str
    standing: str
    why: str
    query: SafeString | str


def line(one: claims.Claim, see_text: bool) -> Line:
    """Return a claim in words; its statement whole only for who may see query texts."""
    names = [words.printable_name(name) for name in (one.user, one.application, one.database) if name]
    shown = one.query if see_text else words.hide_literals(one.query)
    return Line(
        happened_at=one.happened_at,
        pid=one.pid,
        others=", ".join(str(pid) for pid in one.other_pids[:10]) or "unknown",
        who=", ".join(names) or "unknown",
        standing="claimed, waits for its proof" if one.waiting else "claimed",
        why=one.why,
        query=words.highlight_sql(words.visible(shown)) if shown else "unknown",
    )


@needs(VIEW_PAGES)
def claimed(request: HttpRequest, site: AdminSite) -> HttpResponse:
    """GET: the latest of them."""
    see = rights(request).query_text
    with connections[VAULT].cursor() as cursor:
        found, number = claims.latest(cursor, None, SHOWN + 1)
    return page(
        request,
        site,
        "lockmon/claimed.html",
        TITLE,
        lines=[line(one, see) for one in found[:SHOWN]],
        number=claims.figure(number),
        more=len(found) > SHOWN,
    )
