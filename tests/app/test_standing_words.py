"""What is said of a database that fails, of a fault and of a refusal: to people, programs and scripts."""

from __future__ import annotations

import contextlib
import json
import logging
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import DatabaseError, connections
from django.db.backends.sqlite3.base import DatabaseWrapper
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from lockmon.standing import causes, memory
from onevault import logs
from tests.support.people import browser
from tests.support.servers import Server

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "vault"])

REFRESHED = {"X-Lockmon-Refresh": "1"}


@pytest.fixture(autouse=True)
def new_process() -> Iterator[None]:
    memory.forget()
    yield
    memory.forget()


def sqlite(place: str, **options: Any) -> DatabaseWrapper:
    """The web database in SQLite, by Django's own backend."""
    settings = {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": place,
        "OPTIONS": {"timeout": 0.1} | options,
        "TIME_ZONE": None,
        "CONN_MAX_AGE": 0,
        "CONN_HEALTH_CHECKS": False,
        "AUTOCOMMIT": True,
    }
    return DatabaseWrapper(settings, causes.WEB)


def locked(path: Path) -> Iterator[DatabaseWrapper]:
    other = sqlite3.connect(path)
    other.execute("BEGIN IMMEDIATE")
    yield sqlite(str(path))
    other.close()


def full(path: Path) -> Iterator[DatabaseWrapper]:
    yield sqlite(str(path), init_command="PRAGMA max_page_count = 2")


STATES: dict[str, Callable[[Path], Iterator[DatabaseWrapper]]] = {
    "locked": locked,
    "disk full": full,
    "read only": lambda path: iter([sqlite(f"file:{path}?mode=ro", uri=True)]),
    "disk": lambda path: iter([sqlite(f"{path.parent}/nowhere/web.sqlite3")]),
    "no tables": lambda path: iter([sqlite(f"{path.parent}/other.sqlite3")]),
}


@pytest.mark.parametrize("kind", STATES)
def test_what_sqlite_says_is_understood(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "web.sqlite3"
    with contextlib.closing(sqlite3.connect(path)) as made:
        made.execute("CREATE TABLE t (x)")
        made.commit()
    for wrapper in STATES[kind](path):
        with pytest.raises(DatabaseError) as caught, wrapper.cursor() as cursor:
            cursor.execute("INSERT INTO t VALUES (zeroblob(100000))")
        wrapper.close()
        assert causes.kind_of(caught.value) == kind
        cause = causes.cause_of(caught.value)
        assert (cause.alias, cause.status) == (causes.WEB, 503)
        assert cause.title.startswith("The web database ") and cause.todo


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        ({"dbname": "no_such_database"}, "absent"),
        ({"user": "no_such_login"}, "login"),
        ({"port": 1}, "refused"),
    ],
)
def test_what_postgresql_says_before_there_is_a_session_is_understood(
    server: Server, place: dict[str, Any], kind: str
) -> None:
    with pytest.raises(psycopg.OperationalError) as caught:
        psycopg.connect(server.dsn(), **place)
    assert causes.kind_of(caught.value) == kind


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("SELECT * FROM no_such_table", "not installed"),
        ("SET statement_timeout = 1; SELECT pg_sleep(5)", "timeout"),
        ("SET default_transaction_read_only = on; CREATE TABLE t ()", "read only"),
        ("SELECT 1/0", "other"),
        ("SELECT pg_terminate_backend(pg_backend_pid())", "restarting"),
    ],
)
def test_what_a_session_of_postgresql_says_is_understood(server: Server, statement: str, kind: str) -> None:
    with psycopg.connect(server.dsn(), autocommit=True) as connection, pytest.raises(psycopg.Error) as caught:
        for one in statement.split("; "):
            connection.execute(one)
    assert causes.kind_of(caught.value) == kind


def failing(error: Exception) -> Callable[..., HttpResponse]:
    def view(request: HttpRequest, **_: Any) -> HttpResponse:
        raise error

    return view


PAGES: list[tuple[str, dict[str, Any], int, str]] = [
    ("/admin/monitor/nowhere/", {}, 404, "There is no such page"),
    ("/nowhere", {}, 404, "There is no such page"),
    ("/admin/auth/user/", {}, 403, "That is not for this login"),
    ("/admin/", {"HTTP_HOST": "evil.example"}, 400, "This server does not answer to that name"),
]


@pytest.mark.parametrize(("path", "more", "code", "title"), PAGES)
def test_a_refusal_is_a_page_of_the_site(path: str, more: dict[str, Any], code: int, title: str) -> None:
    answer = browser("viewer").get(path, **more)
    text = answer.content.decode()
    assert answer.status_code == code
    assert f"<h1>{title}</h1>" in text and "lockmon.css" in text and "What to do" in text
    assert "Server Error" not in text and "<h1>Not Found" not in text
    assert "no-store" in answer["Cache-Control"] and "script-src 'self'" in answer["Content-Security-Policy"]


def test_programs_and_scripts_are_refused_in_their_own_form() -> None:
    answer = Client().get("/api/nothing")
    assert answer.status_code == 404 and answer["Content-Type"] == "application/json"
    assert json.loads(answer.content)["error"].startswith("There is no such page. ")
    answer = browser("outsider").get("/admin/monitor/live/fragment/")
    assert answer.status_code == 403 and answer.content.startswith(b'<p class="heart bad"')
    answer = Client().get("/nowhere", headers=REFRESHED)
    assert answer["X-Lockmon-Standing"] == "absent"


def test_a_form_without_its_token_is_refused_in_words() -> None:
    client = Client(enforce_csrf_checks=True)
    answer = client.post("/admin/login/", {"username": "dba", "password": "x"})
    assert answer.status_code == 403
    assert "<h1>That form was not taken</h1>" in answer.content.decode()
    assert "CSRF_TRUSTED_ORIGINS" in answer.content.decode()


def test_a_fault_of_ours_is_a_page_with_a_reference(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    client = browser("viewer")
    client.raise_request_exception = False
    monkeypatch.setattr("lockmon.views.live.look", failing(ValueError("secret='4711'")))
    with CaptureQueriesContext(connections["default"]) as before:
        client.get("/admin/monitor/nowhere/")
    answer = client.get("/admin/monitor/waiters/")
    text = answer.content.decode()
    assert answer.status_code == 500 and "<h1>This page failed</h1>" in text
    assert "4711" not in text and "Traceback" not in text and "Tries again" not in text
    (said,) = [line for line in caplog.messages if line.startswith("Fault ")]
    assert said.split()[1].rstrip(":") in text
    assert before.captured_queries == [] or all("session" in one["sql"] for one in before.captured_queries)


def test_an_error_of_the_web_database_that_is_our_fault_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    client = browser("viewer")
    client.raise_request_exception = False

    def wrong(request: HttpRequest, alias: str = "") -> Any:
        with connections["default"].cursor() as cursor:
            cursor.execute("SELECT 1/0")

    monkeypatch.setattr("lockmon.views.live.look", wrong)
    assert client.get("/admin/monitor/waiters/").status_code == 500


def test_a_page_that_a_database_could_not_give_is_one_line_of_the_log() -> None:
    try:
        raise DatabaseError("the server does not answer")
    except DatabaseError as error:
        caught = (DatabaseError, error, error.__traceback__)
    record = logging.LogRecord("django.request", logging.ERROR, "", 0, "%s", ("x",), caught)
    record.status_code = 503
    for formatter in (logs.TextFormatter(), logs.JsonFormatter()):
        assert "Traceback" not in formatter.format(record)
    few = logs.Few(most=2)
    assert [few.filter(record) for _ in range(3)] == [True, True, False]
    record.status_code = 500
    assert "Traceback" in logs.TextFormatter().format(record)


def test_since_when_is_told_and_forgotten_when_all_is_well(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(memory, "CALM", 0.0)
    first = memory.failed("vault", "it is gone.")
    assert first.answered is None
    assert memory.failed("vault", "it is gone.").since == first.since
    assert len([line for line in caplog.messages if "it is gone" in line]) == 1
    memory.answered("vault")
    again = memory.failed("vault", "it is gone.")
    assert again.since > first.since and again.answered is not None


def test_a_tree_is_remembered_within_bounds(vault_db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MOST_NODES", 2)
    from dataclasses import fields

    from lockmon.calls.catalog import WaitNode

    def node(number: int, behind: int) -> WaitNode:
        values: dict[str, Any] = {one.name: None for one in fields(WaitNode)}
        values |= {"node": number, "blocked_total": behind, "query": "x" * 5000}
        return WaitNode(**values)

    memory.remember("vault", [node(1, 0), node(2, 5), node(3, 9)], memory.BEGUN)
    seen = memory.last_tree("vault")
    assert seen is not None and [row.node for row in seen.rows] == [3, 2] and seen.left_out == 1
    assert all(len(row.query or "") == memory.MOST_TEXT and row.query_truncated for row in seen.rows)


def test_the_variable_that_is_named_is_the_one_that_is_set(settings: Settings) -> None:
    error = DatabaseError("password authentication failed")
    assert "in DATABASE_URL." in causes.told(causes.WEB, "login", error).sentence
    settings.WEB_SCHEMA = "onevault_web"
    assert "in VAULT_DATABASE_URL." in causes.told(causes.WEB, "login", error).sentence
