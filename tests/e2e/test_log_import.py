"""The page "Import a server log" in a browser: axe in both themes, and a file chosen and sent."""

from __future__ import annotations

from pathlib import Path

import pytest

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
    assert "Choose a file." in page.inner_text("#content")
    assert findings(page) == []
    page.set_input_files("input[type=file]", path)
    page.click("input[value=Import]")
    assert "1 new deadlock in the history" in page.inner_text(".messagelist")
    assert findings(page) == []
