"""Filters of the history lists: cheap, because none of them asks the vault for its distinct values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import ValidationError
from django.db import DatabaseError, connections
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from ..calls import tenants
from ..views import words

Choice = tuple[str, str]


def typed_moment(text: str | None) -> datetime | None:
    """Return a moment typed or linked (ISO 8601, the site's zone where it names none); None for an empty
    text.

    Raises ValidationError with a sentence where the text is no moment.
    """
    if not text:
        return None
    try:
        value = parse_datetime(text.strip().replace(" ", "T", 1))
        if value is None and len(text.strip()) == 10:
            value = parse_datetime(f"{text.strip()}T00:00:00")
    except ValueError as error:
        raise ValidationError(f"{words.one_line(text, 40)} is not a date and time: {error}.") from error
    if value is None:
        raise ValidationError(f"{words.one_line(text, 40)} is not a date and time: say 2026-11-22 03:12:41.")
    return value if timezone.is_aware(value) else timezone.make_aware(value)


class WhenFilter(admin.ListFilter):
    """A time range: a preset, or from and until. Without a choice the last day, so that a list is always
    cheap."""

    title = "when"
    template = "admin/lockmon/when_filter.html"
    parameter = "when"
    parameters = ("since", "until")
    presets: ClassVar[dict[str, tuple[str, timedelta | None]]] = {
        "hour": ("last hour", timedelta(hours=1)),
        "day": ("last 24 hours", timedelta(days=1)),
        "week": ("last 7 days", timedelta(days=7)),
        "month": ("last 30 days", timedelta(days=30)),
        "any": ("any time", None),
    }
    default = "day"
    field = "load_date"

    def __init__(
        self, request: HttpRequest, params: dict[str, list[str]], model: type[Model], model_admin: Any
    ) -> None:
        super().__init__(request, params, model, model_admin)
        self.field = getattr(model_admin, "when_field", self.field)
        self.default = getattr(model_admin, "when_default", self.default)
        for name in (self.parameter, "since", "until"):
            if name in params and params[name][-1]:
                self.used_parameters[name] = params.pop(name)[-1]
            else:
                params.pop(name, None)
        self.kept: list[tuple[str, str]] = []

    def has_output(self) -> bool:
        return True

    def expected_parameters(self) -> list[str | None]:
        return [self.parameter, "since", "until"]

    @property
    def since_text(self) -> str:
        return str(self.used_parameters.get("since", ""))

    @property
    def until_text(self) -> str:
        return str(self.used_parameters.get("until", ""))

    def choices(self, changelist: ChangeList) -> Iterator[dict[str, Any]]:
        ours = ("p", self.parameter, "since", "until")
        self.kept = [(key, value) for key, value in changelist.params.items() if key not in ours]
        typed = self.since_text or self.until_text
        chosen = self.used_parameters.get(self.parameter, self.default)
        for key, (title, _) in self.presets.items():
            yield {
                "selected": not typed and key == chosen,
                "query_string": changelist.get_query_string({self.parameter: key}, ["since", "until"]),
                "display": title,
            }

    def period(self) -> tuple[datetime | None, datetime | None]:
        """Return from when until when; None: without a bound.

        Raises ValidationError with a sentence where what was asked for is no time.
        """
        since, until = typed_moment(self.since_text), typed_moment(self.until_text)
        if since or until:
            return since, until
        chosen = self.used_parameters.get(self.parameter, self.default)
        if chosen not in self.presets:
            raise ValidationError(f"{chosen} is no time range.")
        length = self.presets[chosen][1]
        return (None if length is None else timezone.now() - length), None

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        since, until = self.period()
        if since:
            queryset = queryset.filter(**{f"{self.field}__gte": since})
        return queryset.filter(**{f"{self.field}__lt": until}) if until else queryset


class TextFilter(admin.ListFilter):
    """A name to type: exact, or with ``*`` for any text."""

    template = "admin/lockmon/text_filter.html"
    parameter = ""
    fields: Sequence[str] = ()

    def __init__(
        self, request: HttpRequest, params: dict[str, list[str]], model: type[Model], model_admin: Any
    ) -> None:
        super().__init__(request, params, model, model_admin)
        value = params.pop(self.parameter, [""])[-1]
        self.value = value[:200]
        if value:
            self.used_parameters[self.parameter] = value

    def has_output(self) -> bool:
        return True

    def expected_parameters(self) -> list[str | None]:
        return [self.parameter]

    def choices(self, changelist: ChangeList) -> Iterator[dict[str, Any]]:
        kept = [(key, value) for key, value in changelist.params.items() if key not in ("p", self.parameter)]
        yield {"kept": kept, "clear": changelist.get_query_string(remove=[self.parameter])}

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if not self.value:
            return queryset
        if "\x00" in self.value:
            raise ValidationError("A name has no NUL character.")
        found = Q()
        for name in self.fields:
            found |= self._match(name)
        return queryset.filter(found)

    def _match(self, name: str) -> Q:
        if "*" not in self.value:
            return Q(**{name: self.value})
        middle = self.value.strip("*")
        if "*" in middle:
            raise ValidationError("A * stands at the beginning or at the end of a name.")
        if self.value.startswith("*"):
            lookup = "icontains" if self.value.endswith("*") else "iendswith"
        else:
            lookup = "startswith"
        return Q(**{f"{name}__{lookup}": middle})


def text_filter(title_: str, *fields_: str) -> type[TextFilter]:
    """Return a text filter over one or more columns, its parameter named after the title."""

    class Typed(TextFilter):
        title = title_
        parameter = title_.replace(" ", "_")
        fields = fields_

    return Typed


class FixedFilter(admin.SimpleListFilter):
    """A choice among values known beforehand."""

    column = ""
    values: Sequence[Choice] = ()

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[Choice]:
        return self.values

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        if not value:
            return queryset
        if value not in {key for key, _ in self.values}:
            raise ValidationError(f"{value} is no choice for {self.title}.")
        return queryset.filter(**{self.column: value})


def fixed_filter(title_: str, column_: str, values_: Sequence[Choice]) -> type[FixedFilter]:
    """Return a filter on a column over fixed values."""

    class Fixed(FixedFilter):
        title = title_
        parameter_name = title_.replace(" ", "_")
        column = column_
        values = values_

    return Fixed


SeverityFilter = fixed_filter("severity", "blocking_severity", [(item, item) for item in words.SEVERITIES])
KindFilter = fixed_filter("kind", "kind", list(words.KINDS.items()))
MODES = [
    "AccessShareLock",
    "RowShareLock",
    "RowExclusiveLock",
    "ShareUpdateExclusiveLock",
    "ShareLock",
    "ShareRowExclusiveLock",
    "ExclusiveLock",
    "AccessExclusiveLock",
]
ModeFilter = fixed_filter("mode", "lock_mode", [(item, item.removesuffix("Lock")) for item in MODES])
LOCK_TYPES = ("relation", "transactionid", "tuple", "virtualxid", "advisory", "extend", "page", "object")
LockTypeFilter = fixed_filter("lock type", "lock_type", [(item, item) for item in LOCK_TYPES])


class YesNoFilter(admin.SimpleListFilter):
    """A boolean column in words."""

    column = ""
    words_: tuple[str, str] = ("yes", "no")

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[Choice]:
        return (("yes", self.words_[0]), ("no", self.words_[1]))

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return (
            queryset
            if self.value() not in ("yes", "no")
            else queryset.filter(**{self.column: self.value() == "yes"})
        )


class GrantedFilter(YesNoFilter):
    title = "granted"
    parameter_name = "granted"
    column = "lock_granted"
    words_ = ("held", "waiting")


class RootFilter(YesNoFilter):
    title = "root"
    parameter_name = "root"
    column = "is_root"
    words_ = ("root blockers", "in the middle of a queue")


class VersionFilter(admin.SimpleListFilter):
    """One row a thing, or each version of it that the vault keeps."""

    title = "versions"
    parameter_name = "versions"
    ended = "resolution_action"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[Choice]:
        return (("open", "present now"), ("all", "every version"))

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        found = [dict(choice) for choice in super().choices(changelist)]
        found[0]["display"] = "last of each"
        yield from found

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() == "all":
            return queryset
        if self.value() == "open":
            return queryset.filter(load_end_date=None)
        return queryset.filter(Q(load_end_date=None) | Q(**{f"{self.ended}__isnull": False}))


class EpisodeVersionFilter(VersionFilter):
    ended = "ended_how"


class EndedFilter(FixedFilter):
    """How a lock or an episode ended."""

    title = "how it ended"
    parameter_name = "ended"
    column = "resolution_action"
    values = tuple((key, text) for key, text in words.ENDINGS.items())


class EpisodeEndedFilter(EndedFilter):
    column = "ended_how"


class TenantFilter(admin.SimpleListFilter):
    """The tenant of the row's hub; at most fifty are offered."""

    title = "tenant"
    parameter_name = "tenant"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[Choice]:
        try:
            with connections[model_admin.model.objects.db].cursor() as cursor:
                found = tenants.names(cursor, limit=50)
        except DatabaseError:
            return ()
        return [(key, words.one_line(name, 40)) for key, name in found.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if not self.value():
            return queryset
        hub = queryset.model.hub_field
        try:
            return queryset.filter(**{f"{hub}__tenant_hk": self.value()})
        except ValidationError as error:
            raise ValidationError("This is no tenant.") from error
