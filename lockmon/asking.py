"""What the address of a list may ask: what the list offers, and nothing else. One owner, for all lists.

Django's admin takes any field of a model as a filter, so that a list answers questions about columns that
it does not show: ``?query_text__startswith=`` gave a statement away letter by letter. Here a list answers
its own filters' parameters and the columns in ``asked_by``, and sorts by columns that it shows whole. All
else is refused before any query is made of it, with the answer that an unknown field gets. The site puts
this under every list that is registered, also those of other applications.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin.exceptions import DisallowedModelAdminLookup
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.utils import get_fields_from_path
from django.contrib.admin.views.main import SEARCH_VAR, ChangeList
from django.core.exceptions import FieldDoesNotExist
from django.db.models import (
    BooleanField,
    CharField,
    DateField,
    DecimalField,
    DurationField,
    Field,
    FloatField,
    GenericIPAddressField,
    IntegerField,
    Model,
)
from django.db.models.expressions import F, OrderBy
from django.http import HttpRequest

from .groups import VIEW_QUERY_TEXT


class AllowListedChangeList(ChangeList):
    """A list whose address asks for nothing but what its admin allows."""

    def get_filters(self, request: HttpRequest) -> Any:
        """The list's filters; IncorrectLookupParameters for any parameter that is none of theirs."""
        if any("\x00" in one for name, found in request.GET.lists() if name != SEARCH_VAR for one in found):
            raise IncorrectLookupParameters("no text of PostgreSQL has a NUL character")
        try:
            found = super().get_filters(request)
        except DisallowedModelAdminLookup as error:
            # Django's own refusal is another answer (400) than that of an unknown field
            raise IncorrectLookupParameters("not a filter of this list") from error
        # whatever the name was taken for, no filter has taken it
        if not all(self.model_admin.may_ask(request, name) for name in found[2]):  # type: ignore[attr-defined]
            raise IncorrectLookupParameters("not a filter of this list")
        return found

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> Any:
        """The list's rows; IncorrectLookupParameters for a value that a filter's column cannot have."""
        try:
            return super().get_queryset(request, exclude_parameters)
        except (TypeError, ValueError) as error:
            raise IncorrectLookupParameters("not a value of this column") from error

    def get_ordering_field(self, field_name: Any) -> Any:
        """What a column of the list is sorted by; None, as for one without an order, if it is not offered."""
        return super().get_ordering_field(field_name) if field_name in (self.sortable_by or ()) else None


class AllowListedAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """The admin of a list that answers what it offers and nothing else."""

    asked_by: tuple[str, ...] = ()
    """Columns that links ask for beside the filters, by equality; none may hold a text of a session."""
    shown_whole: tuple[str, ...] = ()
    """Columns of free text that the list may be sorted by, because everybody who sees it sees them whole."""

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """The list's class, with the allow list under whatever the application brings."""
        stock = super().get_changelist(request, **kwargs)
        if issubclass(stock, AllowListedChangeList):
            return stock
        return type(f"AllowListed{stock.__name__}", (AllowListedChangeList, stock), {})

    def sees_texts(self, request: HttpRequest) -> bool:
        """Whether this person sees and filters all of it: of the vault's tables, never of Django's own."""
        return bool(getattr(self.model, "vault", False)) and request.user.has_perm(VIEW_QUERY_TEXT)

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Whether a parameter is one of the list's own; an unknown column's is none, either."""
        if request is None:
            return False
        if self.sees_texts(request):
            return super().lookup_allowed(lookup, value, request)
        return self.may_ask(request, lookup) or any(
            lookup in _parameters(self.model, chosen) for chosen in self.get_list_filter(request)
        )

    def may_ask(self, request: HttpRequest, name: str) -> bool:
        """Whether this person may filter by a parameter that is no filter's."""
        day = self.date_hierarchy
        drilled = [f"{day}__{part}" for part in ("year", "month", "day", "gte", "lt")] if day else ()
        return name in self.asked_by or name in drilled or self.sees_texts(request)

    def get_sortable_by(self, request: HttpRequest) -> list[Any]:
        """The list's columns by which this person may sort it."""
        offered = super().get_sortable_by(request)
        return [column for column in offered if self.sees_texts(request) or self._may_sort(column)]

    def _may_sort(self, column: Any) -> bool:
        """Whether everybody who sees the list may sort by one of its columns."""
        field = _field_of(self.model, column) if isinstance(column, str) else None
        name = str(column)
        if field is None:
            shown = getattr(self, column, None) if isinstance(column, str) else column
            name = _name_of(getattr(shown, "admin_order_field", None))
            field = _field_of(self.model, name)
        return field is not None and (name in self.shown_whole or not is_free_text(field))

    def to_field_allowed(self, request: HttpRequest, to_field: str) -> bool:
        """Only a row's key names it in an address: any other column would be a filter."""
        key = self.opts.pk
        return key is not None and to_field in (key.name, key.attname)


def allow_listed(admin_class: type[admin.ModelAdmin[Any]] | None) -> type[admin.ModelAdmin[Any]]:
    """Return an admin's class with the allow list under it; the class itself where it has it already."""
    stock = admin_class or admin.ModelAdmin
    if issubclass(stock, AllowListedAdmin):
        return stock
    return type(stock.__name__, (AllowListedAdmin, stock), {"__module__": stock.__module__})


def _parameters(model: type[Model], chosen: Any) -> set[str]:
    """Return the parameters that one of a list's filters can take, without making it, which asks."""
    if isinstance(chosen, type):
        named = (getattr(chosen, name, "") for name in ("parameter_name", "parameter"))
        return {str(name) for name in (*named, *getattr(chosen, "parameters", ())) if name}
    path = chosen if isinstance(chosen, str) else chosen[0]
    field = get_fields_from_path(model, path)[-1]
    if isinstance(field.related_model, type):
        endings: tuple[str, ...] = (f"__{field.related_model._meta.pk.name}__exact", "__isnull")
    elif isinstance(field, DateField):
        endings = ("__gte", "__lt", "__isnull")
    else:
        endings = ("", "__exact", "__isnull", "__isempty")
    return {path + ending for ending in endings}


def _name_of(column: Any) -> str:
    """Return the name of the column in an order, however it is written; "" for an expression."""
    if isinstance(column, OrderBy):
        column = column.expression
    if isinstance(column, F):
        return str(getattr(column, "name", ""))
    return column.lstrip("-") if isinstance(column, str) else ""


def _field_of(model: type[Model], name: str) -> Field[Any, Any] | None:
    """Return the model's own column of this name; None for another model's, and for none."""
    try:
        found = model._meta.pk if name == "pk" else model._meta.get_field(name)
    except FieldDoesNotExist:
        return None
    return found if isinstance(found, Field) and not found.is_relation else None


def is_free_text(field: Field[Any, Any]) -> bool:
    """Whether a column can hold any text, or a digest of one: its value or order would tell what is in it."""
    if isinstance(field, CharField):
        return field.max_length is None
    known = (
        BooleanField,
        DateField,
        DecimalField,
        DurationField,
        FloatField,
        GenericIPAddressField,
        IntegerField,
    )
    return not isinstance(field, known) and not field.choices
