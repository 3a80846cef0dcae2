"""The loop learns whose the sessions are beside its cycles, over a connection that it closes afterwards."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from lockmon import vault
from tests.conftest import OpenSession
from tests.support.aside import ACME, two_tenants
from tests.support.loops import rows, running_loop, until_watching
from tests.support.poll import poll

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
