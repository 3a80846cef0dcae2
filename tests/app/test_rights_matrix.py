"""Every address that is served, by everybody, read and posted to: a new page without a rule fails here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import URLResolver, get_resolver
from django_q.models import Schedule

from lockmon.models.api_token import ApiToken
from lockmon.models.report import PastReport
from tests.support import hostile
from tests.support.people import ROLES, browser, use_app_login

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "vault"])

HISTORY = "lockactivity|blockingsession|deadlockevent|lockwaitanalysis|actionlog"
READ_ONLY = f"{HISTORY}|policy|alert|alertevent|alertmessage|monitorstate|pastreport"

# What a GET and a POST come to, for anonymous, outsider (staff without a group), viewer, dba, superuser:
#   L sent to the login   R refused (403)   U no token (401)   M not that method (405)   I let in
# "Let in" is not "done": what is not there is a 404, a form without its fields a page with a sentence.
# The first rule whose pattern is found in the route holds.
RULES: list[tuple[str, str, str]] = [
    (r"^$", "IIIII", "IIIII"),
    (r"^(healthz|readyz)$", "IIIII", "MMMMM"),
    # from this host, no token being set; tests/app/test_metrics.py has the other ways
    (r"^metrics$", "IIIII", "MMMMM"),
    (r"^api/", "UUUUU", "MMMMM"),
    (r"^admin/login/$", "IIIII", "IIIII"),
    (r"^admin/logout/$", "IMMMM", "IIIII"),
    (r"^admin/(jsi18n|password_change/done)/$", "LIIII", "LMMMM"),
    (r"^admin/(password_change/)?$", "LIIII", "LIIII"),
    # no list of ours asks for it
    (r"^admin/autocomplete/$", "LRRRR", "LMMMM"),
    (r"^admin/monitor/", "LRIII", "LRIII"),
    # the door, the log import, and what changes policies and alerts
    (r"^admin/lockmon/actionlog/stop/$", "LRRII", "LRRII"),
    (r"^admin/lockmon/deadlockevent/import-log/$", "LRRII", "LRRII"),
    (r"^admin/lockmon/policy/of/<str:name>/(mode|backtest)/$", "LRRRR", "LRRII"),
    (r"^admin/lockmon/policy/(add/|of/<str:name>/rules/)$", "LRRII", "LRRII"),
    (r"^admin/lockmon/alert/(add/|<str:key>/(copy|switch|snooze|test)/)$", "LRRII", "LRRII"),
    (r"^admin/lockmon/alert/<str:key>/change/$", "LRIII", "LRRII"),
    (r"^admin/lockmon/alertevent/act/", "LRRII", "LRRII"),
    # a token is its owner's to take back
    (r"^admin/lockmon/apitoken/<path:object_id>/delete/$", "LRRII", "LRRII"),
    # what there is to read; no list of policies, alerts or messages is exported
    (r"^admin/lockmon/(policy|alert|alertmessage)/export/", "LRRRR", "LRRRR"),
    (rf"^admin/lockmon/({READ_ONLY})/(export/<str:form>/)?$", "LRIII", "LRIII"),
    (r"^admin/lockmon/apitoken/$", "LRIII", "LRIII"),
    (
        r"^admin/lockmon/(actionlog/(outcome/|<int:number>/)|policy/(of|backtest)/<\w+:\w+>/)$",
        "LRIII",
        "LRIII",
    ),
    (r"^admin/lockmon/alert(event)?/<str:key>/(change|history)/$", "LRIII", "LRIII"),
    # the past: nobody adds, changes or deletes it
    (rf"^admin/lockmon/({READ_ONLY}|apitoken)/add/$", "LRRRR", "LRRRR"),
    (rf"^admin/lockmon/({READ_ONLY})/<path:object_id>/delete/$", "LRRRR", "LRRRR"),
    (rf"^admin/lockmon/({READ_ONLY}|apitoken)/<path:object_id>/change/$", "LRIII", "LRRRR"),
    (rf"^admin/lockmon/({HISTORY})/<path:object_id>/history/$", "LRIII", "LRIII"),
    (r"^admin/lockmon/apitoken/<path:object_id>/history/$", "LRIII", "LRIII"),
    # no row of these is there: back to the index, whoever asks
    (r"^admin/lockmon/\w+/<path:object_id>/history/$", "LIIII", "LIIII"),
    # the queue: a dba looks, a superuser mends
    (r"^admin/django_q/\w+/$", "LRRII", "LRRII"),
    (r"^admin/django_q/schedule/<path:object_id>/history/$", "LRRII", "LRRII"),
    (r"^admin/django_q/\w+/<path:object_id>/history/$", "LIIII", "LIIII"),
    (r"^admin/django_q/\w+/<path:object_id>/change/$", "LRRII", "LRRRI"),
    (r"^admin/django_q/schedule/(add|<path:object_id>/delete)/$", "LRRRI", "LRRRI"),
    (r"^admin/django_q/\w+/add/$", "LRRRR", "LRRRR"),
    (r"^admin/django_q/\w+/<path:object_id>/delete/$", "LRRRI", "LRRRI"),
    # people and groups: superusers
    (r"^admin/auth/(user|group)/(add/|<[\w:]+>/(password|change|delete|history)/)?$", "LRRRI", "LRRRI"),
    # the short form of an address that ends with change/
    (r"^admin/\w+/\w+/<path:object_id>/$", "LIIII", "LIIII"),
]


def routes(resolver: Any, before: str = "") -> Iterator[str]:
    """Every route of the project, as its parts are written."""
    for entry in resolver.url_patterns:
        route = before + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from routes(entry, route)
        # the admin's lists of an app's models, and its catch-all for addresses without a slash
        elif not route.endswith("$"):
            yield route


def rule(route: str) -> tuple[str, str]:
    """What is wanted of a route."""
    for pattern, read, posted in RULES:
        if re.search(pattern, route):
            return read, posted
    pytest.fail(f"{route} has no rule: who may read it, who may post to it?")


def came_to(client: Client, method: str, path: str) -> str:
    """One letter for what a request came to."""
    answer = getattr(client, method)(path)
    answer.close()
    if answer.status_code == 302 and "/login/" in answer["Location"]:
        return "L"
    return {401: "U", 403: "R", 405: "M"}.get(answer.status_code, "I")


@pytest.fixture
def places(vault_db: str) -> dict[str, str]:
    """A row of each kind that the pages can show: its key by model and by the name of the route's part."""
    use_app_login()
    keys = hostile.fill(vault_db)
    with psycopg.connect(vault_db) as connection:
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


@pytest.mark.slow
@pytest.mark.parametrize("role", ROLES)
def test_everybody_by_every_address(places: dict[str, str], role: str) -> None:
    client, place = browser(role), ROLES.index(role)
    wrong: list[str] = []
    seen: set[str] = set()
    for route in dict.fromkeys(routes(get_resolver())):
        wanted = dict(zip(("get", "post"), rule(route), strict=True))
        path = address(route, places)
        # of two routes that fit an address the first one answers
        if path in seen:
            continue
        seen.add(path)
        for method, letters in wanted.items():
            if "logout" in route and method == "post":
                continue
            found = came_to(client, method, path)
            if found != letters[place]:
                wrong.append(f"{method.upper()} {path}: {found}, not {letters[place]}")
    assert not wrong, "\n".join(wrong)
    assert len(seen) > 120


def test_whoever_logs_out_is_out() -> None:
    client = browser("viewer")
    client.post("/admin/logout/")
    assert came_to(client, "get", "/admin/") == "L"
