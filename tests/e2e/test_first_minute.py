"""What a person sees in the first minute: who blocks whom, within two seconds, without reloading the page."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.conftest import OpenSession
from tests.e2e.conftest import OpenPage
from tests.support import scenes

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.django_db(transaction=True, databases=["default", "vault"]),
]


def test_a_block_appears_by_itself_within_two_seconds_and_goes_again(
    vault_db: str, session: OpenSession, open_page: OpenPage
) -> None:
    scenes.make_tables(vault_db)
    page = open_page("viewer")
    assert page.locator("#live .tree .node").count() == 0
    root, [waiter] = scenes.row_queue(vault_db, session, 1)
    # The page looks every two seconds; a look takes milliseconds, and this machine may be busy.
    page.get_by_text(f"billing-worker (pid {root.pid})").first.wait_for(timeout=3_000)
    assert page.locator("#tree", has_text=str(waiter.pid)).count() == 1
    root.run("ROLLBACK")
    page.locator("#tree .node").first.wait_for(state="detached", timeout=5_000)


def test_a_fold_that_somebody_opened_stays_open(
    vault_db: str, session: OpenSession, open_page: OpenPage
) -> None:
    scenes.make_tables(vault_db)
    scenes.row_queue(vault_db, session, 1)
    page = open_page("dba", "/admin/monitor/live/")
    folded = page.locator("#tree .node details.query").first
    folded.locator("summary").click()
    for _ in range(2):  # when the second look is answered, the first has been shown
        with page.expect_response(lambda answer: "fragment" in answer.url):
            pass
    assert folded.get_attribute("open") is not None


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 420], ids=["wide", "narrow"])
def test_the_overview_can_be_used_by_everybody(
    vault_db: str, session: OpenSession, open_page: OpenPage, dark: bool, width: int
) -> None:
    scenes.make_tables(vault_db)
    scenes.row_queue(vault_db, session, 2)
    page = open_page("dba", dark=dark, width=width)
    page.locator("#tree .node").first.wait_for()
    # Axe reads the page through the browser's debugger, which no policy of the page concerns.
    found = Axe().run(page, context="#content", options={"runOnly": ["wcag2a", "wcag2aa"]})
    assert found.violations_count == 0, found.generate_report()
