"""What all history lists share: reading only, cheap counts, filters that last, exports of what is
filtered."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.response import SimpleTemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone

from .. import watched_words
from ..asking import AllowListedAdmin, is_free_text
from ..groups import EXPORT_HISTORY, VIEW_QUERY_TEXT
from ..views import words
from ..views.export import FORMATS, Column, exported
from ..views.figures import watched_between
from .searching import EstimatingPaginator, HistoryChangeList


def rendered(response: HttpResponse) -> HttpResponse:
    """Render a template response now, so that an error of the vault is met where it can be said."""
    if isinstance(response, SimpleTemplateResponse) and not response.is_rendered:
        return response.render()
    return response


class HistoryAdmin(AllowListedAdmin):
    """A read-only history list over a satellite: nobody adds, changes or deletes the past."""

    actions = None
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    paginator = EstimatingPaginator
    list_per_page = 50
    list_max_show_all = 200
    ordering = ("-satellite_id",)
    when_field = "load_date"
    text_search: tuple[str, ...] = ()
    """Columns that hold query text: searched only with the permission to see them."""
    export_columns: tuple[Column, ...] = ()
    told_of: tuple[str, str] | None = None
    """The fields that say of what time a row's page speaks."""
    lasting: tuple[str, str] | None = None
    """The exported columns that say from when until when a row holds, where it holds for a time."""
    change_list_template = "admin/lockmon/history_list.html"
    change_form_template = "admin/lockmon/history_form.html"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        """What a row's page shows where no fieldsets say it: all to who may see query texts; to others
        what is exported, what is no free text, and what the list shows whole."""
        columns = self.opts.fields
        if self.sees_texts(request):
            return [column.name for column in columns]
        shown = {column.path for column in self.export_columns if not column.text} | set(self.shown_whole)
        return [column.name for column in columns if column.name in shown or not is_free_text(column)]

    def get_search_fields(self, request: HttpRequest) -> list[str]:
        """Texts are searched only by those who may see them: a search would tell what is in them."""
        fields = list(super().get_search_fields(request))
        return fields + list(self.text_search) if request.user.has_perm(VIEW_QUERY_TEXT) else fields

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        return super().get_search_results(request, queryset, search_term.replace("\x00", "")[:200])

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return HistoryChangeList

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        try:
            return super().get_changelist_instance(request)
        except IncorrectLookupParameters as error:
            raise ValidationError(
                "A filter in the address is not known here; all are shown again."
            ) from error

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The list; a filter that makes no sense gives one sentence and the unfiltered list."""
        kept = request.GET.copy()
        for name in ("p", "o", "all"):
            kept.pop(name, None)
        extra = {
            "exports": [(name, f"export/{name}/?{kept.urlencode()}") for name in FORMATS]
            if self._may_export(request)
            else [],
            "title": str(self.opts.verbose_name_plural).capitalize(),
            **(extra_context or {}),
        }
        try:
            response = super().changelist_view(request, extra)
            return rendered(response)
        except ValidationError as error:
            messages.error(request, " ".join(error.messages))
            return HttpResponseRedirect(request.path)

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        extra_context = {"not_watched": self._not_watched(request, object_id), **(extra_context or {})}
        response = super().changeform_view(request, object_id, form_url, extra_context)
        return rendered(response)

    def _not_watched(self, request: HttpRequest, object_id: str | None) -> str:
        """Return what of the time that a row's page speaks of was not watched."""
        found = self.get_object(request, object_id) if object_id and self.told_of else None
        if found is None or self.told_of is None:
            return ""
        start, end = (getattr(found, name) for name in self.told_of)
        return "" if start is None else watched_words.sentence(watched_between(start, end or timezone.now()))

    def _may_export(self, request: HttpRequest) -> bool:
        return bool(self.export_columns) and request.user.has_perm(EXPORT_HISTORY)

    def get_urls(self) -> list[URLPattern]:
        name = f"{self.opts.app_label}_{self.opts.model_name}_export"
        ours = path("export/<str:form>/", self.admin_site.admin_view(self.export_view), name=name)
        return [ours, *super().get_urls()]

    def export_view(self, request: HttpRequest, form: str) -> HttpResponseBase:
        """What the list's filters select, as a file."""
        if not self.has_view_permission(request) or not self._may_export(request):
            raise PermissionDenied
        back = reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist")
        if form not in FORMATS:
            messages.error(
                request, f"{words.one_line(form, 20)} is no format here: choose {', '.join(FORMATS)}."
            )
            return HttpResponseRedirect(back)
        try:
            found = self.get_changelist_instance(request)
            rows = found.get_queryset(request)
            see_text = request.user.has_perm(VIEW_QUERY_TEXT)
            seen = found.watched() if isinstance(found, HistoryChangeList) else None
            name = str(self.opts.model_name)
            return exported(rows, self.export_columns, form, name, see_text, seen, self.lasting)
        except ValidationError as error:
            messages.error(request, " ".join(error.messages))
            return HttpResponseRedirect(back)

    def link(self, **filters: Any) -> str:
        """Return the address of this list with filters."""
        name = reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist")
        return f"{name}?{urlencode(filters)}"
