"""The JSON API: who may ask, what comes back, and that docs/openapi.yaml says the same."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import Client
from django.urls import resolve

from lockmon.groups import ADMINS, READERS
from lockmon.models import ApiToken
from tests.conftest import OpenSession
from tests.support.loops import rows
from tests.support.people import browser

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "vault"])

DOCUMENT: dict[str, Any] = yaml.safe_load(
    (Path(__file__).resolve().parents[2] / "docs" / "openapi.yaml").read_text(encoding="utf-8")
)
TYPES = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": float,
    "boolean": bool,
    "null": type(None),
}


def token(group: str | None, name: str = "somebody") -> str:
    user = User.objects.create_user(name)
    if group:
        user.groups.add(Group.objects.get(name=group))
    out = io.StringIO()
    call_command("lockmon_token", name, "test", stdout=out)
    return out.getvalue().strip()


def get(path: str, bearer: str | None) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
    response = Client().get(path, headers=headers)
    return response.status_code, response.json()


def hold(value: Any, schema: dict[str, Any], where: str = "") -> None:
    """Assert that a value is what a schema says; as much of JSON Schema as the document uses."""
    if "$ref" in schema:
        schema = DOCUMENT["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    assert isinstance(value, tuple(TYPES[kind] for kind in kinds)), f"{where}: {value!r}"
    if "enum" in schema:
        assert value in schema["enum"], where
    if isinstance(value, dict):
        assert set(schema.get("required", ())) <= set(value), where
        for name, inner in schema.get("properties", {}).items():
            hold(value[name], inner, f"{where}.{name}")
    if isinstance(value, list):
        for number, one in enumerate(value):
            hold(one, schema["items"], f"{where}[{number}]")


@pytest.fixture
def blocked(vault_db: str, session: OpenSession) -> int:
    """The pid of a session that others wait for, with a literal in their statement."""
    holder, waiter = session(vault_db), session(vault_db)
    holder.run("SELECT pg_advisory_xact_lock(81, 1)")
    waiter.start("SELECT pg_advisory_xact_lock(81, 1), 'secret'")
    waiter.wait_blocked()
    rows(vault_db, "SELECT * FROM lock_monitoring.run_lock_monitoring()")
    return holder.pid


def test_every_documented_path_answers_as_documented(vault_db: str, blocked: int) -> None:
    bearer = token(READERS)
    for path, methods in DOCUMENT["paths"].items():
        assert resolve(path)
        code, value = get(path, bearer)
        assert code == 200
        schema = methods["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        hold(value, schema, path)


def test_the_tree_now_and_as_of_a_moment(vault_db: str, blocked: int) -> None:
    bearer = token(READERS)
    _, now = get("/api/tree", bearer)
    assert {node["pid"] for node in now["nodes"] if node["is_root"]} == {blocked}
    _, then = get(f"/api/tree?at={now['at']}", bearer)
    assert then["as_of"]
    assert {node["pid"] for node in then["nodes"] if node["is_root"]} == {blocked}
    for moment in (now, then):
        first = moment["plan"][0]
        assert (first["step"], first["action"], first["pid"]) == (None, "leave", blocked)
        assert "superuser" in first["text"]
        assert [node["severity_score"] > 100 for node in moment["nodes"] if node["is_root"]] == [True]
    _, before = get("/api/tree?at=2020-01-01T00:00:00Z", bearer)
    assert before["nodes"] == before["plan"] == []
    _, episodes = get("/api/episodes", bearer)
    assert [one["session_pid"] for one in episodes["episodes"]] == [blocked]


def test_literals_are_hidden_from_readers(vault_db: str, blocked: int) -> None:
    _, seen = get("/api/tree", token(READERS, "viewer"))
    assert "secret" not in str(seen)
    _, seen = get("/api/tree", token(ADMINS, "dba"))
    assert "secret" in str(seen)


def test_who_may_not_ask(vault_db: str) -> None:
    assert get("/api/tree", None)[0] == 401
    assert get("/api/tree", "guess")[0] == 401
    assert get("/api/tree", token(None, "nobody"))[0] == 403
    bearer = token(READERS, "viewer")
    assert Client().post("/api/tree", headers={"Authorization": f"Bearer {bearer}"}).status_code == 405
    User.objects.filter(username="viewer").update(is_active=False)
    assert get("/api/tree", bearer)[0] == 401


def test_an_expired_or_withdrawn_token_is_none(vault_db: str) -> None:
    bearer = token(READERS)
    ApiToken.objects.update(expires_at="2020-01-01T00:00:00Z")
    assert get("/api/tree", bearer)[0] == 401
    ApiToken.objects.update(expires_at=None)
    assert get("/api/tree", bearer)[0] == 200
    with pytest.raises(CommandError, match="withdraw it first"):
        call_command("lockmon_token", "somebody", "test")
    call_command("lockmon_token", "somebody", "test", "--withdraw", stdout=io.StringIO())
    assert get("/api/tree", bearer)[0] == 401


@pytest.mark.parametrize(
    ("path", "code", "words"),
    [
        ("/api/tree?at=yesterday", 400, "with its offset"),
        ("/api/tree?at=2026-13-45T00:00:00Z", 400, "with its offset"),
        ("/api/episodes?limit=0", 400, "from 1 to 1000"),
        ("/api/deadlocks?limit=many", 400, "from 1 to 1000"),
        ("/api/tree?vault=elsewhere", 404, "There is no vault"),
    ],
)
def test_bad_questions_get_one_sentence(vault_db: str, path: str, code: int, words: str) -> None:
    status, value = get(path, token(READERS))
    assert status == code
    assert words in value["error"]


def test_lost_time_that_is_not_stored_is_unknown(vault_db: str, blocked: int) -> None:
    """Not 0: no wait behind the episode is there."""
    with psycopg.connect(vault_db, autocommit=True) as connection:
        connection.execute(
            "UPDATE lock_monitoring.lock_activity_s SET blocking_nodes = '{}', root_nodes = '{}'"
        )
    _, found = get("/api/episodes", token(READERS))
    (one,) = found["episodes"]
    assert [one[name] for name in ("waiting", "blocked_seconds", "not_watched_seconds")] == [None] * 3
    page = browser("viewer").get(f"/admin/monitor/episode/{one['episode']}/").content.decode()
    assert "no wait behind it is stored" in page
