"""Random questions to lists: every column of a model, through its relations, with every lookup it has."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from django.contrib import admin
from django.db.models import Field, Model
from django.test import Client

SECRET = "S3CRET-4111-jane"
VALUES = (
    "S",
    SECRET,
    "S3",
    "select",
    "%",
    "^S3.*",
    "0",
    "1",
    "-1",
    "true",
    "2026-11-29",
    "2026-11-29 03:12:41",
    "a,b",
    "",
    "[]",
)
UNKNOWN = "nosuchcolumn"


def columns(model: type[Model], depth: int = 2) -> Iterator[tuple[str, Field[Any, Any]]]:
    """Every column of a model by its path, and those of the models that it leads to."""
    for field in model._meta.get_fields():
        if isinstance(field, Field):
            yield field.name, field
        other = field.related_model if depth > 1 and field.is_relation else None
        if isinstance(other, type):
            for path, inner in columns(other, depth - 1):
                yield f"{field.name}__{path}", inner


def endings(field: Field[Any, Any]) -> list[str]:
    """What can follow a column: nothing, a lookup, or a transform with a lookup of its own."""
    found = [""]
    for name, kind in field.get_lookups().items():
        found.append(f"__{name}")
        if hasattr(kind, "get_lookups"):
            found += [f"__{name}__{inner}" for inner in ("exact", "gt", "lt", "in", "startswith")]
    return [*found, "__0", "__len", "__query", "__nosuch"]


class Asker:
    """Makes questions to one list: filters of columns that are none of the list's own parameters."""

    def __init__(self, model: type[Model], offered: set[str], seed: int) -> None:
        self._made = random.Random(f"{model._meta.label} {seed}")
        self._columns = list(columns(model))
        self._offered = offered

    def question(self) -> dict[str, str]:
        """One or two parameters; the first is a column's."""
        while True:
            path, field = self._made.choice(self._columns)
            asked = {path + self._made.choice(endings(field)): self._made.choice(VALUES)}
            if self._made.random() < 0.2:
                asked["o"] = self._made.choice(["1", "-2", "1.2", "99"])
            if not self._offered & set(asked):
                return asked


def offered(shown: admin.ModelAdmin[Any], client: Client) -> set[str]:
    """The parameters that a list offers by itself: its filters', and what its links ask for."""
    address = address_of(shown)
    answer = client.get(address)
    found: set[str] = set(getattr(shown, "asked_by", ())) | {
        "q",
        "o",
        "p",
        "all",
        "e",
        "_popup",
        "_to_field",
        "_facets",
    }
    for spec in answer.context["cl"].filter_specs:
        found |= {str(name) for name in spec.expected_parameters() if name}
    for chosen in shown.get_list_filter(answer.wsgi_request):
        if isinstance(chosen, type):
            found.add(str(getattr(chosen, "parameter_name", "")))
        else:
            name = str(chosen[0] if isinstance(chosen, (list, tuple)) else chosen)
            found |= {f"{name}{ending}" for ending in ("", "__exact", "__isnull", "__id__exact")}
    return found


def address_of(shown: admin.ModelAdmin[Any]) -> str:
    """Where a list is."""
    return f"/admin/{shown.opts.app_label}/{shown.opts.model_name}/"
