"""The door's pages with a real vault and real sessions: who may, what is bound, what comes of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from django.contrib.auth.models import Group, User
from django.core import signing
from django.db import connections
from django.test import Client
from django.urls import reverse
from django.utils.http import urlencode

from lockmon import actions, door_words
from lockmon.calls import door
from lockmon.groups import ADMINS, READERS, ensure_groups
from lockmon.views import stopping
from tests.conftest import OpenSession
from tests.support import doors
from tests.support.servers import Server

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "vault"])


@pytest.fixture
def scene(server: Server, vault_db: str) -> Iterator[str]:
    """The alias `vault` leads to a prepared database, as the application's login."""
    with doors.led(server, vault_db) as dsn:
        yield dsn


def person(group: str | None, name: str | None = None) -> Client:
    """Somebody logged in, with a group or without."""
    ensure_groups()
    user = User.objects.create_user(name or f"user of {group}"[:30], is_staff=True)
    if group:
        user.groups.add(Group.objects.get(name=group))
    client = Client()
    client.force_login(user)
    return client


def stop_url(*pids: int) -> str:
    """The confirmation page of some sessions."""
    pairs: list[tuple[str, Any]] = []
    for pid in pids:
        facts = actions.look(pid)
        assert facts is not None
        pairs += [("pid", pid), ("backend_start", facts.backend_start.isoformat())]
    return f"{reverse('admin:lockmon_stop')}?{urlencode(pairs)}"


def token_in(page: str) -> str:
    """The signed identity in the form."""
    found = re.search(r'name="token" value="([^"]+)"', page)
    assert found
    return found.group(1)


def history(dsn: str) -> list[tuple[Any, ...]]:
    """origin, acting_for, outcome, code of all actions."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        return connection.execute(
            "SELECT origin, acting_for, outcome, code FROM lock_admin.action_history ORDER BY action_id"
        ).fetchall()


def test_confirm_stop_and_see_the_outcome_beside_the_prediction(scene: str, session: OpenSession) -> None:
    holder = doors.hold(session, scene)
    waiter = doors.wait(session, scene)
    client = person(ADMINS, "ann")
    shown = client.get(stop_url(holder.pid))
    text = shown.content.decode()
    assert shown.status_code == 200
    assert f"Stop pid {holder.pid}?" in text
    assert "1 session behind it: 1 freed at once" in text
    assert "will be rolled back" in text

    done = client.post(
        reverse("admin:lockmon_stop"),
        {"token": token_in(text), "action": "terminate", "reason": "it forgot to commit"},
        follow=True,
    )
    told = done.content.decode()
    assert f"{holder.pid} ended after" in told
    assert "1 predicted to be freed, 1 freed" in told
    assert "it forgot to commit" in told
    waiter.result()
    assert history(scene) == [("admin", "ann", "terminated", None)]

    listed = client.get(reverse("admin:lockmon_actionlog_changelist"))
    assert b"it forgot to commit" in listed.content
    exported = client.get(reverse("admin:lockmon_actionlog_export", args=["csv"]))
    rows = b"".join(exported.streaming_content).decode("utf-8-sig").splitlines()  # type: ignore[attr-defined]
    assert len(rows) == 2
    assert "it forgot to commit" in rows[1]


def test_the_page_says_what_each_action_really_does(scene: str, session: OpenSession) -> None:
    holder, waiter = session(scene), session(scene)
    holder.run("SELECT pg_advisory_lock(7)")
    holder.start("SELECT pg_sleep(60)")
    waiter.start("SELECT pg_advisory_lock(7)")
    waiter.wait_blocked()
    text = person(ADMINS, "ann").get(stop_url(holder.pid)).content.decode()
    assert "cancelling ends its statement; an advisory lock of its session stays" in text
    with connections["vault"].cursor() as cursor:
        found = door.facts(cursor, holder.pid)
    assert found and found.kind == "advisory_lock" and door_words.progress(found) == ""
    done = {"command": "VACUUM", "phase": "scanning heap", "percent": 34.0, "seconds_left": 120.0}
    told = door_words.doing(replace(found, progress=done))
    assert told.endswith("; VACUUM, scanning heap: 34.0 %, about 2 min 00 s more of this at the present pace")
    committed = door_words.holds(replace(found, kind="waits_for_standby", backend_xid=7))
    assert committed.endswith("what it has written is committed and stays")


def test_without_a_reason_nothing_happens(scene: str, session: OpenSession) -> None:
    holder = doors.hold(session, scene)
    doors.wait(session, scene)
    client = person(ADMINS)
    token = token_in(client.get(stop_url(holder.pid)).content.decode())
    answer = client.post(
        reverse("admin:lockmon_stop"), {"token": token, "action": "terminate", "reason": " "}
    )
    assert "A reason is needed" in answer.content.decode()
    assert doors.alive(scene)(holder.pid)
    assert history(scene) == []


def test_the_form_expires_and_belongs_to_one_person(
    scene: str, session: OpenSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    holder = doors.hold(session, scene)
    doors.wait(session, scene)
    client = person(ADMINS, "ann")
    token = token_in(client.get(stop_url(holder.pid)).content.decode())
    answers = {"token": token, "action": "terminate", "reason": "x"}
    other = person(ADMINS, "bob").post(reverse("admin:lockmon_stop"), answers, follow=True)
    assert "given to somebody else" in other.content.decode()
    forged = client.post(reverse("admin:lockmon_stop"), answers | {"token": token + "x"}, follow=True)
    assert "not the one this site gave out" in forged.content.decode()
    monkeypatch.setattr(stopping, "VALID_SECONDS", -1)
    late = client.post(reverse("admin:lockmon_stop"), answers)
    assert "was older than" in late.content.decode()
    assert doors.alive(scene)(holder.pid)
    assert history(scene) == []


def test_what_is_posted_is_the_session_that_was_shown(scene: str, session: OpenSession) -> None:
    holder = doors.hold(session, scene)
    doors.wait(session, scene)
    client = person(ADMINS, "ann")
    facts = actions.look(holder.pid)
    assert facts is not None
    user = User.objects.get(username="ann")
    old = signing.dumps([user.pk, [[holder.pid, "2020-01-01T00:00:00+00:00", None]]], salt=stopping.SALT)
    answer = client.post(
        reverse("admin:lockmon_stop"), {"token": old, "action": "terminate", "reason": "x"}, follow=True
    )
    assert "now belongs to another session" in answer.content.decode()
    assert doors.alive(scene)(holder.pid)
    assert history(scene) == [("admin", "ann", "refused", "other_session")]


def test_critical_ones_need_the_pid_typed(scene: str, session: OpenSession) -> None:
    with psycopg.connect(scene, autocommit=True) as connection:
        connection.execute(
            "CREATE OR REPLACE FUNCTION lock_engine.severity(p_blocked integer, p_longest_seconds numeric)"
            " RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT 'CRITICAL' WHERE p_blocked > 0 $$"
        )
    holder = doors.hold(session, scene)
    doors.wait(session, scene)
    client = person(ADMINS)
    token = token_in(client.get(stop_url(holder.pid)).content.decode())
    answers = {"token": token, "action": "terminate", "reason": "x"}
    assert "Type the pid" in client.post(reverse("admin:lockmon_stop"), answers).content.decode()
    assert doors.alive(scene)(holder.pid)
    client.post(reverse("admin:lockmon_stop"), answers | {"typed": str(holder.pid)})
    assert not doors.alive(scene)(holder.pid)


def test_several_sessions_at_once(scene: str, session: OpenSession) -> None:
    holders = [doors.hold(session, scene, row=row) for row in (1, 2)]
    for row in (1, 2):
        doors.wait(session, scene, row=row)
    client = person(ADMINS, "ann")
    text = client.get(stop_url(*[one.pid for one in holders])).content.decode()
    assert "Stop 2 sessions?" in text
    answers = {"token": token_in(text), "action": "terminate", "reason": "both"}
    client.post(reverse("admin:lockmon_stop"), answers)
    assert history(scene) == [("admin", "ann", "terminated", None)] * 2


def test_the_blocking_list_leads_to_the_confirmation(scene: str, session: OpenSession) -> None:
    holders = [doors.hold(session, scene, row=row) for row in (1, 2)]
    for row in (1, 2):
        doors.wait(session, scene, row=row)
    with psycopg.connect(scene, autocommit=True) as connection:
        connection.execute("SELECT * FROM lock_monitoring.run_lock_monitoring()")
        keys = connection.execute(
            "SELECT satellite_id FROM lock_monitoring.blocking_session_s WHERE session_pid = ANY (%s)",
            ([one.pid for one in holders],),
        ).fetchall()
    address = reverse("admin:lockmon_blockingsession_changelist")
    wish = {"action": "stop_sessions", "_selected_action": [str(key) for (key,) in keys]}
    asked = person(ADMINS).post(address, wish, follow=True)
    assert "Stop 2 sessions?" in asked.content.decode()
    reader = person(READERS)
    assert "stop_sessions" not in reader.get(address).content.decode()
    assert "Stop 2 sessions?" not in reader.post(address, wish, follow=True).content.decode()


PAGES = {
    "stop": ("post", "lockmon_stop", []),
    "confirm": ("get", "lockmon_stop", []),
    "new policy": ("post", "lockmon_policy_add", []),
    "rules": ("get", "lockmon_policy_rules", ["idle"]),
    "mode": ("post", "lockmon_policy_mode", ["idle"]),
    "back-test": ("post", "lockmon_policy_backtest", ["idle"]),
    "actions": ("get", "lockmon_actionlog_changelist", []),
    "policies": ("get", "lockmon_policy_changelist", []),
    "policy": ("get", "lockmon_policy", ["idle"]),
}
READING = {"actions", "policies", "policy"}


@pytest.mark.parametrize("group", [None, READERS, ADMINS])
def test_role_by_page(scene: str, group: str | None) -> None:
    person(ADMINS, "maker").post(reverse("admin:lockmon_policy_add"), rules(policy="idle"), follow=True)
    client = person(group, "somebody")
    for name, (method, view, arguments) in PAGES.items():
        address = reverse(f"admin:{view}", args=arguments)
        answer = getattr(client, method)(address, {"pid": "5", "reason": "x"})
        allowed = group == ADMINS or (group == READERS and name in READING)
        assert (answer.status_code != 403) == allowed, (name, answer.status_code)
    denied = [] if group == ADMINS else [("admin", "somebody", "refused", "no_right")]
    assert history(scene) == denied


def rules(**changes: Any) -> dict[str, Any]:
    """What a person fills in."""
    return {
        "policy": "idle",
        "action": "terminate",
        "min_severity": "LOW",
        "min_blocked_seconds": "5",
        "min_blocked_sessions": "1",
        "user_patterns": "app_*\nbatch",
        "time_windows": "[]",
        "max_per_hour": "5",
        "max_per_run": "1",
        "grace_seconds": "10",
        "breaker_failures": "3",
        "breaker_minutes": "5",
    } | changes


def test_a_policy_from_its_rules_to_being_armed_by_another_person(scene: str) -> None:
    ann, bob = person(ADMINS, "ann"), person(ADMINS, "bob")
    made = ann.post(reverse("admin:lockmon_policy_add"), rules(), follow=True).content.decode()
    assert "Version 1 of &quot;idle&quot; is saved." in made
    assert "app_*, batch" in made
    mode = reverse("admin:lockmon_policy_mode", args=["idle"])
    wish = {"mode": "armed", "reason": "nights"}
    assert "do one of the two first" in ann.post(mode, wish, follow=True).content.decode()
    tested = ann.post(reverse("admin:lockmon_policy_backtest", args=["idle"]), {"days": "7"}, follow=True)
    assert "It would have stopped nobody" in tested.content.decode()
    assert "somebody else has to arm them" in ann.post(mode, wish, follow=True).content.decode()
    assert "is armed now" in bob.post(mode, wish, follow=True).content.decode()
    edit = reverse("admin:lockmon_policy_rules", args=["idle"])
    assert "app_*" in bob.get(edit).content.decode()
    again = bob.post(edit, rules(min_blocked_seconds="9"), follow=True).content.decode()
    assert "It was armed; it runs dry now" in again
    assert "dry run" in ann.get(reverse("admin:lockmon_policy_changelist")).content.decode()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"user_patterns": "", "application_patterns": "api"}, "name the users as well"),
        ({"time_windows": "nonsense"}, "JSON list"),
        ({"time_windows": '[{"from": "99:00"}]'}, "A time window looks like"),
        ({"policy": "<b>"}, "1 to 100 letters"),
    ],
)
def test_rules_that_make_no_sense_are_sent_back_with_a_sentence(
    scene: str, changes: dict[str, str], sentence: str
) -> None:
    answer = person(ADMINS).post(reverse("admin:lockmon_policy_add"), rules(**changes))
    assert answer.status_code == 200
    assert sentence in answer.content.decode()
