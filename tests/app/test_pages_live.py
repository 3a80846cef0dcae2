"""The live pages: what a person sees of sessions that really block each other."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, timedelta

import psycopg
import pytest
from django.template.loader import render_to_string
from django.test import Client
from django.utils import timezone

from lockmon.standing import memory
from lockmon.views import tree
from lockmon.views.context import Rights
from lockmon.views.nodes import Node
from tests.conftest import Connect
from tests.support import scenes
from tests.support.people import browser, use_app_login
from tests.support.sessions import Session
from tests.support.watching import watched_since

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "vault"])

OpenSession = Callable[..., Session]


def text_of(client: Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200, answer.status_code
    return answer.content.decode()


def test_the_overview_names_the_cause(vault_db: str, session: OpenSession) -> None:
    use_app_login()
    scenes.make_tables(vault_db)
    root, queue = scenes.row_queue(vault_db, session, 6)
    page = text_of(browser("dba"), "/admin/")
    assert f"billing-worker (pid {root.pid}) has been idle in transaction for" in page
    assert "6 sessions wait behind its locks" in page
    assert "row (0,1) of app.accounts" in page
    assert "4 more: api, the same statement" in page or "3 more: api, the same statement" in page
    assert "UPDATE app.accounts SET balance = balance - 7 WHERE id = 1" in page
    assert str(queue[0].pid) in page


def test_a_viewer_sees_no_literals(vault_db: str, session: OpenSession) -> None:
    use_app_login()
    scenes.make_tables(vault_db)
    root, _ = scenes.row_queue(vault_db, session, 1)
    viewer = browser("viewer")
    for path in (
        "/admin/",
        "/admin/monitor/live/",
        "/admin/monitor/waiters/",
        f"/admin/monitor/session/?node={root.pid}",
    ):
        page = text_of(viewer, path)
        assert "balance - 7" not in page and "balance + 0" not in page, path
        assert "balance - ?" in re.sub("<[^>]+>", "", page) or "balance + ?" in re.sub("<[^>]+>", "", page), (
            path
        )


def test_queued_ddl_is_named_as_such(vault_db: str, session: OpenSession) -> None:
    use_app_login()
    scenes.make_tables(vault_db)
    reader = session(vault_db, application_name="nightly-report")
    reader.run("SELECT * FROM app.accounts")
    ddl = session(vault_db, application_name="migrate")
    ddl.start("ALTER TABLE app.accounts ADD COLUMN note text")
    ddl.wait_blocked()
    later = session(vault_db, application_name="api")
    later.start("SELECT count(*) FROM app.accounts")
    later.wait_blocked()
    page = text_of(browser("viewer"), "/admin/monitor/live/")
    assert "QUEUED DDL" in page
    assert "cancelling it frees them" in page
    assert "Held up by a request ahead of it in the queue" in page


def test_all_is_well_says_so_and_since_when(vault_db: str, session: OpenSession) -> None:
    use_app_login()
    scenes.make_tables(vault_db)
    viewer = browser("viewer")
    assert "Nobody is waiting. No block is on record" in text_of(viewer, "/admin/")
    root, queue = scenes.row_queue(vault_db, session, 1)
    scenes.cycle(vault_db)
    root.run("COMMIT")
    queue[0].result()
    queue[0].run("COMMIT")
    scenes.cycle(vault_db)
    assert "Nobody is waiting. The last block ended" in text_of(viewer, "/admin/")


def test_the_session_page_knows_a_reused_pid(vault_db: str, session: OpenSession) -> None:
    use_app_login()
    scenes.make_tables(vault_db)
    root, _ = scenes.row_queue(vault_db, session, 1)
    client = browser("dba")
    page = text_of(client, f"/admin/monitor/session/?node={root.pid}&backend_start=2020-01-01T00:00:00Z")
    assert f"Pid {root.pid} now belongs to another session" in page
    assert "follow a link from the live tree" in client.get("/admin/monitor/session/?node=x").content.decode()


def test_the_fragment_is_marked_and_a_dead_vault_is_said(vault_db: str, session: OpenSession) -> None:
    client = browser("viewer")
    answer = client.get("/admin/monitor/live/fragment/")
    assert answer["X-Lockmon-Fragment"] == "1"
    from django.db import connections

    connections["vault"].close()
    before = connections["vault"].settings_dict["NAME"]
    connections["vault"].settings_dict["NAME"] = "no_such_database"
    try:
        page = text_of(client, "/admin/")
        assert "Not watching, as far as can be seen from here" in page
        assert re.search(r"Last seen at .*, .* ago: not the present", page)
        assert "Nobody was waiting then." in page
        memory.forget()
        page = text_of(client, "/admin/")
        assert "nothing is known about now, and this process of the web server has seen none since" in page
        assert client.get("/admin/lockmon/lockactivity/").status_code == 503
        assert client.get("/admin/monitor/insight/").status_code == 503
        assert client.get("/admin/monitor/time/").status_code == 503
    finally:
        connections["vault"].close()
        connections["vault"].settings_dict["NAME"] = before


def test_a_page_shows_the_strict_policy_and_no_inline_code(vault_db: str) -> None:
    client = browser("dba")
    for path in (
        "/admin/",
        "/admin/monitor/live/",
        "/admin/monitor/insight/",
        "/admin/lockmon/lockactivity/",
    ):
        answer = client.get(path)
        assert "script-src 'self'" in answer["Content-Security-Policy"]
        page = answer.content.decode()
        assert not re.search(r"<script(?![^>]*\bsrc=)[^>]*>", page), path
        assert not re.search(r"<[^>]+\s(on[a-z]+|style)=|<style", page), path


def test_a_row_in_a_queue_says_as_of_when_its_blockers_are(
    vault_db: str, session: OpenSession, connect: Connect
) -> None:
    """Of equivalent waiters only the first one's row follows its blockers."""
    vault = connect(vault_db)
    holder, first, second = session(vault_db), session(vault_db), session(vault_db)
    holder.run("SELECT pg_advisory_xact_lock(7)")
    for waiter in (first, second):
        waiter.start("SELECT pg_advisory_xact_lock(7)")
        waiter.wait_blocked()
    vault.execute("SELECT * FROM lock_monitoring.capture_lock_activity()")
    client = browser("dba")
    pages = []
    for waiter in (first, second):
        row = vault.execute(
            "SELECT satellite_id FROM lock_monitoring.lock_activity_s"
            " WHERE lock_pid = %s AND NOT lock_granted",
            [waiter.pid],
        ).fetchone()
        assert row is not None
        pages.append(client.get(f"/admin/lockmon/lockactivity/{row[0]}/change/").content.decode())
    said = "stood at place 2 and keeps the blockers that it had then"
    assert ["lockers as of" in page for page in pages] == [True, True]
    assert [said in page for page in pages] == [False, True]


def crowd(size: int, alike: bool) -> list[Node]:
    """A root and a crowd behind it: ``alike`` or each with an application and a statement of its own."""
    start = timezone.now() - timedelta(minutes=9)
    root = Node(
        1,
        1,
        backend_start=start,
        application_name="root",
        state="idle in transaction",
        state_change=start,
        kind="idle_in_transaction",
        is_root=True,
        blocked_total=size,
        severity="CRITICAL",
        query="UPDATE a",
        blocked_seconds=9.0,
    )
    nodes = [root]
    for number in range(2, size + 2):
        name = "api" if alike else f"api-{number}"
        query = "UPDATE accounts SET balance = balance + 1 WHERE id = 1 AND note = 'some note of some length'"
        nodes.append(
            Node(
                number,
                number,
                backend_start=start,
                application_name=name,
                user_name="app_rw",
                state="active",
                query=query if alike else f"{query} -- {number}",
                fingerprint="x" if alike else str(number),
                is_waiting=True,
                lock_type="tuple",
                lock_mode="ExclusiveLock",
                object_name="row (12,4) of app.accounts",
                parent=1,
                wait_start=start + timedelta(milliseconds=number),
                kind="waiting",
            )
        )
    return nodes


@pytest.mark.parametrize("alike", [True, False])
def test_a_thousand_waiters_stay_small(alike: bool) -> None:
    made = tree.build(crowd(1000, alike), timezone.now())
    rights = Rights(pages=True, query_text=True, stop=True, export=True)
    page = render_to_string(
        "lockmon/_tree.html", {"tree": made, "can": rights, "stop_url": "/admin/stop/", "past": False}
    )
    assert made.waiting == 1000
    assert len(page.encode()) < 300_000, len(page)
    assert ("999 more" if alike else "more sessions are not drawn") in page


def test_a_ring_of_waits_is_drawn_once_and_ends() -> None:
    ring = [
        Node(
            1,
            1,
            is_waiting=True,
            in_deadlock=True,
            parent=2,
            blocked_total=1,
            severity="LOW",
            application_name="a",
        ),
        Node(
            2,
            2,
            is_waiting=True,
            in_deadlock=True,
            parent=1,
            blocked_total=1,
            severity="LOW",
            application_name="b",
        ),
    ]
    made = tree.build(ring, timezone.now())
    drawn = [line.node.node for line in made.lines if line.node]
    assert sorted(drawn) == [1, 2]
    assert "ring of sessions" in tree.cause_sentence(made, timezone.now())


def test_the_time_machine_keeps_then_and_later_apart(vault_db: str, session: OpenSession) -> None:
    use_app_login()
    scenes.make_tables(vault_db)
    root, queue = scenes.row_queue(vault_db, session, 2)
    scenes.cycle(vault_db)
    with psycopg.connect(vault_db) as connection:
        found = connection.execute("SELECT max(load_date) FROM lock_monitoring.blocking_session_s").fetchone()
        assert found is not None
    # whoever waits first gets the row first only if it is as it was
    root.run("ROLLBACK")
    queue[0].result()
    queue[0].run("COMMIT")
    queue[1].result()
    queue[1].run("COMMIT")
    scenes.cycle(vault_db)
    client = browser("dba")
    at = found[0].astimezone(UTC).isoformat().replace("+00:00", "Z")
    page = text_of(client, f"/admin/monitor/time/?at={at}")
    assert str(root.pid) in page and "2 waiting behind 1 root blocker" in page
    assert "Learned later" in page and f"{root.pid} stopped blocking at" in page
    watched_since(vault_db, timedelta(minutes=5))
    before = (found[0] - timedelta(seconds=1)).astimezone(UTC).isoformat().replace("+00:00", "Z")
    compared = text_of(client, f"/admin/monitor/time/?at={at}&compare={before}")
    assert "+2 waiting" in compared
    assert "is not a date and time" in text_of(client, "/admin/monitor/time/?at=yesterday")
    episode = re.search(r"/admin/monitor/episode/[0-9a-f]+/", page)
    assert episode is not None
    story = text_of(client, episode.group())
    assert "first waiter" in story and "the blocking ends" in story and "Blocked:" in story
    with psycopg.connect(vault_db) as connection:
        connection.execute(
            "UPDATE lock_monitoring.blocking_session_s SET blocking_since = blocking_since - interval '9 s'"
        )
    assert "when it was first seen at the head of the queue" in text_of(client, episode.group())
    assert client.get("/admin/monitor/episode/zz/").status_code == 404
    assert client.get("/admin/monitor/episode/abcd/").status_code == 404
