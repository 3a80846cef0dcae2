"""Roots first in a browser: each has a line and a link, whatever waits behind one, also on a phone."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.support import scenes
from tests.support.sessions import Session

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True, databases=["default", "vault"])]

Visit = Callable[..., Page]
OpenSession = Callable[..., Session]


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark")])
def test_each_root_has_a_line_that_leads_to_its_session(
    vault_db: str, session: OpenSession, visit: Visit, width: int, scheme: str
) -> None:
    scenes.make_tables(vault_db)
    first, _ = scenes.row_queue(vault_db, session, 6)
    second, _ = scenes.second_root(vault_db, session)
    scenes.cycle(vault_db)
    page = visit("dba", "/admin/monitor/live/", width=width, scheme=scheme)
    lines = page.locator("#roots tbody tr")
    expect(lines).to_have_count(2)
    expect(lines.nth(0)).to_contain_text(str(first.pid))
    expect(lines.nth(1)).to_contain_text(str(second.pid))
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0, "the page itself does not scroll sideways"
    lines.nth(1).get_by_role("link", name=str(second.pid), exact=True).click()
    expect(page.locator("h1")).to_contain_text(f"nightly (pid {second.pid})")
