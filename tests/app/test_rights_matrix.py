"""Every address that is served, by everybody, read and posted to: a new page without a rule fails here."""

from __future__ import annotations

import re

import pytest
from django.test import Client
from django.urls import get_resolver

from tests.support.addresses import address, routes, rows_of_each_kind
from tests.support.people import ROLES, browser

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
    """A row of each kind that the pages can show."""
    return rows_of_each_kind(vault_db)


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
