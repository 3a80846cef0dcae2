"""manage.py lockmon_alerts against a real vault."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connections

from lockmon.calls import alerts as calls
from tests.conftest import Connect

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "vault"])


@pytest.fixture
def admin(vault_db: str, connect: Connect) -> Iterator[psycopg.Connection[Any]]:
    yield connect(vault_db)
    connections["vault"].close()


@pytest.fixture
def key(admin: psycopg.Connection[Any]) -> str:
    row = admin.execute(
        "SELECT alert_config_hk FROM monitoring.alert_configuration_s WHERE alert_name = 'Long blocking'"
    ).fetchone()
    assert row is not None
    fields = {
        "event_state": "critical",
        "level": "critical",
        "worst_level": "critical",
        "value": 400,
        "started_at": "now",
        "raised_at": "now",
    }
    written = calls.write_alert_event(admin.cursor(), row[0], None, None, fields, "test")
    assert written is not None
    return written.hex()


def said(capsys: pytest.CaptureFixture[str], *words: str, **options: Any) -> str:
    call_command("lockmon_alerts", *words, skip_checks=True, **options)
    return capsys.readouterr().out


def test_the_list(key: str, capsys: pytest.CaptureFixture[str]) -> None:
    line = said(capsys)
    assert line.startswith(key[:12]) and "critical" in line and "Long blocking: value 400" in line
    rows = json.loads(said(capsys, "list", "--json"))
    assert [row["event_key"] for row in rows] == [key]
    with pytest.raises(SystemExit) as ended:
        said(capsys, "list", "--fail-on-open")
    assert ended.value.code == 3


def test_nothing_unresolved(admin: psycopg.Connection[Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys) == "No alert event is unresolved.\n"
    assert said(capsys, "list", "--all") == "There has been no alert event.\n"


def test_acknowledge_snooze_and_resolve(
    key: str, admin: psycopg.Connection[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert said(capsys, "acknowledge", key[:8], "--by", "anna", "--note", "mine") == (
        "Long blocking: Acknowledged by anna.\n"
    )
    assert "Snoozed by anna until" in said(capsys, "snooze", key[:8], "--by", "anna", "--for", "30m")
    assert "Resolved by anna." in said(capsys, "resolve", key[:8], "--by", "anna")
    with pytest.raises(CommandError, match=r"already resolved at .* by anna"):
        said(capsys, "resolve", key[:8])
    assert "lasted" in said(capsys, "list", "--all")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["acknowledge"], "Say which event"),
        (["acknowledge", "xyz"], "is not the beginning of a key"),
        (["acknowledge", "00000000"], "There is no alert event whose key begins with 00000000"),
        (["snooze", "00000000", "--for", "3 weeks"], "is no time to snooze for"),
        (["snooze", "00000000", "--for", "99d"], "is no time to snooze for"),
    ],
)
def test_bad_input_is_one_sentence(
    key: str, capsys: pytest.CaptureFixture[str], words: list[str], sentence: str
) -> None:
    with pytest.raises(CommandError, match=sentence):
        said(capsys, *words)
