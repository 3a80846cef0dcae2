"""The loop learns whose the sessions are beside its cycles, over a connection that it closes afterwards."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.db import connections

from lockmon import vault
from lockmon.install import InstallError, grant_login
from lockmon.monitor.helpers import read_tenants
from tests.conftest import Connect, OpenSession
from tests.support.aside import ACME, two_tenants
from tests.support.loops import rows, running_loop, until_watching
from tests.support.poll import poll
from tests.support.servers import Server

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "vault"])

WHOSE = (
    "SELECT h.tenant_hk FROM ONLY lock_monitoring.lock_activity_h h JOIN lock_monitoring.lock_activity_s s"
    " USING (lock_activity_hk) WHERE NOT s.lock_granted AND s.lock_pid = {}"
)


def test_whose_a_wait_is_becomes_known_beside_the_loop(
    vault_db: str, session: OpenSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    two_tenants(vault_db)
    asked: list[psycopg.Connection[Any]] = []
    connect = vault.direct_connection

    def noted(alias: str, purpose: str, **how: Any) -> psycopg.Connection[Any]:
        opened = connect(alias, purpose, **how)
        if purpose == "tenants":
            asked.append(opened)
        return opened

    with running_loop():
        monkeypatch.setattr(vault, "direct_connection", noted)
        until_watching(vault_db)
        root = session(vault_db, application_name="tenant=ACME")
        root.run("UPDATE app.t0 SET n = 1 WHERE id = 1")
        waiter = session(vault_db, application_name="tenant=ACME")
        waiter.start("UPDATE app.t0 SET n = 1 WHERE id = 1")
        waiter.wait_blocked()
        poll(
            lambda: {bytes(row["tenant_hk"]) for row in rows(vault_db, WHOSE.format(waiter.pid))} == {ACME},  # type: ignore[call-overload]
            20,
            "whose the wait is",
        )
        poll(lambda: asked and all(one.closed for one in asked), 10, "their end")
        # what the loop has not met is not asked again and again
        count = len(asked)
        seen = rows(vault_db, "SELECT stored_at FROM lock_engine.cycle_state")
        session(vault_db).run("SELECT * FROM app.t0 LIMIT 1")
        poll(lambda: rows(vault_db, "SELECT stored_at FROM lock_engine.cycle_state") != seen, 20, "a cycle")
        assert len(asked) == count


def test_the_loops_own_session_does_not_ask(vault_db: str) -> None:
    with psycopg.connect(vault_db, autocommit=True) as connection:
        connection.execute("SELECT lock_engine.begin_watching()")
        connection.execute("SELECT lock_engine.tenant_of('nobody', 'tenant=ACME')")
        connection.execute("SELECT * FROM lock_monitoring.run_lock_monitoring()")
        wanted = "SELECT claim FROM lock_engine.tenant_wanted WHERE claim = 't:ACME'"
        assert connection.execute(wanted).fetchone() == ("t:ACME",)
    with psycopg.connect(vault_db, autocommit=True) as connection:
        connection.execute("SELECT * FROM lock_monitoring.run_lock_monitoring()")
        assert connection.execute(wanted).fetchone() is None


def test_a_login_that_may_ask_and_nothing_else(
    vault_db: str, server: Server, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With VAULT_SITE_DATABASE_URL: were a trap sprung, there would be nothing to gain."""
    two_tenants(vault_db)
    with psycopg.connect(vault_db, autocommit=True) as dba:
        dba.execute("DROP ROLE IF EXISTS tenant_asker; DROP ROLE IF EXISTS has_more")
        grant_login(dba, "tenant_asker", "secret-for-a-test", tenants_only=True)
        dba.execute("CREATE ROLE has_more LOGIN CREATEDB IN ROLE lock_monitoring_role")
        with pytest.raises(InstallError, match="is a member of lock_monitoring_role, may make databases"):
            grant_login(dba, "has_more", tenants_only=True)
        dba.execute("DROP ROLE has_more")
        dba.execute("CREATE ROLE has_more LOGIN; CREATE TABLE public.open (n int)")
        dba.execute("GRANT SELECT ON public.open TO has_more")
        with pytest.raises(InstallError, match="was given rights on other things"):
            grant_login(dba, "has_more", tenants_only=True)
        dba.execute("DROP TABLE public.open")
        grant_login(dba, "has_more", tenants_only=True)
        grant_login(dba, "has_more", tenants_only=True)
        dba.execute("DROP OWNED BY has_more; DROP ROLE has_more")
        dba.execute("SELECT lock_engine.tenant_of('nobody', 'tenant=ACME')")
    place = dict(connections.databases["vault"]) | {"USER": "tenant_asker", "PASSWORD": "secret-for-a-test"}
    monkeypatch.setitem(settings.VAULT_DIRECT, "vault", {"site": place})
    assert read_tenants("vault") >= 1
    with psycopg.connect(vault_db, autocommit=True) as dba:
        known = dba.execute(
            "SELECT tenant_hk FROM lock_engine.tenant_claim WHERE claim = 't:ACME'"
        ).fetchone()
    assert known is not None and bytes(known[0]) == ACME
    asker = connect(vault_db.replace("user=postgres", "user=tenant_asker"))
    for statement in (
        "SELECT * FROM auth.tenant_h",
        "SELECT * FROM lock_engine.tenant_seen",
        "SELECT * FROM lock_monitoring.run_lock_monitoring()",
        "SELECT lock_admin.setting('monitor.own_logins')",
        "SELECT * FROM lock_catalog.sessions",
        "SET ROLE lock_monitoring_role",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            asker.execute(statement)
