"""What a parallel query waits for at once stands under one waiter, wherever waiters are listed."""

from __future__ import annotations

import io
import re
from datetime import UTC, datetime

import pytest
from django.core.management import call_command
from django.db import connections
from django.urls import reverse
from rich.console import Console

from lockmon.calls import catalog
from lockmon.models import BlockingSession
from lockmon.top.render import details
from lockmon.views import node_words
from lockmon.views.nodes import Wait, several
from tests.conftest import Connect, OpenSession
from tests.support.parallel import ParallelScene
from tests.support.people import browser, use_app_login

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "vault"])


@pytest.fixture
def scene(vault_db: str, session: OpenSession, connect: Connect) -> ParallelScene:
    use_app_login()
    return ParallelScene(vault_db, session, connect)


def text(page: bytes) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.decode()))


def test_the_list_of_waiters_shows_all_waits_in_one_line(scene: ParallelScene) -> None:
    root = scene.lock("t0")
    scene.lock("t1")
    query = scene.query("t0", "t1")
    page = browser("viewer").get(reverse("admin:lockmon_waiters"), {"root": root.pid})
    assert "1 session waits behind" in text(page.content)
    (line,) = re.findall(rf"<tr><td[^>]*><a [^>]*>{query.pid}</a>.*?</tr>", page.content.decode(), re.S)
    assert re.search(
        r"2 waits: \d+ for AccessShareLock on table app\.t[01]; \d+ for AccessShareLock on table app\.t[01]",
        line,
    )
    assert "app.t0" in line and "app.t1" in line


def test_the_terminal_shows_all_waits_under_one_waiter(scene: ParallelScene) -> None:
    scene.lock("t0")
    scene.lock("t1")
    query = scene.query("t0", "t1")
    out = io.StringIO()
    call_command("lockmon_top", "--once", stdout=out)
    printed = out.getvalue()
    assert len(re.findall(rf"{query.pid}  parallel query  waits \S+  2 waits: ", printed)) == 1
    with connections["vault"].cursor() as cursor:
        (node,) = [node for node in catalog.waits_for(cursor) if node.is_waiting]
    shown = Console(file=io.StringIO(), width=200)
    shown.print(details(node, datetime.now(UTC)))
    inspected = shown.file.getvalue()  # type: ignore[attr-defined]
    waits = several(node.waits)
    assert {wait.object_name for wait in waits} == {"table app.t0", "table app.t1"}
    for wait in waits:
        words = f"{wait.process} for AccessShareLock on {wait.object_name}"
        assert f"  {words}\n" in printed and words in inspected


def test_an_episodes_page_lists_one_waiter_with_all_it_waited_for(scene: ParallelScene) -> None:
    root = scene.session(scene.dsn, application_name="holder of both")
    root.run("LOCK TABLE app.t0, app.t1 IN ACCESS EXCLUSIVE MODE")
    query = scene.query("t0", "t1")
    scene.stored.cycle()
    root.run("COMMIT")
    query.result()
    scene.cycle_until(lambda rows: all(row["load_end_date"] for row in rows), "all has ended")
    episode = BlockingSession.objects.filter(session_pid=root.pid).first()
    assert episode is not None
    page = browser("viewer").get(reverse("admin:lockmon_episode", args=[episode.blocking_session_id]))
    shown = text(page.content)
    assert "Who waited (1)" in shown
    assert re.search(r"AccessShareLock on table app\.t[01]; AccessShareLock on table app\.t[01]", shown)
    assert f"{query.pid}" in shown and "out of the queue: 1 waiter, all" in shown


def test_beyond_some_waits_the_others_are_counted() -> None:
    waits = [Wait(pid, "advisory", "ExclusiveLock", f"advisory lock {pid}", None) for pid in range(11)]
    told = node_words.objects(waits)
    assert told.startswith("11 waits: 0 for advisory lock 0; ") and told.endswith("; and 3 more")
    assert node_words.objects([]) == ""
