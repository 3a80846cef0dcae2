"""The rescue plan in a browser: its first step and its button, on any width, with many waiters."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.bench.crowd import Crowd, until
from tests.e2e.test_standing import photograph
from tests.support import doors
from tests.support.servers import Server
from tests.support.sessions import Session

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True, databases=["default", "vault"])]

Visit = Callable[..., Page]
OpenSession = Callable[..., Session]


def wide(page: Page) -> int:
    """By how much the page is wider than its window."""
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_the_best_move_leads_to_its_confirmation(
    server: Server, vault_db: str, session: OpenSession, visit: Visit, width: int, scheme: str
) -> None:
    doors.prepare(server, vault_db)
    session(vault_db, user=doors.ORDINARY, application_name="report").run("SELECT count(*) FROM app.accounts")
    ddl = session(vault_db, user=doors.ORDINARY, application_name="migrate")
    ddl.start("ALTER TABLE app.accounts ADD COLUMN note text")
    ddl.wait_blocked()
    for _ in range(5):
        reader = session(vault_db, user=doors.ORDINARY, application_name="api")
        reader.start("SELECT count(*) FROM app.accounts")
        reader.wait_blocked()
    page = visit("dba", "/admin/monitor/live/", width=width, scheme=scheme)
    expect(page.locator(".rescue li").first).to_contain_text(
        f"Cancel migrate ({ddl.pid}): frees 5 at once; loses nothing."
    )
    assert wide(page) <= 0
    photograph(page, f"best-{width}-{scheme}")
    page.get_by_role("link", name=f"Cancel {ddl.pid}…").click()
    expect(page.locator("h1")).to_contain_text(f"Stop pid {ddl.pid}?")
    expect(page.locator("input[value=cancel]")).to_be_checked()
    expect(page.locator("table.facts")).to_contain_text("Step 1 of 1: Cancel migrate")
    # its transaction id comes from the lock that it wants
    expect(page.locator("table.facts")).to_contain_text("has written, if anything, will be rolled back")
    assert wide(page) <= 0
    photograph(page, f"stop-{width}-{scheme}")


@pytest.mark.parametrize(
    ("width", "scheme"), [(1440, "light"), (390, "dark"), (1440, "dark"), (390, "light")]
)
def test_many_waiters_behind_eleven_roots(
    server: Server, vault_db: str, visit: Visit, width: int, scheme: str
) -> None:
    doors.prepare(server, vault_db)
    update = "UPDATE app.accounts SET balance = balance + 1 WHERE id = {}"
    with Crowd(vault_db.replace("user=postgres", f"user={doors.ORDINARY}")) as crowd:
        for row in range(1, 12):
            root = crowd.open()
            crowd.run(root, "BEGIN")
            crowd.run(root, update.format(row))
        sizes = [30] * 8 + [4, 4, 4]
        for row, size in enumerate(sizes, 1):
            for _ in range(size):
                crowd.start(crowd.open(), update.format(row))
        until(lambda: len(crowd.waiting()) >= sum(sizes), "they wait")
        page = visit("dba", "/admin/monitor/live/", width=width, scheme=scheme)
        expect(page.locator(".rescue > ol > li")).to_have_count(2)
        expect(page.locator(".rescue li").first).to_contain_text(
            "follow as each commits (one row: no stop frees more)"
        )
        assert wide(page) <= 0
        photograph(page, f"many-{width}-{scheme}")
        page.locator("#rescue-later summary").click()
        expect(page.locator("#rescue-later li")).to_have_count(2)
        assert wide(page) <= 0
