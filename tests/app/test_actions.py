"""The Python side of the door and its commands: the same judgement, each step committed."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from psycopg.conninfo import conninfo_to_dict

from lockmon import actions, door_words, vault
from lockmon.calls import door as calls
from tests.conftest import OpenSession
from tests.support import doors, vaults
from tests.support.poll import poll
from tests.support.servers import Server

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "vault"])


@pytest.fixture
def scene(server: Server, vault_db: str) -> Iterator[str]:
    """The alias `vault` leads to a prepared database, as the application's login."""
    with doors.led(server, vault_db) as dsn:
        yield dsn


def history(dsn: str) -> list[tuple[Any, ...]]:
    """origin, acting_for, logged_by, outcome, code of all actions."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        return connection.execute(
            "SELECT origin, acting_for, logged_by, outcome, code"
            " FROM lock_admin.action_history ORDER BY action_id"
        ).fetchall()


def run(command: str, *arguments: str) -> tuple[int, str]:
    """A command's exit code and what it printed."""
    out = io.StringIO()
    try:
        call_command(command, *arguments, stdout=out)
    except SystemExit as ended:
        return int(ended.code or 0), out.getvalue()
    except CommandError as error:
        return error.returncode, out.getvalue() + str(error)
    return 0, out.getvalue()


def test_look_tells_what_a_person_has_to_know(scene: str, session: OpenSession) -> None:
    holder = doors.hold(session, scene, name="billing tenant=acme")
    waiter = doors.wait(session, scene)
    doors.wait(session, scene)
    facts = actions.look(holder.pid)
    assert facts is not None
    assert (facts.user_name, facts.tenant_claim, facts.refusal_code) == (doors.ORDINARY, "acme", None)
    told = dict(door_words.lines(facts))
    assert "idle in transaction" in told["Doing"]
    assert "rolled back" in told["Holds"]
    assert told["Then"].startswith(f"2 sessions behind it: 1 freed at once; next in line is {waiter.pid}")
    assert "would do nothing" in told["Instead"]
    assert actions.look(2147483647) is None


def test_stop_commits_the_request_before_it_signals(scene: str, session: OpenSession) -> None:
    holder = doors.hold(session, scene)
    doors.wait(session, scene)
    facts = actions.look(holder.pid)
    assert facts is not None
    outcome = actions.stop(
        actions.Target(facts.pid, facts.backend_start, facts.xact_start),
        calls.TERMINATE,
        "a test",
        acting_for="ann",
        origin="admin",
    )
    assert outcome.outcome == "terminated"
    assert outcome.signalled
    assert history(scene) == [("admin", "ann", vaults.APP_LOGIN, "terminated", None)]


def test_without_the_right_nothing_happens_and_it_is_recorded(
    scene: str, server: Server, session: OpenSession
) -> None:
    holder = doors.hold(session, scene)
    doors.wait(session, scene)
    facts = actions.look(holder.pid)
    assert facts is not None
    name = str(conninfo_to_dict(scene)["dbname"])
    vaults.point_alias("vault", server, name, user=doors.READER)
    with pytest.raises(actions.NoRightError, match="needs lock_admin_role"):
        actions.stop(
            actions.Target(facts.pid, facts.backend_start),
            calls.TERMINATE,
            "a test",
            acting_for="eve",
            origin="admin",
        )
    assert doors.alive(scene)(holder.pid)
    assert history(scene) == [("admin", "eve", doors.READER, "refused", "no_right")]


def test_policies_run_to_their_end_in_one_call(scene: str, session: OpenSession) -> None:
    rules = {"action": "terminate", "min_severity": "LOW", "min_blocked_seconds": 1}
    with vault.admin_transaction() as cursor:
        saved = calls.save_policy(cursor, "idle", rules, "ann")
    assert saved.version == 1
    with vault.admin_transaction() as cursor:
        calls.backtest_policy(cursor, "idle", None, None, "ann")
        assert calls.set_policy_mode(cursor, "idle", "armed", "a test", "bob", 2).accepted
    holder = doors.hold(session, scene)
    waiter = doors.wait(session, scene)

    def terminated() -> bool:
        return any(one.decision == "terminated" for one in actions.run_policies())

    poll(terminated, what="the policy's stop")
    assert not doors.alive(scene)(holder.pid)
    waiter.result()


def test_terminate_command(scene: str, session: OpenSession) -> None:
    holder = doors.hold(session, scene)
    doors.wait(session, scene)
    code, text = run("lockmon_terminate", str(holder.pid), "--reason", "a test")
    assert code == 1
    assert "nobody to ask" in text
    code, text = run("lockmon_terminate", str(holder.pid), "--reason", " ", "--yes")
    assert (code, text) == (1, "A reason is needed. Nothing was done.")
    code, text = run(
        "lockmon_terminate",
        str(holder.pid),
        "--reason",
        "x",
        "--yes",
        "--backend-start",
        "2020-01-01T00:00:00+00",
    )
    assert code == 3
    assert "belongs to another session" in text
    assert doors.alive(scene)(holder.pid)
    code, text = run("lockmon_terminate", str(holder.pid), "--reason", "a test", "--yes", "--json")
    assert code == 0
    assert json.loads(text)[0]["outcome"] == "terminated"
    code, text = run("lockmon_terminate", str(holder.pid), "--reason", "a test", "--yes")
    assert code == 3
    assert "There is no session" in text


def test_resolve_command(scene: str, session: OpenSession) -> None:
    with psycopg.connect(scene, autocommit=True) as connection:
        connection.execute(
            "UPDATE lock_admin.setting SET value = '\"LOW\"' WHERE name = 'auto_resolve.min_severity'"
        )
    assert run("lockmon_resolve")[1].strip() == "Nobody blocks anybody."
    holder = doors.hold(session, scene)
    doors.wait(session, scene)
    code, text = run("lockmon_resolve", "--seconds", "0")
    assert code == 0
    assert "would terminate" in text
    assert "Dry run" in text
    assert history(scene) == []
    assert run("lockmon_resolve", "--seconds", "0", "--execute")[0] == 1
    assert run("lockmon_resolve", "--seconds", "-1")[0] == 1
    code, text = run("lockmon_resolve", "--seconds", "0", "--execute", "--reason", "a test")
    assert code == 0
    assert f"{holder.pid} ended after" in text
    assert [(row[0], row[3]) for row in history(scene)] == [("auto_resolve", "terminated")]
