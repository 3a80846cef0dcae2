"""axe on every page, both themes, full and empty: nothing serious."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from tests.support import scenes
from tests.support.hostile import fill
from tests.support.sessions import Session

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True, databases=["default", "vault"])]

Visit = Callable[..., Page]
OpenSession = Callable[..., Session]
SERIOUS = ("serious", "critical")


def pages(keys: dict[str, str]) -> list[str]:
    at = (datetime.now(UTC) - timedelta(minutes=4)).isoformat().replace("+00:00", "Z")
    return [
        "/admin/",
        "/admin/monitor/live/",
        "/admin/monitor/waiters/",
        f"/admin/monitor/time/?at={at}",
        f"/admin/monitor/episode/{keys['episode']}/",
        f"/admin/monitor/deadlock/{keys['deadlock']}/",
        "/admin/monitor/insight/",
        "/admin/monitor/everything/",
        "/admin/monitor/check/",
        "/admin/lockmon/lockactivity/",
        "/admin/lockmon/blockingsession/",
        "/admin/lockmon/deadlockevent/",
        "/admin/lockmon/lockwaitanalysis/",
        f"/admin/lockmon/lockactivity/{keys['lock_activity']}/change/",
        f"/admin/lockmon/blockingsession/{keys['blocking_session']}/change/",
    ]


def findings(page: Page) -> list[str]:
    """Return axe's serious and critical findings, one line each."""
    # The stock admin's search box is named by the alternative text of its picture, which that rule overlooks.
    options = {
        "runOnly": ["wcag2a", "wcag2aa", "wcag21aa", "best-practice"],
        "rules": {"label-title-only": {"enabled": False}},
    }
    result: Any = Axe().run(page, options=options)
    lines = []
    for found in result.response["violations"]:
        if found["impact"] in SERIOUS:
            nodes = "; ".join(node["html"][:110] for node in found["nodes"][:3])
            lines.append(f"{found['id']} ({len(found['nodes'])}): {nodes}")
    return lines


def test_full_pages_have_no_serious_finding_in_either_theme(
    visit: Visit, vault_db: str, session: OpenSession
) -> None:
    scenes.make_tables(vault_db)
    keys = fill(vault_db)
    root, _ = scenes.row_queue(vault_db, session, 6)
    scenes.cycle(vault_db)
    wrong = []
    for scheme in ("light", "dark"):
        # axe styles the elements that it measures, which the policy would rightly report
        page = visit("dba", "/admin/", scheme=scheme, bypass_csp=True)
        for path in [*pages(keys), f"/admin/monitor/session/?node={root.pid}"]:
            page.goto(path)
            wrong += [f"{scheme} {path} {line}" for line in findings(page)]
    assert wrong == []


def test_no_page_breaks_its_own_content_policy(visit: Visit, vault_db: str) -> None:
    scenes.make_tables(vault_db)
    keys = fill(vault_db)
    page = visit("dba", "/admin/")
    for path in pages(keys):
        answer = page.goto(path)
        assert answer is not None and answer.status == 200, path


def test_empty_pages_have_no_serious_finding(visit: Visit, vault_db: str) -> None:
    page = visit("viewer", "/admin/", bypass_csp=True)
    wrong = []
    for path in (
        "/admin/",
        "/admin/monitor/live/",
        "/admin/monitor/time/",
        "/admin/monitor/insight/",
        "/admin/lockmon/lockactivity/",
    ):
        page.goto(path)
        wrong += [f"{path} {line}" for line in findings(page)]
    assert wrong == []


def test_narrow_pages_do_not_scroll_sideways(visit: Visit, vault_db: str, session: OpenSession) -> None:
    scenes.make_tables(vault_db)
    keys = fill(vault_db)
    scenes.row_queue(vault_db, session, 3)
    page = visit("dba", "/admin/", width=390)
    wide = []
    for path in pages(keys):
        page.goto(path)
        if page.evaluate("document.documentElement.scrollWidth") > 392:
            wide.append(path)
    assert wide == []
