"""django-tables2 tables of our pages."""

from __future__ import annotations

from typing import Any

import django_tables2 as tables
from django.urls import reverse
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from .views import words
from .views.session_links import session_links

TEMPLATE = "lockmon/table.html"
NUMBER = {"th": {"class": "number"}, "td": {"class": "number"}}


class Duration(tables.Column):  # type: ignore[misc]
    """Seconds, shown as 6:12, aligned right."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("attrs", NUMBER)
        super().__init__(*args, **kwargs)

    def render(self, value: Any) -> str:
        return words.clock(value)


class Words(tables.Column):  # type: ignore[misc]
    """Seconds in words, 1 h 12 min, aligned right."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("attrs", NUMBER)
        super().__init__(*args, **kwargs)

    def render(self, value: Any) -> str:
        return words.duration(value)


class Count(tables.Column):  # type: ignore[misc]
    """A count with separators, aligned right."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("attrs", NUMBER)
        super().__init__(*args, **kwargs)

    def render(self, value: Any) -> str:
        return words.count(value)


class Moment(tables.Column):  # type: ignore[misc]
    """A moment in the person's zone, UTC on hover."""

    def render(self, value: Any) -> SafeString:
        return words.moment(value)


class Hostile(tables.Column):  # type: ignore[misc]
    """Text that came from a session: control and bidi characters made visible."""

    def render(self, value: Any) -> str:
        return words.one_line(value, 160)


class WaitersTable(tables.Table):  # type: ignore[misc]
    """Everybody who waits now."""

    pid = Count(verbose_name="pid")
    application = Hostile()
    user = Hostile()
    waited = Duration(verbose_name="waits")
    mode = tables.Column()
    object = tables.Column(verbose_name="waits for")
    behind = tables.Column(verbose_name="root blockers")
    query = tables.Column(verbose_name="statement", orderable=False)

    class Meta:
        template_name = TEMPLATE
        empty_text = "Nobody is waiting."

    def render_pid(self, value: Any, record: dict[str, Any]) -> SafeString:
        return format_html(
            '<a href="{}?{}">{}</a>', reverse("admin:lockmon_session"), record["identity"], value
        )

    def render_behind(self, value: Any) -> SafeString:
        return session_links(value)


class LossTable(tables.Table):  # type: ignore[misc]
    """Blocked seconds by one dimension of root blockers or of waits."""

    name = Hostile(verbose_name="what")
    seconds = Words(verbose_name="time lost by others")
    share = tables.Column(verbose_name="share", attrs=NUMBER)
    episodes = Count(verbose_name="episodes")
    longest = Duration(verbose_name="longest")

    class Meta:
        template_name = TEMPLATE
        empty_text = "Nobody waited in this period."
        orderable = False

    def render_name(self, value: Any, record: dict[str, Any]) -> SafeString | str:
        shown = words.one_line(value, 160) or "(no name)"
        return format_html('<a href="{}">{}</a>', record["url"], shown) if record.get("url") else shown

    def render_share(self, value: float) -> str:
        return f"{value:.0%}"


class ContentionTable(LossTable):
    """Waiting by relation or row."""

    seconds = Words(verbose_name="waited in total")
    episodes = Count(verbose_name="waits")

    class Meta(LossTable.Meta):
        empty_text = "Nobody waited for it in this period."


class PatternTable(tables.Table):  # type: ignore[misc]
    """The same deadlock over time, latest first."""

    between = Hostile(accessor="tables")
    deadlocks = Count(verbose_name="times")
    first_seen = Moment(verbose_name="first seen")
    last_seen = Moment(verbose_name="last seen")
    last_7_days = Count(verbose_name="last 7 days")
    previous_7_days = Count(verbose_name="7 days before", default="not watched")
    trend = tables.Column()

    class Meta:
        template_name = TEMPLATE
        empty_text = "No deadlock is in the vault."
        orderable = False

    def render_between(self, value: Any, record: Any) -> SafeString:
        address = reverse("admin:lockmon_deadlockevent_changelist")
        query = urlencode({"when": "any", "pattern": record["pattern_hash"]})
        return format_html('<a href="{}?{}">{}</a>', address, query, words.one_line(value, 160))


class AnalysisTable(tables.Table):  # type: ignore[misc]
    """Analyses of the last periods, newest first."""

    period = tables.Column(orderable=False)
    waits = Count(verbose_name="blocking events")
    average = tables.Column(verbose_name="average wait", attrs=NUMBER)
    p95 = tables.Column(verbose_name="p95 wait", attrs=NUMBER)
    blocked = Words(verbose_name="blocked")
    before = Words(verbose_name="period before")
    trend = tables.Column()
    watched = tables.Column()
    table = Hostile(verbose_name="most contended")

    class Meta:
        template_name = TEMPLATE
        empty_text = "No analysis yet: the first one is made within the hour."
        orderable = False
