"""A pid as a link to the session's page, the same in trees, lists, tables and sentences."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString


def session_query(node: int, started: datetime | None) -> str:
    """Return the query string that names a session: its node, and when it connected where that is known."""
    named = f"node={node}&pid={max(node, 0)}"
    if started is None:
        return named
    # of a moment only the colon has to be written otherwise; a page has hundreds of these
    moment = started.astimezone(UTC).isoformat().replace("+00:00", "Z").replace(":", "%3A")
    return f"{named}&backend_start={moment}"


def session_link(node: int, started: datetime | None = None) -> SafeString:
    """Return a node as a link: a pid, or a prepared transaction by its xid where the node is negative."""
    text = str(node) if node >= 0 else f"prepared transaction {-node}"
    return format_html(
        '<a href="{}?{}">{}</a>', reverse("admin:lockmon_session"), session_query(node, started), text
    )


def session_links(nodes: Iterable[int]) -> SafeString:
    """Return nodes as links with commas between them."""
    return format_html_join(", ", "{}", ((session_link(node),) for node in nodes))
