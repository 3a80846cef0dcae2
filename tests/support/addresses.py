"""Every address that the project serves, and a row for each page that shows one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import psycopg
from django.contrib.auth.models import Group, User
from django.urls import URLResolver, get_resolver
from django_q.models import Schedule

from lockmon.models.api_token import ApiToken
from lockmon.models.report import PastReport
from tests.support import hostile
from tests.support.people import use_app_login


def routes(resolver: Any, before: str = "") -> Iterator[str]:
    """Every route of the project, as its parts are written."""
    for entry in resolver.url_patterns:
        route = before + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from routes(entry, route)
        # the admin's lists of an app's models, and its catch-all for addresses without a slash
        elif not route.endswith("$"):
            yield route


def every_address() -> list[str]:
    """All that can be read, by keys of things that are not there; but for the way out."""
    found = dict.fromkeys(address(route, {}) for route in routes(get_resolver()))
    return [path for path in found if "logout" not in path]


def rows_of_each_kind(dsn: str) -> dict[str, str]:
    """Make a row of each kind that pages show: its key by model and by the name of the route's part."""
    use_app_login()
    keys = hostile.fill(dsn)
    with psycopg.connect(dsn, options="-c search_path=pg_catalog") as connection:
        row = connection.execute(
            "SELECT alert_key, satellite_id FROM monitoring.alert_overview LIMIT 1"
        ).fetchone()
    assert row is not None
    owner = User.objects.create_superuser("owner", password="only-for-tests")
    token = ApiToken.objects.create(user=owner, name="grafana", digest="0" * 64)
    found = {
        "lockactivity": keys["lock_activity"],
        "blockingsession": keys["blocking_session"],
        "lockwaitanalysis": keys["lock_wait_analysis"],
        "deadlock": keys["deadlock"],
        "episode": keys["episode"],
        "alert": str(row[0]),
        "alertevent": "00" * 32,
        "apitoken": str(token.pk),
        "user": str(owner.pk),
        "group": str(Group.objects.create(name="there").pk),
        "schedule": str(Schedule.objects.create(func="builtins.print").pk),
    }
    assert PastReport.objects.count() == 0
    return found


def address(route: str, places: dict[str, str]) -> str:
    """A path for a route; `places` has the keys of what is there."""
    words = [*re.findall(r"\w+", route), "nothing"]
    key = next((places[word] for word in words if word in places), "00" * 32)
    values = {
        "form": "csv",
        "number": "1",
        "name": "nobody",
        "action": "acknowledge",
        "key": key,
        "id": "999",
    }
    values["object_id"] = key if any(word in places for word in words) else "1"
    return "/" + re.sub(r"<(?:\w+:)?(\w+)>", lambda part: values[part[1]], route)
