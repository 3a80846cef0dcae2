"""The watched server or the web database is in trouble: every address answers in sentences, and is right
again when they are."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from django.db import close_old_connections, connections
from django.test import Client

from lockmon.models.api_token import ApiToken, digest
from lockmon.standing import memory
from onevault.postgresql import guard
from tests.conftest import OpenSession
from tests.support import outage, scenes, vaults
from tests.support.addresses import every_address
from tests.support.people import browser, person
from tests.support.poll import poll
from tests.support.servers import Server, throwaway
from tests.support.vaults import APP_LOGIN

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "vault"])

OURS = ("/admin/monitor/waiters/", "/admin/monitor/insight/", "/admin/lockmon/lockactivity/")
"""Pages that the vault alone can fill."""
FRAGMENTS = ("/admin/monitor/live/fragment/", "/admin/monitor/overview/fragment/")


@pytest.fixture(autouse=True)
def as_the_web() -> Iterator[None]:
    """What onevault/wsgi.py switches on; and a process that has seen nothing yet."""
    memory.forget()
    guard.switch_on()
    yield
    guard.switch_off()
    memory.forget()


@dataclass
class Asking:
    """Requests in a thread of their own, as the web server has them: each may take two seconds."""

    pool: ThreadPoolExecutor

    def get(self, client: Client, path: str, **more: Any) -> tuple[int, str]:
        """Status and text of an answer, which comes within a page's time."""

        def ask() -> tuple[int, str]:
            # as at the beginning and the end of a request
            close_old_connections()
            answer = client.get(path, **more)
            parts = getattr(answer, "streaming_content", None)
            whole = b"".join(parts) if parts is not None else answer.content
            answer.close()
            return answer.status_code, whole.decode()

        asked = self.pool.submit(ask)
        poll(asked.done, 2, f"an answer to {path}")
        return asked.result()


@pytest.fixture
def asking() -> Iterator[Asking]:
    with ThreadPoolExecutor(1) as pool:
        yield Asking(pool)
        pool.submit(connections.close_all).result()


@pytest.fixture(scope="module")
def other() -> Iterator[Server]:
    """Another server with a vault, which may be stopped and frozen; few connections fill it."""
    with throwaway({"max_connections": "30"}) as running:
        name = running.create_database(name="one_vault")
        vaults.install(running.dsn(name))
        scenes.make_tables(running.dsn(name))
        yield running


@contextlib.contextmanager
def led(alias: str, **place: Any) -> Iterator[None]:
    """An alias of Django's that leads elsewhere."""
    connection = connections[alias]
    connection.close()
    before = {
        key: connection.settings_dict[key]
        for key in ("HOST", "PORT", "NAME", "USER", "PASSWORD", "CONN_MAX_AGE")
    }
    connection.settings_dict.update(place | {"CONN_MAX_AGE": 60})
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict.update(before)


@pytest.fixture
def line(other: Server) -> Iterator[outage.Line]:
    """The line by which the pages ask the other server."""
    with outage.line_to(other) as made:
        place = {"HOST": outage.HOST, "PORT": made.port, "NAME": "one_vault", "USER": APP_LOGIN}
        with led("vault", **place, PASSWORD=""):
            yield made


@contextlib.contextmanager
def stopped(other: Server) -> Iterator[None]:
    """Nobody listens; behind a line there would always be somebody."""
    place = {"HOST": str(other.socket_directory), "PORT": other.port}
    with led("vault", **place), outage.stopped(other):
        yield


STATES: dict[str, tuple[Callable[[Server, outage.Line], contextlib.AbstractContextManager[None]], str]] = {
    "stopped": (lambda other, line: stopped(other), "The watched server is not running"),
    "frozen": (lambda other, line: outage.frozen(other), "The watched server does not answer"),
    "full": (lambda other, line: outage.full(other, APP_LOGIN), "The watched server has too many clients"),
    "delayed": (lambda other, line: outage.delayed(line), "The watched server does not answer"),
}


def no_connection_is_left(asking: Asking) -> None:
    """A page that has a connection may go on for a while where the server is full."""
    asking.pool.submit(connections.close_all).result()


@pytest.mark.slow
@pytest.mark.parametrize("state", STATES)
def test_every_address_answers_while_the_watched_server_is(
    state: str, other: Server, line: outage.Line, asking: Asking
) -> None:
    client = browser("superuser")
    trouble, title = STATES[state]
    assert asking.get(client, OURS[0])[0] == 200
    if state == "full":
        no_connection_is_left(asking)
    with trouble(other, line):
        for path in every_address():
            code, text = asking.get(client, path)
            assert code in (200, 302, 400, 401, 403, 404, 405, 503), (path, code)
            assert "Traceback" not in text and "Server Error" not in text, path
            if code == 503 and path != "/readyz":
                assert title in text, (path, text)
        for path in OURS:
            code, text = asking.get(client, path)
            assert code == 503 and "What to do" in text and "it last answered this web process at" in text
        for path in ("/admin/", "/admin/monitor/live/", *FRAGMENTS):
            code, text = asking.get(client, path)
            assert (code, title in text, "not the present" in text) == (200, True, True), path
        assert asking.get(client, "/readyz") == (
            503,
            '{"ready": false, "watching": {"vault": false}, "without": {}}',
        )
        assert asking.get(client, "/healthz") == (200, "ok\n")
    asking.pool.submit(connections.close_all).result()
    poll(lambda: asking.get(client, OURS[0])[0] == 200, 5, "the pages, right again")
    assert "not the present" not in asking.get(client, FRAGMENTS[0])[1]


def test_the_last_tree_is_shown_with_its_age_and_to_each_as_he_may_see_it(
    other: Server, line: outage.Line, asking: Asking, session: OpenSession
) -> None:
    dsn = other.dsn("one_vault")
    dba, viewer = browser("dba"), browser("viewer")
    holder, waiter = session(dsn), session(dsn)
    holder.run("UPDATE app.accounts SET balance = 4711000 WHERE id = 1")
    waiter.start("UPDATE app.accounts SET balance = 1234000 WHERE id = 1")
    waiter.wait_blocked()
    poll(lambda: str(waiter.pid) in asking.get(dba, FRAGMENTS[0])[1], 10, "the waiter in the tree")
    with outage.delayed(line):
        for client, sees in ((dba, True), (viewer, False)):
            for path in ("/admin/", "/admin/monitor/live/", *FRAGMENTS):
                code, text = asking.get(client, path)
                assert code == 200 and "Last seen at" in text and "not the present" in text, path
                assert "1 was waiting then" in text and str(waiter.pid) in text
                assert ("4711000" in text) is sees, (path, sees)
                assert "Stop…" not in text and "Nobody is waiting" not in text


def test_what_this_process_has_not_seen_it_says(other: Server, line: outage.Line, asking: Asking) -> None:
    client = browser("viewer")
    with outage.delayed(line):
        text = asking.get(client, "/admin/monitor/live/")[1]
    assert "this process of the web server has seen none since it began" in text
    assert "nobody" not in text.lower()


def test_scripts_are_told_the_same(other: Server, line: outage.Line, asking: Asking) -> None:
    token = "only-for-tests"
    viewer = person("viewer")
    assert viewer is not None
    ApiToken.objects.create(user=viewer, name="t", digest=digest(token))
    with stopped(other):
        answer = asking.get(Client(), "/api/tree", headers={"Authorization": f"Bearer {token}"})
        assert answer[0] == 503
        assert json.loads(answer[1])["error"].startswith("The watched server is not running. ")
        code, text = asking.get(browser("dba"), "/admin/monitor/time/fragment/?at=2026-11-22T03:12:41Z")
        assert code == 503 and text.startswith('<p class="heart bad"') and "<html" not in text


# --- the web database ---


@pytest.fixture
def web_line(server: Server) -> Iterator[outage.Line]:
    """The line by which the pages ask Django's own database."""
    with outage.line_to(server) as made:
        yield made


def by(made: outage.Line) -> contextlib.AbstractContextManager[None]:
    return led("default", HOST=outage.HOST, PORT=made.port)


def nobody_knows_who_asks(path: str) -> bool:
    """Whether an address asks the web database who it is that asks."""
    return path not in ("/", "/healthz", "/readyz", "/metrics")


@pytest.mark.slow
@pytest.mark.parametrize("state", ["gone", "silent"])
def test_every_address_answers_while_the_web_database_is(
    state: str, vault_db: str, web_line: outage.Line, asking: Asking
) -> None:
    client = browser("superuser")
    client.raise_request_exception = False
    place: dict[str, Any] = {"HOST": outage.HOST, "PORT": web_line.port}
    if state == "gone":
        place["PORT"] = 1
    with led("default", HOST=outage.HOST, PORT=web_line.port):
        assert asking.get(client, "/admin/")[0] == 200
        asking.pool.submit(connections.close_all).result()
        if state == "silent":
            web_line.delay = 30
        with led("default", **place):
            for path in filter(nobody_knows_who_asks, every_address()):
                code, text = asking.get(client, path)
                if path.startswith("/api/") or path == "/admin/login/" or code in (302, 404, 405):
                    # nothing is asked where no token is sent, or no such address is there
                    assert code < 500 or path == "/admin/login/", path
                    continue
                assert code == 503, (path, code, text)
                title = {"gone": "is not running", "silent": "does not answer"}[state]
                assert f"The web database {title}" in text, path
                assert "DATABASE_URL" in text or state == "silent"
            token = {"Authorization": "Bearer guess"}
            code, text = asking.get(client, "/api/tree", headers=token)
            assert code == 503 and json.loads(text)["error"].startswith("The web database ")
            for path in FRAGMENTS:
                code, text = asking.get(client, path)
                assert code == 503 and text.startswith('<p class="heart bad"') and "<html" not in text
            assert asking.get(client, "/healthz")[0] == 200
            assert "lockmon_watched" in asking.get(client, "/metrics")[1]
        web_line.delay = 0
        poll(lambda: asking.get(client, "/admin/")[0] == 200, 5, "the pages, right again")
        asking.pool.submit(connections.close_all).result()


CODES = {"read only": "25006", "full": "53100"}


@contextlib.contextmanager
def refusing_changes(server: Server, code: str) -> Iterator[None]:
    """Every change of Django's tables is refused with PostgreSQL's code for it."""
    name = str(connections["default"].settings_dict["NAME"])
    tables = connections["default"].introspection.table_names()
    with psycopg.connect(server.dsn(name), autocommit=True) as dba:
        dba.execute(
            "CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS"
            f" $$ BEGIN RAISE 'refused' USING ERRCODE = '{code}'; END $$"
        )
        for table in tables:
            dba.execute(
                f'CREATE TRIGGER refuse BEFORE INSERT OR UPDATE OR DELETE ON "{table}"'
                " FOR EACH ROW EXECUTE FUNCTION public.refuse()"
            )
        try:
            yield
        finally:
            dba.execute("DROP FUNCTION public.refuse() CASCADE")


@pytest.mark.parametrize("state", CODES)
def test_who_is_logged_in_goes_on_reading_while_the_web_database_is(
    state: str, vault_db: str, server: Server, asking: Asking
) -> None:
    client = browser("superuser")
    client.raise_request_exception = False
    kept = client.session
    kept["lockmon_used_at"] = int(time.time()) - 120
    kept.save()
    title = {"read only": "is read only", "full": "has no room left"}[state]
    fresh = Client(raise_request_exception=False)
    with refusing_changes(server, CODES[state]):
        for path in ("/admin/monitor/live/", "/admin/", *OURS, *FRAGMENTS):
            assert asking.get(client, path)[0] == 200, path
        # a page that leaves a message for the next one writes it into the session
        moded = asking.pool.submit(lambda: client.post("/admin/lockmon/policy/of/nobody/mode/", {}))
        poll(moded.done, 2, "an answer")
        assert moded.result().status_code == 503
        assert f"The web database {title}" in moded.result().content.decode()
        posted = asking.pool.submit(
            lambda: fresh.post("/admin/login/", {"username": "superuser", "password": "only-for-tests"})
        )
        poll(posted.done, 2, "an answer")
        answer = posted.result()
        assert answer.status_code == 503 and f"The web database {title}" in answer.content.decode()
        assert "Whether what you sent was done is not known" in answer.content.decode()
    assert (
        fresh.post("/admin/login/", {"username": "superuser", "password": "only-for-tests"}).status_code
        == 302
    )
