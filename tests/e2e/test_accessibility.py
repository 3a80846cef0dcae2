"""axe on every page, both themes, full and empty: nothing serious."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from axe_playwright_python.sync_playwright import Axe
from django.utils.http import urlencode
from playwright.sync_api import Page

from lockmon import vault
from lockmon.alerts.evaluate import AlertEvaluator
from lockmon.calls import door
from tests.support import doors, scenes
from tests.support.hostile import fill
from tests.support.poll import poll
from tests.support.servers import Server
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


def pages_of_people(server: Server, dsn: str, session: OpenSession) -> list[str]:
    """The door's pages, policies, alerts and the stock lists, with something in each of them."""
    doors.prepare(server, dsn)
    holder = doors.hold(session, dsn)
    waiter = doors.wait(session, dsn)
    with psycopg.connect(dsn, autocommit=True) as connection:
        asked = doors.Door(connection).request("cancel", waiter.pid)
        start = doors.Door(connection).identity(holder.pid)[0]
    rules = {"action": "terminate", "min_severity": "HIGH", "min_blocked_seconds": 60}
    with vault.admin_transaction() as cursor:
        door.save_policy(cursor, "idle", rules, "ann")
        door.backtest_policy(cursor, "idle", None, None, "ann")
    evaluator = AlertEvaluator("vault")
    with psycopg.connect(dsn, autocommit=True) as connection:

        def raised() -> bool:
            scenes.cycle(dsn)
            evaluator.run_once()
            row = connection.execute("SELECT count(*) > 0 FROM monitoring.alert_event_list").fetchone()
            return row is not None and bool(row[0])

        poll(raised, 30, "an alert")
        evaluator.close()
        alerts = connection.execute(
            "SELECT alert_key FROM monitoring.alert_overview"
            " ORDER BY jsonb_array_length(recent) DESC NULLS LAST"
        ).fetchall()
        event = connection.execute("SELECT event_key FROM monitoring.alert_event_list LIMIT 1").fetchone()
        backtest = connection.execute("SELECT max(backtest_id) FROM lock_admin.policy_backtest").fetchone()
    assert alerts and event is not None and backtest is not None
    lists = ("alert", "alertevent", "alertmessage", "actionlog", "policy", "monitorstate", "apitoken")
    identity = urlencode({"pid": holder.pid, "backend_start": start.isoformat()})
    return [
        *(f"/admin/lockmon/{name}/" for name in (*lists, "pastreport")),
        f"/admin/lockmon/actionlog/stop/?{identity}",
        f"/admin/lockmon/actionlog/{asked['action_id']}/",
        "/admin/lockmon/policy/add/",
        "/admin/lockmon/policy/of/idle/",
        "/admin/lockmon/policy/of/idle/rules/",
        f"/admin/lockmon/policy/backtest/{backtest[0]}/",
        "/admin/lockmon/alert/add/",
        # what an alert has measured shows on its page: those that have measured something first
        *(f"/admin/lockmon/alert/{alert}/change/" for (alert,) in alerts[:3]),
        *(f"/admin/lockmon/alert/{alerts[0][0]}/{name}/" for name in ("history", "copy")),
        f"/admin/lockmon/alertevent/{event[0]}/change/",
        f"/admin/lockmon/alertevent/act/acknowledge/?keys={event[0]}",
        "/admin/lockmon/deadlockevent/import-log/",
        "/admin/monitor/claimed-deadlocks/",
        "/admin/django_q/schedule/",
        "/admin/password_change/",
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
    assert not wrong, "\n".join(wrong)


def test_the_door_s_and_the_alerts_pages_have_none_either(
    visit: Visit, server: Server, vault_db: str, session: OpenSession
) -> None:
    wrong, wide = [], []
    page = visit("dba", "/admin/", bypass_csp=True)
    paths = pages_of_people(server, vault_db, session)
    for path in paths:
        answer = page.goto(path)
        assert answer is not None and answer.status == 200, path
        wrong += [f"{path} {line}" for line in findings(page)]
    page = visit("dba", "/admin/", scheme="dark", width=390, bypass_csp=True)
    for path in paths:
        page.goto(path)
        wrong += [f"dark {path} {line}" for line in findings(page)]
        if page.evaluate("document.documentElement.scrollWidth") > 392:
            wide.append(path)
    stranger = visit("dba", "/admin/", bypass_csp=True)
    stranger.context.clear_cookies()
    stranger.goto("/admin/login/")
    wrong += [f"/admin/login/ {line}" for line in findings(stranger)]
    assert not wrong, "\n".join(wrong)
    assert not wide, wide


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
    assert not wrong, "\n".join(wrong)


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
    assert not wide, wide
