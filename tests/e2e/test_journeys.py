"""The main journeys in a real browser: find the cause, watch it, go back in time, keep one's place."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.support import scenes
from tests.support.sessions import Session

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True, databases=["default", "vault"])]

Visit = Callable[..., Page]
OpenSession = Callable[..., Session]


def test_the_cause_is_on_the_first_page_and_goes_away_by_itself(
    visit: Visit, vault_db: str, session: OpenSession
) -> None:
    scenes.make_tables(vault_db)
    root, queue = scenes.row_queue(vault_db, session, 3)
    page = visit("dba", "/admin/")
    expect(page.locator(".cause")).to_contain_text(f"billing-worker (pid {root.pid})")
    expect(page.locator(".cause")).to_contain_text("3 sessions wait behind its locks")
    root.run("ROLLBACK")
    for waiter in queue:
        waiter.result()
        waiter.run("ROLLBACK")
    expect(page.locator("#live")).to_contain_text("Nobody is waiting", timeout=10_000)


def test_refreshing_keeps_focus_folds_and_scroll(visit: Visit, vault_db: str, session: OpenSession) -> None:
    scenes.make_tables(vault_db)
    root, _ = scenes.row_queue(vault_db, session, 6)
    page = visit("viewer", "/admin/monitor/live/", width=600)
    group = page.locator(".group > details")
    group.locator("> summary").click()
    expect(group).to_have_attribute("open", "")
    first = page.locator("li.node.root > details")
    statement = page.locator(".query").first
    statement.locator("summary").click()
    statement.locator("summary").focus()
    page.evaluate("window.scrollTo(0, 200)")
    place = page.evaluate("window.scrollY")
    waited = page.locator("li.node.root .waits, li.node .waits").first.inner_text()
    expect(page.locator("li.node .waits").first).not_to_have_text(waited, timeout=10_000)
    assert page.evaluate("document.activeElement.tagName") == "SUMMARY"
    assert group.get_attribute("open") is not None and statement.get_attribute("open") is not None
    assert first.get_attribute("open") is not None
    assert abs(page.evaluate("window.scrollY") - place) < 5
    assert str(root.pid) in page.locator("#tree").inner_text()


def test_pause_stops_the_refreshing_and_says_how_old_it_is(
    visit: Visit, vault_db: str, session: OpenSession
) -> None:
    scenes.make_tables(vault_db)
    scenes.row_queue(vault_db, session, 1)
    page = visit("viewer", "/admin/monitor/live/")
    button = page.locator("#pause")
    button.click()
    expect(button).to_have_text("Go on")
    expect(page.locator("[data-updated]")).to_contain_text("s ago")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    expect(page.locator("[data-updated]")).to_have_text(re.compile(r"^[5-9] s ago"), timeout=15_000)
    assert [url for url in asked if "fragment" in url] == []
    button.click()
    expect(page.locator("[data-updated]")).to_contain_text("just now", timeout=10_000)


def test_a_dead_web_server_is_said(visit: Visit, vault_db: str) -> None:
    page = visit("viewer", "/admin/monitor/live/")
    page.route("**/fragment/", lambda route: route.abort())
    expect(page.locator(".stale")).to_contain_text("does not answer", timeout=15_000)
    page.unroute("**/fragment/")
    expect(page.locator(".stale")).to_be_hidden(timeout=15_000)


def test_the_time_machine_steps_by_keyboard_and_by_link(
    visit: Visit, vault_db: str, session: OpenSession
) -> None:
    scenes.make_tables(vault_db)
    root, queue = scenes.row_queue(vault_db, session, 1)
    scenes.cycle(vault_db)
    second = session(vault_db, application_name="api")
    second.start("UPDATE app.accounts SET balance = 0 WHERE id = 1")
    second.wait_blocked()
    scenes.cycle(vault_db)
    root.run("ROLLBACK")
    queue[0].result()
    queue[0].run("ROLLBACK")
    second.result()
    second.run("ROLLBACK")
    scenes.cycle(vault_db)
    page = visit("dba", "/admin/monitor/time/")
    expect(page.locator("#past")).to_contain_text("2 waiting behind 1 root blocker")
    address = page.url
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#past")).to_contain_text("1 waiting behind 1 root blocker")
    assert page.url != address
    page.locator('a[data-step="next"]').click()
    expect(page.locator("#past")).to_contain_text("2 waiting behind 1 root blocker")
    page.reload()
    expect(page.locator("#past")).to_contain_text("2 waiting behind 1 root blocker")
    page.get_by_role("link", name="The story").first.click()
    expect(page.locator("main")).to_contain_text("first waiter")


def test_the_browser_shows_the_readers_own_time(visit: Visit, vault_db: str) -> None:
    page = visit("viewer", "/admin/monitor/insight/")
    element = page.locator("main time").first
    stamp = element.get_attribute("datetime") or ""
    hour = int(stamp[11:13])
    shown = re.search(r" (\d\d):", element.inner_text())
    assert shown is not None and int(shown.group(1)) in ((hour + 1) % 24, (hour + 2) % 24)
    assert "UTC" in (element.get_attribute("title") or "")


def test_keyboard_alone_reaches_and_opens_a_session(
    visit: Visit, vault_db: str, session: OpenSession
) -> None:
    scenes.make_tables(vault_db)
    root, _ = scenes.row_queue(vault_db, session, 1)
    page = visit("viewer", "/admin/monitor/live/")
    link = page.get_by_role("link", name="Inspect").first
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent") == "Inspect":
            break
    expect(link).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_contain_text(str(root.pid))


def test_a_dba_gets_to_the_confirmation_and_a_viewer_has_no_way(
    visit: Visit, vault_db: str, session: OpenSession
) -> None:
    scenes.make_tables(vault_db)
    root, _ = scenes.row_queue(vault_db, session, 1)
    page = visit("dba", "/admin/monitor/live/")
    page.locator("a.stop").first.click()
    expect(page.locator("h1")).to_contain_text(f"Stop pid {root.pid}?")
    viewer = visit("viewer", "/admin/monitor/live/")
    expect(viewer.locator("#tree")).to_contain_text(str(root.pid))
    assert viewer.locator("a.stop").count() == 0


def test_an_export_is_a_file(visit: Visit, vault_db: str, session: OpenSession) -> None:
    scenes.make_tables(vault_db)
    scenes.row_queue(vault_db, session, 1)
    scenes.cycle(vault_db)
    page = visit("viewer", "/admin/lockmon/lockactivity/?granted=no")
    with page.expect_download() as waiting:
        page.get_by_role("link", name="CSV").click()
    found: Any = waiting.value
    assert found.suggested_filename.endswith(".csv")
    assert "AccessShareLock" not in found.path().read_text()
