"""What a person may not see cannot be asked out: a list answers what it offers and nothing else."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.db import connections
from django.test import Client
from psycopg.types.json import Jsonb

from lockmon.models.api_token import ApiToken
from lockmon.models.monitor_state import MonitorState
from tests.support import hostile, scenes
from tests.support.asking import SECRET, UNKNOWN, Asker, address_of, offered
from tests.support.people import browser, person, use_app_login

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "vault"])

BATCH = 10
"""So many questions are asked until the page behind their answers is looked at."""


@pytest.fixture
def vault(vault_db: str) -> str:
    """One of everything, with a secret in each text of a session."""
    use_app_login()
    hostile.fill(vault_db)
    with psycopg.connect(vault_db, autocommit=True) as connection:
        rows = {
            "lock_activity": {"query_text": f"SELECT '{SECRET}'", "lock_type": "relation", "lock_pid": 7,
                              "lock_mode": "ShareLock", "lock_granted": False},
            "blocking_session": {"current_query": f"SELECT '{SECRET}'", "session_pid": 7, "is_root": True,
                                 "blocking_severity": "HIGH", "node": 7},
            "deadlock_event": {"deadlock_timestamp": hostile.NOW, "involved_pids": [7],
                               "deadlock_victim_query": f"SELECT '{SECRET}'", "log_excerpt": SECRET,
                               "involved_queries": [f"SELECT '{SECRET}'"],
                               "participants": Jsonb([{"pid": 7, "query": f"SELECT '{SECRET}'"}]),
                               "deadlock_graph": Jsonb({"query": SECRET}), "deadlock_id": "d7"},
        }  # fmt: skip
        common = {
            "load_date": hostile.NOW - timedelta(minutes=1),
            "hash_diff": b"\x02",
            "record_source": "test",
        }
        for name, values in rows.items():
            key = scenes.hub(connection, name, f"asked out {name}")
            scenes.insert(connection, f"{name}_s", common | {f"{name}_hk": key} | values)
        connection.execute(
            "INSERT INTO lock_admin.action_log (step, origin, action, target_pid, reason, facts, prediction)"
            " VALUES ('request', 'admin', 'terminate', 7, 'a test', %s, %s)",
            [Jsonb({"query": f"SELECT '{SECRET}'"}), Jsonb({"next_blockers": [{"query": SECRET}]})],
        )
        connection.execute(
            "WITH m AS (INSERT INTO monitoring.alert_message (kind, recipient, dedupe_key, context, state)"
            " VALUES ('test', 'a@example.org', 'asked out', %s, 'failed') RETURNING message_id)"
            " INSERT INTO monitoring.alert_delivery"
            " (message_id, attempt, started_at, finished_at, outcome, sentence)"
            " SELECT message_id, 1, now(), now(), 'failed', %s FROM m",
            [Jsonb({"sentence": SECRET}), f"The mail server did not take it: 554 {SECRET}"],
        )
    return vault_db


@pytest.fixture
def viewer(vault: str) -> Client:
    """Somebody who may see every list there is, and no texts."""
    client = browser("viewer")
    user = User.objects.get(username="viewer")
    user.user_permissions.add(
        *Permission.objects.filter(codename__startswith="view_").exclude(codename="view_query_text")
    )
    ApiToken.objects.create(user=user, name=SECRET, digest="d" * 64)
    return client


def lists() -> list[admin.ModelAdmin[Any]]:
    return [shown for _, shown in sorted(admin.site._registry.items(), key=lambda item: item[0]._meta.label)]


@contextmanager
def statements() -> Iterator[list[str]]:
    """The statements that both databases are sent meanwhile, without their parameters."""
    sent: list[str] = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        # once a minute a session notes its use, whatever was asked
        if not sql.startswith('UPDATE "django_session"'):
            sent.append(re.sub(r'"s\d+_x\d+"', "", sql))
        return execute(sql, params, many, context)

    with connections["vault"].execute_wrapper(note), connections["default"].execute_wrapper(note):
        yield sent


def text_of(answer: Any) -> str:
    """A page without what differs between any two of it: tokens, clocks, and durations."""
    content = bytes(answer.getvalue()).decode(errors="replace")
    content = re.sub(r'(csrfmiddlewaretoken" value|nonce)="[^"]*"', r"\1", content)
    content = re.sub(r"\d+:\d\d(:\d\d)?|\d+(\.\d+)? (ms|s|min|h|d)\b", "T", content)
    return re.sub(r"[0-9.]+,[0-9.]+( |\")|datetime=\"[^\"]*\"|20\d\d-\d\d-\d\d\S*", "", content)


def asked(client: Client, address: str, questions: list[dict[str, str]]) -> tuple[list[Any], list[str], str]:
    """What questions came to: status and address of each, the statements sent, and the page behind them."""
    came_to: list[Any] = []
    with statements() as sent:
        for question in questions:
            answer = client.get(address, question)
            came_to.append(
                (answer.status_code, answer.headers.get("Location"), answer.headers.get("Content-Type"))
            )
            if answer.status_code == 200:
                came_to.append(text_of(answer))
            answer.close()
    behind = next((one[1] for one in came_to if isinstance(one, tuple) and one[1]), None)
    return came_to, sent, text_of(client.get(behind)) if behind else ""


def hold_equal(client: Client, addresses: list[str], asker: Asker, number: int) -> int:
    """Ask so many random questions, of each address in turn; returns how many were answered alike."""
    wanted = {}
    for address in addresses:
        unknown = [{UNKNOWN: "1", "o": "1"}, *[{UNKNOWN: "1"}] * (BATCH - 1)]
        asked(client, address, unknown[:1])  # what is read once is read
        wanted[address] = asked(client, address, unknown)
        assert {one[0] for one in wanted[address][0]} == {302}
    held = 0
    for turn in range(-(-number // BATCH)):
        address = addresses[turn % len(addresses)]
        questions = [asker.question() for _ in range(BATCH)]
        found = asked(client, address, questions)
        for place, what in enumerate(("status and address", "statements sent", "page behind")):
            assert found[place] == wanted[address][place], (what, address, questions)
        held += BATCH
    return held


NUMBER = [BATCH, pytest.param(10_000, marks=pytest.mark.long)]


@pytest.mark.slow
@pytest.mark.parametrize("number", NUMBER)
def test_no_list_answers_a_lookup_that_it_does_not_offer(viewer: Client, number: int) -> None:
    for place, shown in enumerate(lists()):
        asker = Asker(shown.model, offered(shown, viewer), place)
        began = time.monotonic()
        assert hold_equal(viewer, [address_of(shown)], asker, number) == number
        print(f"{shown.opts.label}: {number} in {time.monotonic() - began:.0f} s", flush=True)


@pytest.mark.slow
@pytest.mark.parametrize("number", [3 * BATCH, NUMBER[1]])
def test_no_export_answers_a_lookup_that_its_list_does_not_offer(viewer: Client, number: int) -> None:
    for place, shown in enumerate(one for one in lists() if getattr(one, "export_columns", ())):
        asker = Asker(shown.model, offered(shown, viewer), 100 + place)
        addresses = [f"{address_of(shown)}export/{form}/" for form in ("csv", "json", "xlsx")]
        began = time.monotonic()
        assert hold_equal(viewer, addresses, asker, number) == number
        print(f"{shown.opts.label}, exported: {number} in {time.monotonic() - began:.0f} s", flush=True)


@pytest.mark.parametrize("number", NUMBER)
def test_the_api_answers_no_question_but_its_own(viewer: Client, vault: str, number: int) -> None:
    _, token = ApiToken.make(user=User.objects.get(username="viewer"), name="api")
    headers = {"Authorization": f"Bearer {token}"}
    since, until = (hostile.NOW + timedelta(hours=hours) for hours in (-2, 1))

    def answer(path: str, question: dict[str, str]) -> tuple[int, Any]:
        came = viewer.get(path, question, headers=headers)
        found = json.loads(came.content)
        for name in ("at", "until", "watched", "watched_share", "not_watched"):
            found.pop(name, None)
        for episode in found.get("episodes", ()):
            # grow while it goes on
            del episode["blocked_seconds"], episode["not_watched_seconds"]
        return came.status_code, found

    span = {"since": since.isoformat(), "until": until.isoformat()}
    for place, (path, label) in enumerate(
        [
            ("/api/episodes", "blockingsession"),
            ("/api/deadlocks", "deadlockevent"),
            ("/api/tree", "lockactivity"),
        ]
    ):
        (model,) = (one.model for one in lists() if one.opts.model_name == label)
        asker = Asker(model, {"since", "until", "at", "limit", "vault"}, 200 + place)
        more = (
            span if path == "/api/episodes" else {"since": span["since"]} if path == "/api/deadlocks" else {}
        )
        wanted = answer(path, {UNKNOWN: SECRET} | more)
        assert wanted[0] == 200 and SECRET not in json.dumps(wanted[1])
        for _ in range(number):
            question = asker.question()
            assert answer(path, question | more) == wanted, question
        print(f"{path}: {number}", flush=True)


def rows_of(client: Client, address: str) -> list[str]:
    """The keys of a list's rows, in order."""
    answer = client.get(address, follow=True)
    return [str(row.pk) for row in answer.context["cl"].result_list]


def test_no_list_is_sorted_by_what_it_does_not_show_whole(viewer: Client) -> None:
    for number, text in enumerate(("b", "c", "a")):
        MonitorState.objects.create(
            vault_alias="vault", instance=f"{number}", state="watching", reason=text, since=hostile.NOW,
            reported_at=hostile.NOW,
        )  # fmt: skip
    (states,) = (shown for shown in lists() if shown.model is MonitorState)
    where = list(states.list_display).index("reason")
    assert rows_of(viewer, f"{address_of(states)}?o={where}") == rows_of(viewer, f"{address_of(states)}?o=99")
    for shown in lists():
        address = (
            f"{address_of(shown)}?when=any&" if hasattr(shown, "when_default") else f"{address_of(shown)}?"
        )
        answer = viewer.get(address_of(shown))
        request = answer.wsgi_request
        sortable = shown.get_sortable_by(request)
        for index, column in enumerate(answer.context["cl"].list_display):
            if column in sortable:
                continue
            for sign in ("", "-"):
                assert rows_of(viewer, f"{address}o={sign}{index}") == rows_of(viewer, f"{address}o=99"), (
                    shown,
                    column,
                )


def test_a_search_finds_nothing_in_texts(viewer: Client) -> None:
    for shown in lists():
        when = (
            "&when=any&versions=all"
            if shown.opts.app_label == "lockmon" and getattr(shown, "text_search", None)
            else ""
        )
        for piece in (SECRET, SECRET[:4], "4111-jane"):
            if shown.model is ApiToken:
                continue  # the name of a token is shown, and is this secret
            nobodys = rows_of(viewer, f"{address_of(shown)}?q=nobody-has-written-this{when}")
            assert rows_of(viewer, f"{address_of(shown)}?q={piece}{when}") == nobodys, (shown, piece)
    dba = browser("dba")
    found = rows_of(dba, f"/admin/lockmon/lockactivity/?q={SECRET}&when=any&versions=all")
    assert len(found) == 1, "who may see texts searches them"


def test_no_page_of_a_row_shows_a_text(viewer: Client, vault: str) -> None:
    """Also where no fieldsets say what the page shows."""
    dba, seen = browser("dba"), []
    for shown in lists():
        if shown.opts.app_label != "lockmon" or shown.model is ApiToken:
            continue
        for row in shown.model._default_manager.all()[:20]:
            address = f"{address_of(shown)}{row.pk}/change/"
            page = viewer.get(address, follow=True)
            assert page.status_code in (200, 302), address
            assert SECRET not in page.content.decode(), address
            seen.append(SECRET in dba.get(address, follow=True).content.decode())
    assert seen.count(True) >= 4, "who may see texts does so there"


def test_who_may_see_texts_filters_them(vault: str) -> None:
    dba = browser("dba")
    for address, name in (
        ("/admin/lockmon/lockactivity/?when=any&versions=all&", "query_text__contains"),
        ("/admin/lockmon/blockingsession/?when=any&versions=all&", "current_query__contains"),
    ):
        assert len(rows_of(dba, f"{address}{name}={SECRET}")) == 1
        assert rows_of(dba, f"{address}{name}=nobody-has-written-this") == []


def test_no_password_and_no_token_is_asked_out(vault: str) -> None:
    """Not even by somebody who may do all."""
    person("viewer")
    superuser = browser("superuser")
    ApiToken.objects.create(user=User.objects.get(username="superuser"), name="x", digest="d" * 64)
    for address, name in (
        ("/admin/auth/user/", "password__startswith"),
        ("/admin/auth/user/", "api_tokens__digest__startswith"),
        ("/admin/auth/group/", "user__password__contains"),
        ("/admin/lockmon/apitoken/", "digest__startswith"),
        ("/admin/lockmon/apitoken/", "user__password__regex"),
    ):
        found = [superuser.get(address, {name: value}) for value in ("d", "md5", "zzz")]
        wanted = superuser.get(address, {UNKNOWN: "d"})
        assert {(one.status_code, one.headers.get("Location")) for one in found} == {
            (wanted.status_code, wanted.headers.get("Location"))
        }
        assert wanted.status_code == 302


def test_another_column_names_no_row(viewer: Client) -> None:
    for shown in lists():
        for address in (address_of(shown), f"{address_of(shown)}x/change/"):
            came_to = {
                viewer.get(address, {"_to_field": column}).status_code
                for column in ("password", "digest", "query_text", "query_fingerprint", UNKNOWN)
            }
            assert came_to in ({400}, {404}), address


def test_a_list_that_another_application_brings_is_held_to_it(viewer: Client) -> None:
    """The site puts the allow list under whatever is registered."""
    from lockmon.admin_site import LockmonAdminSite
    from lockmon.asking import AllowListedAdmin

    site = LockmonAdminSite()
    site.register(User)
    assert isinstance(site._registry[User], AllowListedAdmin)
    assert all(isinstance(shown, AllowListedAdmin) for shown in lists())


def test_a_value_that_a_column_cannot_have_is_no_filter_either(viewer: Client) -> None:
    for address, name, value in (
        ("/admin/lockmon/deadlockevent/", "victim", "abc"),
        ("/admin/lockmon/deadlockevent/", "victim", "\u00b2"),
        ("/admin/lockmon/deadlockevent/export/csv/", "victim", "abc"),
        ("/admin/lockmon/actionlog/", "action", "\x00"),
        ("/admin/lockmon/alertmessage/", "kind__exact", "a\x00"),
        ("/admin/lockmon/monitorstate/", "state__exact", "\x00"),
        ("/admin/auth/user/", "groups__id__exact", "abc"),
    ):
        asked_for = viewer.get(address, {name: value})
        unknown = viewer.get(address, {UNKNOWN: value})
        found = [(one.status_code, one.headers.get("Location")) for one in (asked_for, unknown)]
        assert found[0] == found[1], (address, name)
        assert found[0][0] == 302, (address, name)
