"""Pages, reports, addresses and commands while the application holds its tenants' table for itself."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO

import psycopg
import pytest
from django.core.management import call_command
from django.test import Client

from tests.support import scenes
from tests.support.aside import seen_before
from tests.support.people import browser, use_app_login
from tests.support.sessions import Session

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "vault"])

OpenSession = Callable[..., Session]
ACME = b"\xac\x3e"
PAGES = (
    "/admin/",
    "/admin/monitor/live/",
    "/admin/monitor/waiters/",
    "/admin/monitor/check/",
    "/admin/monitor/insight/?by=tenant",
    "/admin/monitor/insight/?by=application",
    "/admin/lockmon/lockactivity/",
    "/admin/lockmon/lockactivity/?tenant=ac3e",
    "/admin/lockmon/blockingsession/",
    "/admin/lockmon/deadlockevent/",
    "/metrics",
    "/readyz",
)


@pytest.fixture
def held(vault_db: str, session: OpenSession) -> Session:
    """Two sessions of ACME, one waiting for the other, stored while ACME's table is held; the holder."""
    scenes.make_tables(vault_db)
    with psycopg.connect(vault_db, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO auth.tenant_h (tenant_hk, tenant_bk, record_source) VALUES (%s, 'ACME', 't')", [ACME]
        )
        seen_before(connection, "ACME")
        root = session(vault_db, application_name="tenant=ACME")
        root.run("UPDATE app.accounts SET balance = 0 WHERE id = 1")
        waiter = session(vault_db, application_name="tenant=ACME")
        waiter.start("UPDATE app.accounts SET balance = 0 WHERE id = 1")
        waiter.wait_blocked()
        holder = session(vault_db)
        holder.run("LOCK TABLE auth.tenant_h, auth.user_h IN ACCESS EXCLUSIVE MODE")
        connection.execute("SELECT * FROM lock_monitoring.capture_lock_activity()")
        aside = connection.execute("SELECT count(*) FROM lock_engine.aside_blocking_session_s").fetchone()
        assert aside == (1,)
    return holder


def test_every_page_answers_and_shows_what_is_aside(held: Session) -> None:
    use_app_login()
    client: Client = browser("dba")
    for path in PAGES:
        answer = client.get(path)
        assert answer.status_code in (200, 503 if path == "/readyz" else 200), (path, answer.status_code)
    history = client.get("/admin/lockmon/lockactivity/?tenant=ac3e").content.decode()
    assert "ACME" in history and "app.accounts" in history
    assert "tenant=ACME" in client.get("/admin/lockmon/blockingsession/").content.decode()
    assert "ACME" in client.get("/admin/monitor/insight/?by=tenant").content.decode()


def test_commands_know_a_tenant_from_before(held: Session) -> None:
    use_app_login()
    said = StringIO()
    call_command("lockmon_capture", "--tenant", "ACME", stdout=said)
    assert "lock" in said.getvalue()
    call_command("lockmon_analyze", stdout=said)


def test_whose_it_is_could_not_be_read_is_said_so(held: Session, vault_db: str) -> None:
    with psycopg.connect(vault_db, autocommit=True) as connection:
        connection.execute("UPDATE lock_engine.aside_blocking_session_h SET tenant_hk = ''")
    use_app_login()
    page = browser("dba").get("/admin/monitor/insight/?by=tenant").content.decode()
    assert "tenant not known yet" in page
