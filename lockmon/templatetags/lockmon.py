"""Filters of our templates: the words of ``lockmon.views.words``, and coordinates."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from django import template
from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from .. import errors
from ..views import words
from ..views.session_links import session_link
from ..views.svg import Bar

register = template.Library()


@register.filter
def hostile(value: object, limit: int = 110) -> str:
    """Text from a session on one line, control and bidi characters made visible."""
    return words.one_line(value, int(limit))


@register.filter
def problem(sentence: str | None, may_see: bool = False) -> str:
    """Why a message was not delivered; the recipient's own answer only for who may see query texts."""
    return errors.problem(sentence, may_see)


@register.filter
def moment(value: datetime | None, style: str = "long") -> SafeString:
    """A moment as a ``<time>`` element with UTC on hover."""
    return words.moment(value, style)


@register.filter
def lasted(value: Any) -> str:
    """Seconds in words."""
    return words.duration(value)


@register.filter
def clock(value: Any) -> str:
    """Seconds as 6:12."""
    return words.clock(value)


@register.filter
def counted(value: int | None) -> str:
    """A count with separators; "unknown" for None."""
    return words.count(value)


@register.filter
def xy(value: float) -> str:
    """A coordinate with a point, whatever the language."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


@register.filter
def iso(value: datetime) -> str:
    """A moment for an address."""
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@register.simple_tag
def slots(bars: Sequence[Bar], link_to: str) -> SafeString:
    """The clickable slots of a picture, up to 300 of them: a template's loop takes four times as long."""
    return format_html_join(
        "",
        '<a href="{}?at={}" tabindex="-1" aria-label="{}">'
        '<rect class="slot" x="{}" y="8" width="{}" height="132"><title>{}</title></rect></a>',
        ((link_to, iso(bar.moment), bar.title, xy(bar.x), xy(bar.width), bar.title) for bar in bars),
    )


@register.filter
def badge(value: str | None) -> SafeString:
    """A severity as a word with a shape."""
    return words.severity_badge(value)


@register.filter
def iso_exact(value: datetime) -> str:
    """A moment for an address, to the microsecond: a change is at one."""
    return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


@register.filter
def local(value: datetime) -> str:
    """A moment as one would type it, in the site's zone."""
    return timezone.localtime(value).strftime("%Y-%m-%d %H:%M:%S")


@register.filter
def session(pid: int | None) -> SafeString | str:
    """A pid as a link to its session's page; "unknown" for None."""
    return "unknown" if pid is None else session_link(pid)


@register.filter
def add_xy(value: float, more: float) -> str:
    """A coordinate moved by so much."""
    return xy(float(value) + float(more))


@register.filter
def short(value: float) -> str:
    """Seconds for a small cell: 12, 5m, 3h."""
    if value < 99.5:
        return f"{value:.0f}"
    return f"{value / 60:.0f}m" if value < 5970 else f"{value / 3600:.0f}h"
