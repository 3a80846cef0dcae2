"""A site names its tenants by a pattern: filters, insight, alerts, report and API use what is claimed."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.test import Client

from lockmon.groups import READERS
from lockmon.models import ApiToken
from tests.conftest import OpenSession
from tests.support import scenes
from tests.support.people import browser, use_app_login
from tests.support.sessions import Session

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "vault"])

EVIL = "<i>x</i>"


@pytest.fixture
def held(vault_db: str, session: OpenSession) -> tuple[Session, Session]:
    """Somebody of globex holds rows of two tenants' schemas, and two who say nothing wait for them."""
    with psycopg.connect(vault_db, autocommit=True) as connection:
        scenes.watched(connection)
        connection.execute("CREATE SCHEMA t_acme; CREATE TABLE t_acme.orders AS SELECT 1 AS id")
        connection.execute(f'CREATE SCHEMA "t_{EVIL}"; CREATE TABLE "t_{EVIL}".orders AS SELECT 1 AS id')
        connection.execute(
            "UPDATE lock_admin.setting SET value = %s WHERE name = 'tenants.claims'",
            [json.dumps(["schema: t_{tenant}", "application: *-{tenant}"])],
        )
        holder = session(vault_db, application_name="worker-globex")
        waiter = session(vault_db, application_name="web")
        holder.run("UPDATE t_acme.orders SET id = 2")
        holder.run(f'UPDATE "t_{EVIL}".orders SET id = 2')
        waiter.start("UPDATE t_acme.orders SET id = 2")
        waiter.wait_blocked()
        other = session(vault_db, application_name="web")
        other.start(f'UPDATE "t_{EVIL}".orders SET id = 2')
        other.wait_blocked()
        connection.execute("SELECT * FROM lock_monitoring.run_lock_monitoring()")
    use_app_login()
    return holder, waiter


def test_the_history_is_filtered_by_it(held: tuple[Session, Session]) -> None:
    holder, waiter = held
    dba = browser("dba")
    waits = "/admin/lockmon/lockactivity/?claimed_tenant="
    shown = dba.get(f"{waits}acme").content.decode()
    assert f"pid={waiter.pid}" in shown and "1 lock" in shown
    assert f"pid={waiter.pid}" in dba.get(f"{waits}ac*").content.decode()
    assert f"pid={waiter.pid}" not in dba.get(f"{waits}globex&granted=no").content.decode()
    episodes = "/admin/lockmon/blockingsession/?claimed_tenant="
    assert f"pid={holder.pid}" in dba.get(f"{episodes}globex").content.decode()
    assert f"pid={holder.pid}" not in dba.get(f"{episodes}acme").content.decode()


def test_insight_shows_whose_work_waited(held: tuple[Session, Session]) -> None:
    page = browser("dba").get("/admin/monitor/insight/?by=claim").content.decode()
    assert "tenant that the waiting sessions claim" in page
    assert "claimed_tenant=acme" in page and "no proof" in page
    assert EVIL not in page and "&lt;i&gt;x&lt;/i&gt;" in page


def test_the_live_page_and_the_time_machine_say_it(held: tuple[Session, Session]) -> None:
    _, waiter = held
    dba = browser("dba")
    live = dba.get("/admin/monitor/live/").content.decode()
    assert "tenant globex (as the session claims)" in live
    link = re.findall(rf'href="(/[^"]*/session/[^"]*pid={waiter.pid}[^"]*)"', live)[0]
    page = dba.get(link.replace("&amp;", "&")).content.decode()
    assert "acme (as the session claims)" in page
    assert EVIL not in live


def test_the_report_has_a_table_of_it(held: tuple[Session, Session], vault_db: str) -> None:
    out = io.StringIO()
    call_command("lockmon_report", "--period", "day", stdout=out)
    said = out.getvalue()
    assert "Whose work waited, as claimed" in said
    assert "| acme | 1 |" in said
    with psycopg.connect(vault_db, autocommit=True) as connection:
        connection.execute("UPDATE lock_monitoring.lock_activity_s SET tenant_claim = NULL")
    out = io.StringIO()
    call_command("lockmon_report", "--period", "day", stdout=out)
    assert "as claimed" not in out.getvalue()


def test_an_alert_asks_for_it(held: tuple[Session, Session], vault_db: str) -> None:
    """The question of the documents."""
    (question,) = re.findall(r"SELECT .*tenant_claim = 'globex'", Path("docs/alerts.md").read_text("utf-8"))
    with psycopg.connect(vault_db) as connection:
        connection.read_only = True
        connection.execute("SET LOCAL statement_timeout = '5s'")
        asked = "SELECT monitoring.evaluate_alert_query(%s)"
        assert connection.execute(asked, [question]).fetchone() == (1,)
        assert connection.execute(asked, [question.replace("globex", "acme")]).fetchone() == (0,)


def test_the_api_says_it(held: tuple[Session, Session]) -> None:
    holder, waiter = held
    user = User.objects.create_user("somebody")
    user.groups.add(Group.objects.get(name=READERS))
    _, token = ApiToken.make(user=user, name="test")

    def asked(path: str) -> Any:
        answer = Client().get(path, headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 200
        return answer.json()

    now = asked("/api/tree")
    then = asked(f"/api/tree?at={now['at']}")
    for moment in (now, then):
        claims = {node["pid"]: node["tenant_claim"] for node in moment["nodes"]}
        assert (claims[holder.pid], claims[waiter.pid]) == ("globex", "acme")
    assert [one["tenant_claim"] for one in asked("/api/episodes")["episodes"]] == ["globex"]
