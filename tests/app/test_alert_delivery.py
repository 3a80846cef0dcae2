"""Sending through a real SMTP server and a real webhook: retries, dead channels, killed senders, no
secrets."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import connections
from pytest_django import Settings

from lockmon.alerts import channels, delivery, messages
from lockmon.calls import alert_messages as outbox
from tests.conftest import Connect
from tests.support.poll import poll
from tests.support.receivers import Received, smtp_server, webhook

SECRET = "T0PSECRETtoken9876"
pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "vault"])
CONTEXT = {
    "name": "Critical blocking",
    "kind": "raised",
    "level": "critical",
    "severity": "CRITICAL",
    "description": "Step in.",
    "value": "1",
    "sentence": None,
    "rule": "warning above 0, critical from 1 up",
    "since": "2026-11-22T03:12:29+00:00",
    "at": "2026-11-22T03:15:00+00:00",
    "lasted": "2 min 31 s",
    "event_key": "ab" * 32,
    "waiting": 38,
    "roots": [
        {
            "who": "billing-worker (pid 4711)",
            "pid": 4711,
            "user": "app_rw",
            "doing": "idle in transaction",
            "for": "6 min 12 s",
            "severity": "CRITICAL",
            "blocked": 38,
            "blocking_for": "2 min 31 s",
            "lost": "41 min",
            "query": "UPDATE accounts SET owner = 'x<y' WHERE id = 1",
            "action": "End it.",
            "node": 4711,
            "backend_start": "2026-11-22T09:12:44+00:00",
            "object": None,
            "victims": [
                {
                    "who": "api (pid 5120)",
                    "for": "2 min",
                    "object": "row (12,4) of accounts",
                    "query": "UPDATE accounts",
                }
            ],
            "more_victims": 37,
        }
    ],
}


@pytest.fixture
def mail(settings: Settings) -> Iterator[Received]:
    with smtp_server() as server:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_USE_TLS = "127.0.0.1", server.port, False
        yield server


@pytest.fixture
def hook(settings: Settings) -> Iterator[Received]:
    with webhook() as server:
        settings.LOCKMON_CHANNELS = {"team": f"json://user:{SECRET}@127.0.0.1:{server.port}/hooks/{SECRET}"}
        yield server


@pytest.fixture
def admin(vault_db: str, connect: Connect) -> Iterator[psycopg.Connection[Any]]:
    yield connect(vault_db)
    connections["vault"].close()


def put(connection: psycopg.Connection[Any], recipient: str, kind: str = "raised", limit: int = 1000) -> int:
    rows = connection.execute("SELECT count(*) FROM monitoring.alert_message").fetchone() or (0,)
    number = outbox.add_alert_message(
        connection.cursor(), None, None, kind, recipient, f"test:{rows[0]}", CONTEXT, limit
    )
    assert number is not None
    return number


def state_of(connection: psycopg.Connection[Any], number: int) -> tuple[Any, ...] | None:
    return connection.execute(
        "SELECT state, attempts FROM monitoring.alert_message WHERE message_id = %s", [number]
    ).fetchone()


def later(connection: psycopg.Connection[Any]) -> None:
    """Let the pauses after failures be over."""
    connection.execute(
        "UPDATE monitoring.alert_message SET due_at = now() - interval '1 s', claimed_at = claimed_at -"
        " interval '1 h'"
    )
    connection.execute("UPDATE monitoring.alert_channel SET next_try_at = now() - interval '1 s'")


def dump(connection: psycopg.Connection[Any]) -> str:
    """All that the alert tables hold, as text."""
    tables = (
        "alert_message",
        "alert_delivery",
        "alert_channel",
        "alert_event_s",
        "alert_state",
        "alert_configuration_s",
    )
    return "".join(
        str(connection.execute(f"SELECT t::text FROM monitoring.{table} t").fetchall()) for table in tables
    )


def test_mail_has_text_and_html_with_root_victims_and_what_to_do(
    admin: psycopg.Connection[Any], mail: Received, settings: Settings
) -> None:
    settings.LOCKMON_BASE_URL = "https://locks.example.org"
    number = put(admin, "dba@example.org")
    assert delivery.send_waiting("vault") == "1 alert message tried."
    assert state_of(admin, number) == ("sent", 1)
    ((_, to, message),) = mail.mails
    assert to == "dba@example.org"
    assert "CRITICAL: Critical blocking (1)" in str(message["Subject"])
    text = message.get_body(("plain",))
    html = message.get_body(("html",))
    assert text is not None and html is not None
    plain = text.get_content()
    for words in (
        "billing-worker (pid 4711)",
        "38 wait behind it",
        "End it.",
        "api (pid 5120)",
        "and 37 more",
        "x<y",
    ):
        assert words in plain
    assert "x&lt;y" in html.get_content() and "x<y" not in html.get_content()


def test_a_channel_gets_the_text(admin: psycopg.Connection[Any], hook: Received) -> None:
    number = put(admin, "channel:team")
    delivery.send_waiting("vault")
    assert state_of(admin, number) == ("sent", 1), dump(admin)
    ((_, _, body),) = hook.posts
    assert "Critical blocking" in body["title"]
    assert "billing-worker" in body["message"]


def test_a_failure_is_tried_again_later_and_later_and_then_given_up(
    admin: psycopg.Connection[Any], mail: Received
) -> None:
    mail.answer = "refuse"
    number = put(admin, "dba@example.org")
    assert delivery.send_waiting("vault") == "1 alert message tried.", "not again at once"
    pauses = []
    for attempt in range(1, 8):
        assert state_of(admin, number) == ("waiting", attempt)
        (pause,) = admin.execute(
            "SELECT due_at > now() + interval '1 s' * 2 FROM monitoring.alert_message"
        ).fetchone() or (None,)
        pauses.append(pause)
        later(admin)
        delivery.send_waiting("vault")
    assert all(pauses)
    assert state_of(admin, number) == ("failed", 8)
    outcomes = admin.execute("SELECT attempt, outcome FROM monitoring.alert_delivery ORDER BY 1").fetchall()
    assert outcomes == [(attempt, "failed") for attempt in range(1, 9)]


def test_a_message_is_sent_when_the_server_is_back(admin: psycopg.Connection[Any], mail: Received) -> None:
    mail.answer = "refuse"
    number = put(admin, "dba@example.org")
    delivery.send_waiting("vault")
    mail.answer = "ok"
    later(admin)
    delivery.send_waiting("vault")
    assert state_of(admin, number) == ("sent", 2)
    assert len(mail.mails) == 1


def test_a_dead_channel_is_reported_once_to_the_others_and_delays_nobody(
    admin: psycopg.Connection[Any], mail: Received, hook: Received
) -> None:
    admin.execute(
        "INSERT INTO monitoring.alert_configuration_s SELECT 'x', now(), NULL, 'x', 'T', 'T', 'SELECT"
        " 0', 0, 1, 'LOW', true,"
        " ARRAY['channel:team', 'dba@example.org'], NULL, 'test'"
    )
    hook.answer = "refuse"
    dead = put(admin, "channel:team")
    for _ in range(4):
        delivery.send_waiting("vault")
        later(admin)
    good = put(admin, "dba@example.org")
    delivery.send_waiting("vault")
    assert state_of(admin, good) == ("sent", 1)
    assert (state_of(admin, dead) or ("",))[0] == "waiting"
    subjects = [str(message["Subject"]) for _, _, message in mail.mails]
    assert len([subject for subject in subjects if "does not work" in subject]) == 1
    alert = admin.execute(
        "SELECT alert_query FROM monitoring.alert_configuration_s WHERE alert_name = 'Alert channel not"
        " working'"
    )
    query = (alert.fetchone() or ("",))[0]
    assert admin.execute(query).fetchone() == (1,), "and the installed alert sees it"


def test_no_secret_is_stored_or_logged(
    admin: psycopg.Connection[Any],
    hook: Received,
    settings: Settings,
    caplog: pytest.LogCaptureFixture,
    capfd: Any,
) -> None:
    caplog.set_level(logging.DEBUG)
    hook.answer = "refuse"
    put(admin, "channel:team")
    put(admin, "channel:gone")
    put(admin, "channel:wrong")
    settings.LOCKMON_CHANNELS = settings.LOCKMON_CHANNELS | {
        "gone": f"json://127.0.0.1:9/{SECRET}?token={SECRET}",
        "wrong": f"nosuchscheme://{SECRET}",
    }
    delivery.send_waiting("vault")
    sentences = [row[0] for row in admin.execute("SELECT sentence FROM monitoring.alert_delivery").fetchall()]
    assert len(sentences) == 3 and all("did not take it" in sentence for sentence in sentences)
    spoken = capfd.readouterr()
    for text in (dump(admin), caplog.text, spoken.out, spoken.err, *sentences):
        assert SECRET not in text


def test_a_channel_that_is_not_configured_is_a_sentence(admin: psycopg.Connection[Any]) -> None:
    put(admin, "channel:nobody")
    delivery.send_waiting("vault")
    row = admin.execute("SELECT sentence FROM monitoring.alert_delivery").fetchone()
    assert row == ("The channel “nobody” is not configured: set LOCKMON_CHANNEL_NOBODY where the tasks run.",)


def test_an_address_is_not_shown_in_errors_to_viewers(admin: psycopg.Connection[Any], mail: Received) -> None:
    mail.answer = "refuse"
    put(admin, "dba@example.org")
    delivery.send_waiting("vault")
    shown = admin.execute("SELECT m::text FROM monitoring.alert_message_list m").fetchall()
    assert "550" in str(shown) and "dba@example.org" not in str(shown)


SENDER = """
import os, sys
import django
django.setup()
from django.conf import settings
from django.db import connections
settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_USE_TLS = "127.0.0.1", int(sys.argv[1]), False
connections["vault"].settings_dict.update(HOST=sys.argv[2], PORT=sys.argv[3], USER="postgres", PASSWORD="",
NAME=sys.argv[4])
from lockmon.alerts import delivery
delivery.send_waiting("vault")
"""


def test_a_killed_sender_loses_nothing_and_repeats_at_most_the_one_in_flight(
    admin: psycopg.Connection[Any], mail: Received
) -> None:
    numbers = [put(admin, f"dba{index}@example.org") for index in range(6)]
    mail.answer = "hang"
    place = admin.info
    root = Path(__file__).resolve().parents[2]
    sender = subprocess.Popen(
        [sys.executable, "-c", SENDER, str(mail.port), place.host, str(place.port), place.dbname],
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "tests.settings", "PYTHONPATH": str(root)},
        start_new_session=True,
    )
    try:
        poll(lambda: state_of(admin, numbers[0]) == ("sending", 1), 30, "the sender has one in flight")
    finally:
        os.kill(sender.pid, signal.SIGKILL)
        sender.wait()
    mail.answer = "ok"
    delivery.send_waiting("vault")
    assert [state_of(admin, number) for number in numbers] == [("sending", 1), *[("sent", 1)] * 5]
    later(admin)
    delivery.send_waiting("vault")
    assert state_of(admin, numbers[0]) == ("sent", 2)
    assert sorted(to for _, to, _ in mail.mails) == sorted(f"dba{index}@example.org" for index in range(6))
    unknown = admin.execute(
        "SELECT outcome FROM monitoring.alert_delivery WHERE message_id = %s ORDER BY 1", [numbers[0]]
    )
    assert unknown.fetchall() == [("sent",), ("unknown",)]


def test_two_senders_share_the_outbox(
    admin: psycopg.Connection[Any], connect: Connect, vault_db: str
) -> None:
    number = put(admin, "dba@example.org")
    one, other = connect(vault_db, autocommit=False), connect(vault_db)
    first = outbox.claim_alert_message(one.cursor(), 60)
    assert first is not None and first.message_id == number
    assert outbox.claim_alert_message(other.cursor(), 60) is None
    one.commit()
    assert outbox.claim_alert_message(other.cursor(), 60) is None


def test_a_sender_that_was_too_slow_does_not_overwrite_the_next_one(admin: psycopg.Connection[Any]) -> None:
    number = put(admin, "dba@example.org")
    slow = outbox.claim_alert_message(admin.cursor(), 60)
    later(admin)
    quick = outbox.claim_alert_message(admin.cursor(), 60)
    assert slow is not None and quick is not None and (slow.attempt, quick.attempt) == (1, 2)
    assert (
        outbox.finish_alert_message(admin.cursor(), number, 1, slow.created_at, False, "late") == "superseded"
    )
    assert outbox.finish_alert_message(admin.cursor(), number, 2, quick.created_at, True, None) == "sent"


@pytest.mark.parametrize(
    "kind", ["raised", "worse", "reminder", "escalated", "resolved", "test", "channel", "digest"]
)
def test_every_kind_of_message_is_a_text_without_gaps(kind: str) -> None:
    context = CONTEXT | {
        "kind": kind,
        "failures": 3,
        "failing_since": None,
        "held": 2,
        "lines": [{"name": "A", "kind": "raised"}],
    }
    message = messages.write(kind, context, "one_vault on db1")
    assert message.subject.startswith("[one_vault on db1] ")
    for text in (message.subject, message.text, message.html):
        assert "None" not in text and "{{" not in text and "{%" not in text


@pytest.mark.parametrize(
    ("text", "secret", "safe"),
    [
        ("failed for https://h.example/T1/abcdefgh", "", "failed for ***"),
        (
            "pool(host='h.example'): url: /T1/abcdefgh?x=1",
            "https://h.example/T1/abcdefgh?x=1",
            "pool(host='h.example'): url: /T1/***?x=1",
        ),
        ("bad token p%40ssword1 or p@ssword1", "slack://u:p%40ssword1@h.example/", "bad token *** or ***"),
    ],
)
def test_secrets_are_scrubbed_piece_by_piece(text: str, secret: str, safe: str) -> None:
    assert channels.scrub(text, secret) == safe
