"""What the history lists of satellites share: query texts with or without literals, times, names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from ..groups import VIEW_QUERY_TEXT
from ..views import words
from ..views.session_links import session_links
from .base import HistoryAdmin


class TextAware(HistoryAdmin):
    """A history list whose rows carry query text."""

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        found = super().get_queryset(request)
        if request.resolver_match and str(request.resolver_match.url_name).endswith("_changelist"):
            found = found.defer(*self.heavy)
        return found

    heavy: tuple[str, ...] = ()

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """Everything on a row's page is read-only."""
        return [str(name) for _, options in self.fieldsets or () for name in options["fields"]]

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        found = super().get_object(request, object_id, from_field)
        if found is not None:
            found.see_text = request.user.has_perm(VIEW_QUERY_TEXT)
        return found

    def _text(self, row: Any, text: str | None) -> SafeString | str:
        shown = text if getattr(row, "see_text", False) else words.hide_literals(text)
        if not shown:
            return "unknown"
        return format_html('<pre class="sql" tabindex="0">{}</pre>', words.highlight_sql(shown))

    @admin.display(description="from")
    def began(self, row: Any) -> SafeString:
        return words.moment(row.load_date, "short")

    @admin.display(description="to")
    def ended(self, row: Any) -> SafeString | str:
        return words.moment(row.load_end_date, "short") if row.load_end_date else "present"

    @admin.display(description="user", ordering="user_name")
    def user(self, row: Any) -> str:
        return words.printable_name(row.user_name, "unknown")

    @admin.display(description="application", ordering="application_name")
    def application(self, row: Any) -> str:
        return words.printable_name(row.application_name)


def nodes_in_words(values: Sequence[int] | None) -> SafeString | str:
    """Return nodes as links to their sessions' pages, at most twenty."""
    if not values:
        return "nobody"
    more = f" and {len(values) - 20} more" if len(values) > 20 else ""
    return format_html("{}{}", session_links(values[:20]), more)
