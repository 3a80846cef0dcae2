"""An open page while the watched server, the web database or the web server is in trouble: it keeps what it
showed, says how old that is, and says of nobody that he watches."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connections
from playwright.sync_api import Page, expect

from lockmon.standing import memory
from tests.conftest import OpenSession
from tests.e2e.test_accessibility import findings
from tests.support import scenes
from tests.support.loops import running_loop, until_watching

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True, databases=["default", "vault"])]

Visit = Callable[..., Page]
LIVE = "/admin/monitor/live/"


@pytest.fixture(autouse=True)
def new_process() -> Iterator[None]:
    memory.forget()
    yield
    memory.forget()


@pytest.fixture
def lost() -> Iterator[Callable[[str, bool], None]]:
    """Let an alias lead nowhere, and back."""
    before: dict[str, Any] = {}

    def lose(alias: str, gone: bool) -> None:
        settings = connections[alias].settings_dict
        before.setdefault(alias, settings["NAME"])
        settings["NAME"] = "no_such_database" if gone else before[alias]
        connections[alias].close()

    yield lose
    for alias in list(before):
        lose(alias, False)


def photograph(page: Page, name: str) -> None:
    """Keep what a page looks like, where somebody wants to see it."""
    if folder := os.environ.get("PHOTOGRAPHS"):
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


def heart(page: Page) -> Any:
    return page.locator("#live .heart")


def test_an_open_page_outlives_the_watched_server(
    visit: Visit, vault_db: str, session: OpenSession, lost: Callable[[str, bool], None]
) -> None:
    scenes.make_tables(vault_db)
    root, _ = scenes.row_queue(vault_db, session, 3)
    with running_loop():
        until_watching(vault_db)
        page = visit("dba", LIVE)
        expect(heart(page)).to_contain_text("Watching. Last look", timeout=15_000)
        expect(heart(page)).to_contain_text(re.compile(r"As of \d\d:\d\d:\d\d CES?T:"))
        lost("vault", True)
        expect(heart(page)).to_contain_text("The watched database is not there", timeout=15_000)
        expect(page.locator("#seen-title")).to_contain_text(
            re.compile(r"Last seen at .* ago: not the present")
        )
        assert str(root.pid) in page.locator("#tree").inner_text()
        expect(page.locator("text=Stop…")).to_have_count(0)
        # another process of the web server, which has seen nothing, takes nothing away
        memory.forget()
        expect(page.locator(".stale")).to_contain_text(re.compile(r"What is below is \d+ s old"))
        for _ in range(2):
            with page.expect_response("**/fragment/"):
                pass
        assert str(root.pid) in page.locator("#tree").inner_text()
        lost("vault", False)
        expect(heart(page)).to_contain_text("Watching. Last look", timeout=15_000)
        expect(page.locator("#seen-title")).to_have_count(0)
        expect(page.locator(".stale")).to_be_hidden()


def test_an_open_page_outlives_the_web_database(
    visit: Visit, vault_db: str, session: OpenSession, lost: Callable[[str, bool], None]
) -> None:
    scenes.make_tables(vault_db)
    root, _ = scenes.row_queue(vault_db, session, 1)
    page = visit("dba", LIVE)
    expect(page.locator("#tree")).to_contain_text(str(root.pid))
    lost("default", True)
    expect(heart(page)).to_contain_text("The web database is not there", timeout=15_000)
    expect(heart(page)).to_contain_text("DATABASE_URL")
    expect(page.locator(".stale")).to_contain_text(re.compile(r"What is below is \d+ s old"))
    assert str(root.pid) in page.locator("#tree").inner_text()
    # a page that is opened now tries again by itself
    page.goto("/admin/monitor/insight/")
    expect(page.locator("h1")).to_have_text("The web database is not there")
    photograph(page, "web-gone")
    lost("default", False)
    expect(page.locator("h1")).to_have_text("Insight", timeout=20_000)


@pytest.mark.parametrize("how", ["paused", "cut"])
def test_a_page_that_stands_still_says_of_nobody_that_he_watches(
    visit: Visit, vault_db: str, how: str
) -> None:
    with running_loop():
        until_watching(vault_db)
        page = visit("viewer", LIVE)
        expect(heart(page)).to_contain_text("Watching. Last look", timeout=15_000)
        if how == "paused":
            page.click("#pause")
        else:
            page.route("**/fragment/", lambda route: route.abort())
        expect(heart(page)).to_contain_text("has not been refreshed since", timeout=15_000)
        expect(heart(page)).not_to_contain_text("Watching")
        if how == "paused":
            page.click("#pause")
        else:
            page.unroute("**/fragment/")
        expect(heart(page)).to_contain_text("Watching. Last look", timeout=15_000)


@pytest.mark.parametrize(
    ("width", "scheme"), [(1440, "light"), (1440, "dark"), (390, "light"), (390, "dark")]
)
def test_what_is_wrong_fits_every_screen(
    visit: Visit,
    vault_db: str,
    session: OpenSession,
    lost: Callable[[str, bool], None],
    width: int,
    scheme: str,
) -> None:
    scenes.make_tables(vault_db)
    scenes.row_queue(vault_db, session, 6)
    # axe styles the elements that it measures, which the policy would rightly report
    page = visit("dba", LIVE, width=width, scheme=scheme, bypass_csp=True)
    expect(page.locator("#tree")).to_be_visible()
    lost("vault", True)

    def look(path: str, name: str) -> None:
        page.goto(path)
        expect(page.locator("#content")).to_be_visible()
        photograph(page, f"{name}-{width}-{scheme}")
        assert findings(page) == [], name
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), name

    look(LIVE, "live")
    look("/admin/", "overview")
    look("/admin/monitor/insight/", "vault")
    look("/admin/monitor/nowhere/", "absent")
    lost("default", True)
    look("/admin/monitor/insight/", "web")
