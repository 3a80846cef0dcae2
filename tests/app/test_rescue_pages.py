"""The rescue plan where people read it: pages, time machine, stop page, terminal, messages."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC
from html import unescape
from io import StringIO

import psycopg
import pytest
from django.core.management import call_command

from lockmon.calls import catalog
from lockmon.views import rescue
from tests.conftest import OpenSession
from tests.support import doors, scenes
from tests.support.people import browser
from tests.support.servers import Server
from tests.support.sessions import Session

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "vault"])

LIVE = (
    "/admin/",
    "/admin/monitor/live/",
    "/admin/monitor/live/fragment/",
    "/admin/monitor/overview/fragment/",
)


@pytest.fixture
def scene(server: Server, vault_db: str) -> Iterator[str]:
    """The alias `vault` leads to a prepared database, as the application's login."""
    with doors.led(server, vault_db) as dsn:
        yield dsn


def convoy(dsn: str, session: OpenSession, readers: int = 3, name: str = "migrate") -> Session:
    """A reader idle in its transaction, a queued ALTER TABLE, which is returned, and readers behind that."""
    session(dsn, user=doors.ORDINARY, application_name="report").run("SELECT count(*) FROM app.accounts")
    ddl = session(dsn, user=doors.ORDINARY, application_name=name)
    ddl.start("ALTER TABLE app.accounts ADD COLUMN note text")
    ddl.wait_blocked()
    for _ in range(readers):
        reader = session(dsn, user=doors.ORDINARY, application_name="api")
        reader.start("SELECT count(*) FROM app.accounts")
        reader.wait_blocked()
    return ddl


def text_of(page: str) -> str:
    """A page's text without its tags."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page)).split())


def test_pages_show_the_best_move_above_the_tree_with_its_button(scene: str, session: OpenSession) -> None:
    ddl = convoy(scene, session)
    dba, viewer = browser("dba"), browser("viewer")
    for path in LIVE:
        page = dba.get(path).content.decode()
        assert f"Cancel migrate ({ddl.pid}): frees 3 at once; loses nothing." in text_of(page), path
        assert page.index('id="rescue-title"') < page.index('id="roots"') < page.index('id="tree"'), path
        (button,) = re.findall(r'<a class="button stop" href="([^"]+)">Cancel ', page)
        assert "action=cancel" in button and f"pid={ddl.pid}&amp;backend_start=" in button
        seen = viewer.get(path).content.decode()
        assert f"Cancel migrate ({ddl.pid}): frees 3 at once" in text_of(seen), path
        assert '"button stop"' not in seen, "the button is for those who may"
    confirmation = dba.get(unescape(button)).content.decode()
    assert f"Step 1 of 1: Cancel migrate ({ddl.pid}): frees 3 at once; loses nothing." in text_of(
        confirmation
    )
    assert re.search(r'value="cancel"[^>]* checked', confirmation), "the plan's action is chosen"


def test_the_stop_page_says_when_another_stop_is_the_better_one(scene: str, session: OpenSession) -> None:
    ddl = convoy(scene, session)
    client = browser("dba")
    page = client.get("/admin/monitor/live/").content.decode()
    root = re.findall(r'<a class="stop" href="([^"]+)">', page)[0]
    told = text_of(client.get(unescape(root)).content.decode())
    assert "It is not among the plan's steps. The first of them is: Cancel migrate" in told
    assert str(ddl.pid) in told


def test_the_time_machine_shows_the_plan_of_then_without_buttons(scene: str, session: OpenSession) -> None:
    ddl = convoy(scene, session, 4)
    scenes.cycle(scene)
    with psycopg.connect(scene) as connection:
        found = connection.execute("SELECT max(load_date) FROM lock_monitoring.blocking_session_s").fetchone()
    assert found is not None
    moment = found[0].astimezone(UTC).isoformat().replace("+00:00", "Z")
    page = browser("dba").get(f"/admin/monitor/time/?at={moment}").content.decode()
    assert f"Best move then Cancel migrate ({ddl.pid}): frees 4 at once; loses nothing." in text_of(page)
    assert '"button stop"' not in page


def test_a_past_row_queue_goes_on_one_by_one(scene: str, session: OpenSession) -> None:
    root = doors.hold(session, scene)
    for _ in range(4):
        doors.wait(session, scene)
    scenes.cycle(scene)
    page = browser("dba").get("/admin/monitor/time/").content.decode()
    told = text_of(page)
    assert f"Terminate billing ({root.pid}): frees 1, the next 3 follow as each commits (one row" in told


def test_hostile_names_stay_text(scene: str, session: OpenSession) -> None:
    convoy(scene, session, name='<script>alert("x")</script>\u202e (1): frees all')
    page = browser("dba").get("/admin/monitor/live/").content.decode()
    assert "<script>alert" not in page and "\u202e" not in page
    assert "Cancel &lt;script&gt;" in page


def test_who_is_left_alone_is_named(vault_db: str, session: OpenSession) -> None:
    scenes.make_tables(vault_db)
    root, _ = scenes.row_queue(vault_db, session, 2)
    told = text_of(browser("dba").get("/admin/monitor/live/").content.decode())
    assert "No stop from here frees anybody." in told
    assert (
        f"billing-worker ({root.pid}) is left alone, with 2 behind it: pid {root.pid} is a superuser's"
        in told
    )


def test_nobody_waits_and_no_plan_is_shown(scene: str) -> None:
    client = browser("dba")
    for path in LIVE:
        assert "rescue-title" not in client.get(path).content.decode()
    out = StringIO()
    call_command("lockmon_rescue", stdout=out)
    assert out.getvalue() == "Nobody is waiting.\n"


def test_the_terminal_says_the_plan_and_what_to_type(scene: str, session: OpenSession) -> None:
    ddl = convoy(scene, session)
    out = StringIO()
    call_command("lockmon_rescue", stdout=out)
    assert out.getvalue() == (
        f"Cancel migrate ({ddl.pid}): frees 3 at once; loses nothing.\n"
        f"    manage.py lockmon_terminate {ddl.pid} --cancel --reason '...'\n"
    )
    out = StringIO()
    call_command("lockmon_rescue", "--json", stdout=out)
    (row,) = json.loads(out.getvalue())
    assert (row["step"], row["action"], row["pid"], row["frees_at_once"], row["follow"], row["loses"]) == (
        1, "cancel", ddl.pid, 3, 0, "nothing",
    )  # fmt: skip
    out = StringIO()
    call_command("lockmon_top", "--once", stdout=out)
    assert f"Best move: Cancel migrate ({ddl.pid}): frees 3 at once; loses nothing." in out.getvalue()


def test_a_plan_of_many_steps_opens_the_later_ones() -> None:
    rows = [
        catalog.PlanRow(n, "cancel", n, n, None, "a", 1, 0, False, "nothing", f"Cancel a ({n})")
        for n in range(1, 5)
    ]
    plan = rescue.shown(rows)
    assert [step.pid for step in plan.first] == [1, 2]
    assert [step.pid for step in plan.later] == [3, 4]
    assert rescue.of_session(rows, 3) == "Step 3 of 4: Cancel a (3)"
    assert rescue.of_session(rows, 9).endswith("The first of them is: Cancel a (1)")
    assert rescue.of_session([], 9) == ""
