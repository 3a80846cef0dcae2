"""Every root is seen: one line for each, by impact, whatever waits behind one of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import StringIO

import psycopg
import pytest
from django.core.management import call_command
from django.template.loader import render_to_string
from django.utils import timezone

from lockmon.top import render
from lockmon.top.app import take
from lockmon.top.tree import roots_first
from lockmon.views import tree
from lockmon.views.context import Rights
from lockmon.views.nodes import Node
from tests.support import scenes
from tests.support.people import browser, use_app_login
from tests.support.sessions import Session

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "vault"])

OpenSession = Callable[..., Session]
START = timezone.now() - timedelta(minutes=9)
RIGHTS = Rights(pages=True, query_text=True, stop=True, export=True)


def root(number: int, behind: int, lost: float, score: float | None = None) -> Node:
    return Node(
        number,
        number,
        backend_start=START,
        application_name=f"root-{number}",
        state="idle in transaction",
        state_change=START,
        kind="idle_in_transaction",
        is_root=True,
        blocked_total=behind,
        blocked_seconds=lost,
        blocking_since=START,
        severity="LOW",
        severity_score=lost if score is None else score,
    )


def waiter(number: int, parent: int, like: str = "x") -> Node:
    return Node(
        number,
        number,
        backend_start=START,
        application_name="api",
        state="active",
        query=f"UPDATE accounts SET note = '{like}'",
        fingerprint=like,
        is_waiting=True,
        lock_mode="ShareLock",
        parent=parent,
        roots=(parent,),
        wait_start=START,
    )


def behind(number: int, size: int, first: int, alike: bool = True) -> list[Node]:
    """A root and so many behind it, whose pids begin at ``first``."""
    return [
        root(number, size, 60.0 * size),
        *(waiter(first + one, number, "x" if alike else str(one)) for one in range(size)),
    ]


def drawn(made: tree.Tree) -> str:
    context = {"tree": made, "can": RIGHTS, "stop_url": "/stop/", "session_url": "/session/", "past": False}
    return render_to_string("lockmon/_roots.html", context) + render_to_string("lockmon/_tree.html", context)


@pytest.mark.parametrize("alike", [True, False])
def test_one_large_queue_hides_no_other_root(alike: bool) -> None:
    graph = behind(1, 438, 1000, alike)
    for number in range(2, 12):
        graph += behind(number, 1, 2000 + number)
    made = tree.build(graph, timezone.now())
    assert [line.node.node for line in made.root_lines] == list(range(1, 12))
    tops = [line.node.node for line in made.lines if line.node and line.depth == 0 and not line.close]
    assert sorted(tops) == list(range(1, 12)), "each is drawn with who waits behind it"
    shown = {line.node.node for line in made.lines if line.node}
    assert {2000 + number for number in range(2, 12)} <= shown
    page = drawn(made)
    assert len(page.encode()) < 400_000
    if alike:
        assert made.not_drawn == 0, "437 alike cost one line"
        assert "437 more" in page
    else:
        rest = next(line.rest for line in made.lines if line.rest)
        assert rest == made.not_drawn > 0
        assert f"{rest} more behind root-1 are not drawn here" in page
        assert "?root=1" in page


def test_three_hundred_roots_have_a_line_each() -> None:
    graph = [root(number, 300, 3.0 * number) for number in range(1, 301)]
    graph += [waiter(1000 + number, 1) for number in range(300)]
    made = tree.build(graph, timezone.now())
    assert [line.node.node for line in made.root_lines] == list(range(300, 0, -1)), "worst first"
    page = drawn(made)
    assert len(re.findall(r'<tr class="root">', page)) == 300
    assert len(page.encode()) < 500_000
    texts = [node for line in made.lines if (node := line.node) and not line.close and not line.rest]
    groups = [line.group for line in made.lines if line.group]
    assert made.not_drawn == len(graph) - len(texts) - sum(group.size for group in groups)


def test_roots_stand_in_the_order_of_their_scores() -> None:
    many, old, few = root(1, 89, 178.0, 208.5), root(2, 1, 600.0, 310.0), root(3, 3, 6.0, 200.3)
    made = tree.build([few, old, many], timezone.now())
    assert [line.node.node for line in made.root_lines] == [2, 1, 3]
    assert made.cause is old


def test_a_ring_of_waits_has_its_line_too() -> None:
    ring = [
        Node(1, 1, is_waiting=True, in_deadlock=True, parent=2, blocked_total=1, application_name="a"),
        Node(2, 2, is_waiting=True, in_deadlock=True, parent=1, blocked_total=1, application_name="b"),
    ]
    made = tree.build(ring, timezone.now())
    assert [line.node.node for line in made.root_lines] == [1]


def test_a_chain_of_a_thousand_is_cut_in_words() -> None:
    graph = [root(1, 999, 60.0), *(waiter(number, number - 1) for number in range(2, 1001))]
    made = tree.build(graph, timezone.now())
    opened = [line for line in made.lines if line.node and not line.close and not line.rest]
    assert len(opened) == tree.ROWS_SHOWN
    assert made.not_drawn == 1000 - tree.ROWS_SHOWN
    assert sum(line.close for line in made.lines) == len(opened), "what opens closes"


@pytest.mark.parametrize(
    ("needs", "lines", "wanted"),
    [([], 5, []), ([2, 1], 5, [2, 1]), ([9, 1, 9], 9, [4, 1, 4]), ([1000, 2, 2], 10, [6, 2, 2])],
)
def test_lines_are_shared_out_alike(needs: list[int], lines: int, wanted: list[int]) -> None:
    assert tree.shares(needs, lines) == wanted


def test_pages_begin_with_the_roots_and_pids_are_links(vault_db: str, session: OpenSession) -> None:
    use_app_login()
    scenes.make_tables(vault_db)
    first, queue = scenes.row_queue(vault_db, session, 5)
    second, other = scenes.second_root(vault_db, session)
    client = browser("dba")
    roots = {first.pid, second.pid}
    at = datetime.now(UTC)
    scenes.cycle(vault_db)
    with psycopg.connect(vault_db) as connection:
        found = connection.execute("SELECT max(load_date) FROM lock_monitoring.blocking_session_s").fetchone()
        assert found is not None and found[0] > at
    moment = found[0].astimezone(UTC).isoformat().replace("+00:00", "Z")
    live = ("/admin/", "/admin/monitor/live/", "/admin/monitor/waiters/")
    for path in (*live, f"/admin/monitor/time/?at={moment}"):
        page = client.get(path).content.decode()
        listed, below = page.split('id="roots"')[1].split('<ul class="tree"', 1)
        assert {int(pid) for pid in re.findall(r"\?node=(\d+)&amp;", listed)} >= roots, path
        for pid in (*roots, *(one.pid for one in queue), other.pid):
            link = rf'<a[^>]*href="/admin/monitor/session/\?node={pid}&[^>]*>{pid}</a>'
            assert re.search(link, below), (path, pid)
    behind_first = client.get(f"/admin/monitor/waiters/?root={first.pid}").content.decode()
    assert f"5 sessions wait behind {first.pid}" in behind_first
    assert str(queue[0].pid) in behind_first and f">{other.pid}<" not in behind_first
    assert f'?node={first.pid}&amp;pid={first.pid}">{first.pid}</a>' in behind_first, "its root is a link"
    for place in ("lockactivity", "blockingsession"):
        page = client.get(f"/admin/lockmon/{place}/").content.decode()
        link = f"/admin/monitor/session/?node={first.pid}&amp;pid={first.pid}&amp;backend_start="
        assert link in page, place


def test_the_terminal_begins_with_the_roots(vault_db: str, session: OpenSession) -> None:
    scenes.make_tables(vault_db)
    first, _ = scenes.row_queue(vault_db, session, 5)
    second, _ = scenes.second_root(vault_db, session)
    picture = take("vault")
    shown = roots_first(picture.nodes, "severity")
    assert [line.node.pid for line in shown] == [first.pid, second.pid]
    assert [str(render.row(line, picture.taken_at, 120)).startswith("* ") for line in shown] == [True, True]
    out = StringIO()
    call_command("lockmon_top", "--once", stdout=out)
    lines = [line for line in out.getvalue().splitlines() if line.startswith("* ")]
    assert [str(pid) in line for pid, line in zip((first.pid, second.pid), lines, strict=True)] == [
        True,
        True,
    ]
