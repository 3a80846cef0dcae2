"""No connection is left to the garbage collector: where its first statement fails, at a thread's end."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from lockmon import vault
from lockmon.alerts import sandbox
from lockmon.alerts.evaluate import AlertEvaluator
from lockmon.alerts.sandbox import Sandbox
from lockmon.calls import alerts as calls
from lockmon.monitor.helpers import POLICIES
from tests.support.poll import poll

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "vault"])


def open_for(vault_db: str, purpose: str) -> int:
    with psycopg.connect(vault_db, autocommit=True) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name LIKE %s",
            [f"%:{purpose}"],
        ).fetchone()
    assert row is not None
    return int(row[0])


def test_an_evaluator_that_cannot_ask_for_its_lock_is_gone(
    vault_db: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(cursor: psycopg.Cursor[Any]) -> bool:
        cursor.execute("SELECT 1/0")
        return True

    monkeypatch.setattr(calls, "try_evaluator_lock", fail)
    with pytest.raises(psycopg.errors.DivisionByZero) as failure:
        AlertEvaluator("vault").run_once()
    assert failure.tb is not None, "whose frames would keep the connection"
    poll(lambda: open_for(vault_db, "admin") == 0, what="its end")


def test_a_sandbox_whose_role_is_refused_is_gone(vault_db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "READER_ROLE", "no_such_role")
    with pytest.raises(psycopg.Error) as failure:
        Sandbox("vault").evaluate("SELECT 1", 5)
    assert failure.tb is not None, "whose frames would keep the connection"
    poll(lambda: open_for(vault_db, "alert-sandbox") == 0, what="its end")


def test_the_policies_thread_closes_what_it_kept(vault_db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[psycopg.Connection[Any]] = []
    connect = vault.direct_connection

    def noted(*arguments: Any, **more: Any) -> psycopg.Connection[Any]:
        opened.append(connect(*arguments, **more))
        return opened[-1]

    monkeypatch.setattr(vault, "direct_connection", noted)
    stop = threading.Event()
    found: Any = SimpleNamespace(number=1, blocking_sessions=1)
    thread = threading.Thread(target=POLICIES.run_forever, args=("vault", lambda: found, stop))
    thread.start()
    poll(lambda: opened, what="the policies' connection")
    stop.set()
    thread.join(60)
    assert not thread.is_alive()
    assert [one.closed for one in opened] == [True]
