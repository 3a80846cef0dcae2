"""Lists over millions of rows: found in one pass, counted cheaply, searched newest first in bounded steps.

A filter or a search that matches little would read the whole period, and with it keep a page waiting for
seconds. So beyond so many rows only the latest are searched, the page says how far back that was, and a link
goes on from there.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, cast

from django.core.paginator import Page, Paginator
from django.db import connections
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from .. import watched, watched_words
from ..asking import AllowListedChangeList
from ..calls.coverage import monitor_status
from ..views.context import VAULT
from .filters import WhenFilter

EXACT_UP_TO = 2_000
MOST_FILTERED = 100_000
"""So many rows of the vault are looked through for a filter at once; typed text costs twice as much."""
MOST_SEARCHED = 50_000
UNBOUNDED = {"when", "since", "until", "versions", "p", "all"}
"""Parameters that do not make a list slow: the rows come in order, and most of them fit."""


class EstimatingPaginator(Paginator):  # type: ignore[type-arg]
    """Finds the keys of the first 2,000 rows in one pass: they are the count, and the pages.

    Above that the count is the planner's estimate, which costs nothing. ``about`` tells.
    """

    @cached_property
    def keys(self) -> list[Any]:
        rows: QuerySet[Any] = cast("QuerySet[Any]", self.object_list)
        return list(rows.values_list("pk", flat=True)[: EXACT_UP_TO + 1])

    @cached_property
    def count(self) -> int:
        if len(self.keys) <= EXACT_UP_TO:
            return len(self.keys)
        return max(len(self.keys), estimate(cast("QuerySet[Any]", self.object_list).order_by()))

    @property
    def about(self) -> bool:
        return len(self.keys) > EXACT_UP_TO

    def page(self, number: int | str) -> Page:  # type: ignore[type-arg]
        number = self.validate_number(number)
        first = (number - 1) * self.per_page
        if first + self.per_page > EXACT_UP_TO:
            return super().page(number)
        keys = self.keys[first : first + self.per_page]
        rows: QuerySet[Any] = cast("QuerySet[Any]", self.object_list)
        found = {row.pk: row for row in rows.order_by().filter(pk__in=keys)} if keys else {}
        return Page([found[key] for key in keys if key in found], number, self)


def estimate(rows: QuerySet[Any]) -> int:
    """Return how many rows PostgreSQL's planner expects."""
    plan = rows.explain(format="json")
    found = json.loads(plan) if isinstance(plan, str) else plan
    return int(found[0]["Plan"]["Plan Rows"])


@dataclass(frozen=True)
class Reach:
    """How far a list was searched: the latest ``rows``, back to ``moment``; ``older`` goes on from there."""

    rows: int
    moment: datetime
    older: str


class HistoryChangeList(AllowListedChangeList):
    """A list that says how far back it has searched, where that is not the whole period."""

    reach: Reach | None = None
    not_watched = ""
    """What of the list's period was not watched, as a sentence; "" if all of it was."""

    def get_results(self, request: HttpRequest) -> None:
        self.reach = self._bounded()
        seen = self.watched()
        self.not_watched = "" if seen is None else watched_words.sentence(seen)
        super().get_results(request)

    def watched(self) -> watched.Watched | None:
        """Return what of the list's period was watched, from the first look on if it has no beginning; None
        for a list of no period."""
        when = next((spec for spec in self.filter_specs if isinstance(spec, WhenFilter)), None)
        if when is None:
            return None
        since, until = when.period()
        with connections[VAULT].cursor() as cursor:
            if since is None:
                since = monitor_status(cursor).first_look_at
            end = until or timezone.now()
            return watched.read(cursor, end if since is None else since, end)

    def _bounded(self) -> Reach | None:
        asked = {name for name, value in self.params.items() if value} - UNBOUNDED
        when = next((spec for spec in self.filter_specs if isinstance(spec, WhenFilter)), None)
        if (not asked and not self.query) or when is None or when.field != "load_date":
            return None
        if not any(field.name == "satellite_id" for field in self.model._meta.fields):
            return None
        since, until = when.period()
        begun = self.root_queryset.filter(load_date__lt=until) if until else self.root_queryset
        newest = _first(begun.order_by("-load_date"))
        within = self.root_queryset.filter(load_date__gte=since) if since else self.root_queryset
        oldest = _first(within.order_by("load_date"))
        most = MOST_SEARCHED if self.query else MOST_FILTERED
        if newest is None or oldest is None or newest - oldest <= most:
            return None
        edge = self.root_queryset.filter(satellite_id__gt=newest - most).order_by("satellite_id")
        moment = edge.values_list("load_date", flat=True).first()
        if moment is None:
            return None
        self.queryset = self.queryset.filter(satellite_id__gt=newest - most, load_date__gte=moment)
        bounds = {"since": since.isoformat() if since else "", "until": moment.isoformat()}
        return Reach(most, moment, self.get_query_string(bounds, ["when", "p"]))


def _first(rows: QuerySet[Model]) -> int | None:
    return rows.values_list("satellite_id", flat=True).first()
