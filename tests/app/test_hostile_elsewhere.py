"""Hostile texts where there is no page of history: the door, a terminal, the report, JSON, messages."""

from __future__ import annotations

import io
import json
import re

import pytest
from django.core.management import call_command
from django.db import connections
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode

from lockmon import actions
from lockmon.alerts import messages
from tests.conftest import OpenSession
from tests.support import hostile, scenes
from tests.support.people import browser, use_app_login

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "vault"])

APPLICATION = "=1+1<script>alert(1)</script>;tenant=<b>x"
# what moves a terminal's cursor, changes its colours or its title, or turns the direction of what follows
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
TAGS = ("<script>alert", "<img src=x", "<b>x")


def stop_itself(session: OpenSession, vault_db: str) -> tuple[int, int]:
    """A session that blocks another one, both with names and statements meant to do harm."""
    holder = session(vault_db, application_name=APPLICATION)
    holder.run("SELECT pg_advisory_xact_lock(7, 7) /* \x1b]0;title\x07 \u202e <script>alert(1)</script> */")
    waiter = session(vault_db, application_name=APPLICATION)
    waiter.start("SELECT pg_advisory_xact_lock(7, 7) -- \x1b[2J <img src=x onerror=alert(1)>\r\u2066")
    waiter.wait_blocked()
    return holder.pid, waiter.pid


def said_by(command: str, *arguments: str) -> str:
    """What a command prints."""
    out = io.StringIO()
    call_command(command, *arguments, stdout=out)
    return out.getvalue()


def test_the_door_s_pages_and_their_export(vault_db: str, session: OpenSession) -> None:
    use_app_login()
    _, waiter = stop_itself(session, vault_db)
    client = browser("dba")
    facts = actions.look(waiter)
    assert facts is not None
    place = reverse("admin:lockmon_stop")
    identity = urlencode([("pid", str(waiter)), ("backend_start", facts.backend_start.isoformat())])
    page = client.get(f"{place}?{identity}").content.decode()
    token = re.search(r'name="token" value="([^"]+)"', page)
    reason = "=cmd|' /C calc'!A0 <script>alert(1)</script>\u202e"
    form = {"token": token[1] if token else "", "action": "cancel", "reason": reason}
    told = client.post(place, form, follow=True).content.decode()
    listed = client.get(reverse("admin:lockmon_actionlog_changelist")).content.decode()
    for shown in (page, told, listed):
        assert not any(tag in shown for tag in TAGS)
        assert not CONTROL.search(shown)
    assert "&lt;script&gt;" in listed, "it is there, and harmless"
    exported = client.get(reverse("admin:lockmon_actionlog_export", args=["csv"]))
    rows = b"".join(exported.streaming_content).decode("utf-8-sig")  # type: ignore[attr-defined]
    assert "'=cmd|" in rows
    assert "'=1+1" in rows


@pytest.mark.parametrize(
    "words",
    [
        ("lockmon_top", "--once"),
        ("lockmon_blocking",),
        ("lockmon_rescue",),
        ("lockmon_deadlocks",),
        ("lockmon_report", "--period", "day"),
        ("lockmon_report", "--period", "day", "--format", "html"),
    ],
    ids=" ".join,
)
def test_no_command_prints_what_moves_a_terminal(
    vault_db: str, session: OpenSession, words: tuple[str, ...]
) -> None:
    hostile.fill(vault_db)
    stop_itself(session, vault_db)
    scenes.cycle(vault_db)
    shown = said_by(*words)
    assert shown
    assert not CONTROL.search(shown)
    if "html" in words:
        assert not any(tag in shown for tag in TAGS)


def test_a_deadlock_in_the_terminal(vault_db: str) -> None:
    hostile.fill(vault_db)
    shown = said_by("lockmon_deadlocks", "--show", hostile.SCRIPT[:90])
    assert "U+202E" in shown, "it is there, and harmless"
    assert not CONTROL.search(shown)


@pytest.mark.parametrize(
    "words", [("lockmon_blocking", "--json"), ("lockmon_rescue", "--json"), ("lockmon_deadlocks", "--json")]
)
def test_json_of_commands_stays_json(vault_db: str, session: OpenSession, words: tuple[str, ...]) -> None:
    hostile.fill(vault_db)
    stop_itself(session, vault_db)
    assert json.loads(said_by(*words))


def test_a_message_keeps_to_its_lines(vault_db: str, session: OpenSession) -> None:
    stop_itself(session, vault_db)
    with connections["vault"].cursor() as cursor:
        context = messages.situation(cursor, timezone.now())
    name = "bad\r\nBcc: everybody@example.com\x1b[31m\u202e<script>alert(1)</script>"
    context |= {"name": name, "level": "critical", "sentence": name, "value": "1", "literals": True}
    message = messages.write("raised", context, "vault")
    for text in (message.subject, message.text, message.html):
        assert not CONTROL.search(text)
    assert "\n" not in message.subject
    assert not any(tag in message.html for tag in TAGS)
