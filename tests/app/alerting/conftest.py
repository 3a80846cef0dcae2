"""An evaluator of alerts on a vault of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from lockmon.alerts import delivery
from lockmon.alerts.evaluate import AlertEvaluator
from tests.conftest import Connect


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Catch the requests to send: these tests look at the outbox. Sending has a file of its own."""
    asked: list[int] = []
    monkeypatch.setattr(delivery, "request_sending", lambda alias, tasks=1: asked.append(tasks))
    return asked


@pytest.fixture
def admin(vault_db: str, connect: Connect) -> psycopg.Connection[Any]:
    """A superuser's connection to a vault in which no alert but the test's own is on."""
    connection = connect(vault_db)
    connection.execute("UPDATE monitoring.alert_configuration_s SET is_active = false")
    return connection


@pytest.fixture
def evaluator(admin: psycopg.Connection[Any], requests: list[int]) -> Iterator[AlertEvaluator]:
    one = AlertEvaluator("vault")
    yield one
    one.close()
