"""The page "Import a server log" in a browser: axe in both themes, and a file chosen and sent."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Route, expect

from tests.app.test_log_upload import LIST, ONE
from tests.e2e.test_accessibility import Visit, findings

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True, databases=["default", "vault"])]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_log_is_chosen_and_sent(vault_db: str, visit: Visit, tmp_path: Path, scheme: str) -> None:
    path = tmp_path / "server.csv"
    path.write_bytes(ONE)
    page = visit("dba", LIST, scheme=scheme, bypass_csp=True)
    page.click("text=Import a server log")
    assert findings(page) == []
    page.click("input[value=Import]")
    expect(page.locator("#content")).to_contain_text("Choose a file.")
    assert findings(page) == []
    page.set_input_files("input[type=file]", path)
    page.click("input[value=Import]")
    expect(page.locator(".messagelist")).to_contain_text("1 new deadlock in the history")
    assert findings(page) == []


def test_it_is_shown_how_far_the_file_is(vault_db: str, visit: Visit, tmp_path: Path) -> None:
    path = tmp_path / "server.csv"
    path.write_bytes(ONE)
    page = visit("dba", f"{LIST}import-log/", bypass_csp=True)
    held: list[Route] = []
    page.route("**/import-log/", lambda route: held.append(route))
    expect(page.locator("progress")).to_be_hidden()
    page.set_input_files("input[type=file]", path)
    page.click("input[value=Import]")
    expect(page.locator("progress")).to_be_visible()
    expect(page.locator("[data-sending] [role=status]")).to_contain_text(re.compile("%|are sent"))
    expect(page.locator("input[value=Import]")).to_be_disabled()
    assert findings(page) == []
    held.pop().abort()
    expect(page.locator("[data-sending]")).to_contain_text("does not answer. Send it again")
    page.unroute("**/import-log/")
    page.click("input[value=Import]")
    expect(page.locator(".messagelist")).to_contain_text("1 new deadlock in the history")


def test_without_the_script_the_form_is_sent_as_any(vault_db: str, visit: Visit, tmp_path: Path) -> None:
    path = tmp_path / "server.csv"
    path.write_bytes(ONE)
    page = visit("dba", "/admin/")
    page.route("**/lockmon.js", lambda route: route.abort())
    page.goto(page.url.removesuffix("/admin/") + f"{LIST}import-log/")
    page.set_input_files("input[type=file]", path)
    page.click("input[value=Import]")
    expect(page.locator(".messagelist")).to_contain_text("1 new deadlock in the history")
