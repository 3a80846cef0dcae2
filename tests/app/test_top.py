"""The live tree in a terminal: order, folding, once, keys in a real pseudo-terminal, and the door's
questions."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import subprocess
import sys
import time
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from django.core.management import call_command
from django.db import connections
from rich.console import Console

from lockmon.calls import catalog
from lockmon.calls.catalog import WaitNode
from lockmon.top import app, render
from lockmon.top.stop import stop_session
from lockmon.top.tree import SORTS, lines
from tests.conftest import OpenSession
from tests.support.loops import ROOT, rows, url
from tests.support.poll import poll
from tests.support.servers import Server

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "vault"])


def block(vault_db: str, session: OpenSession, waiters: int = 1) -> tuple[int, list[int]]:
    """The pid of a session, and of those that wait for it."""
    with psycopg.connect(vault_db, autocommit=True) as connection:
        if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = 'clerk'").fetchone():
            connection.execute("CREATE ROLE clerk LOGIN")
    holder = session(vault_db, user="clerk", application_name="billing")
    holder.run("SELECT pg_advisory_xact_lock(91, 1)")
    pids = []
    for _ in range(waiters):
        waiter = session(vault_db, application_name="api")
        waiter.start("SELECT pg_advisory_xact_lock(91, 1)")
        waiter.wait_blocked()
        pids.append(waiter.pid)
    return holder.pid, pids


def nodes(vault_db: str) -> list[WaitNode]:
    with psycopg.connect(vault_db, autocommit=True) as connection, connection.cursor() as cursor:
        return catalog.waits_for(cursor)


def test_roots_come_first_and_waiters_below_in_order(vault_db: str, session: OpenSession) -> None:
    holder, waiters = block(vault_db, session, 3)
    shown = lines(nodes(vault_db), "severity", set(), set())
    assert [(line.node.pid, line.depth) for line in shown] == [(holder, 0), *((pid, 1) for pid in waiters)]


def test_many_alike_become_one_line_until_unfolded(vault_db: str, session: OpenSession) -> None:
    holder, _ = block(vault_db, session, 8)
    seen = nodes(vault_db)
    folded = lines(seen, "severity", set(), set())
    assert [line.hidden for line in folded] == [0, 0, 0, 0, 5]
    assert len(lines(seen, "severity", set(), {holder})) == 9
    assert len(lines(seen, "severity", {holder}, set())) == 1


def test_a_ring_without_root_is_shown_once_each(vault_db: str, session: OpenSession) -> None:
    holder, (waiter,) = block(vault_db, session)
    root, other = sorted(nodes(vault_db), key=lambda node: node.node != holder)
    ring = [replace(root, is_root=False, parent=waiter), replace(other, parent=holder)]
    assert sorted(line.node.pid for line in lines(ring, "severity", set(), set())) == sorted([holder, waiter])


def test_every_sort_and_width_can_be_drawn(vault_db: str, session: OpenSession) -> None:
    block(vault_db, session, 2)
    picture = app.take("vault")
    for sort in SORTS:
        for width in (40, 80, 200):
            out = io.StringIO()
            console = Console(file=out, width=width, height=24)
            shown = lines(picture.nodes, sort, set(), set())
            console.print(
                render.screen("Watching.", picture, shown, 0, sort, width, 24, detail=picture.nodes[0])
            )
            assert all(len(line) <= width for line in out.getvalue().splitlines())


def test_hostile_text_stays_text(vault_db: str, session: OpenSession) -> None:
    evil = session(vault_db, application_name="[red]x[/red]\x1b[2J")
    evil.run("SELECT pg_advisory_xact_lock(92, 1)")
    waiter = session(vault_db)
    waiter.start("SELECT pg_advisory_xact_lock(92, 1)")
    waiter.wait_blocked()
    out = io.StringIO()
    call_command("lockmon_top", "--once", stdout=out)
    assert "[red]x[/red]" in out.getvalue()
    assert "\x1b" not in out.getvalue()


def test_once_prints_the_tree_and_ends(vault_db: str, session: OpenSession) -> None:
    out = io.StringIO()
    call_command("lockmon_top", "--once", stdout=out)
    assert "Nobody is waiting." in out.getvalue()
    holder, (waiter,) = block(vault_db, session)
    out = io.StringIO()
    call_command("lockmon_top", "--once", stdout=out)
    assert re.search(rf"{holder}  billing  holding an advisory lock", out.getvalue())
    assert re.search(rf"{waiter}  api  waits .* Exclusive on advisory", out.getvalue())
    out = io.StringIO()
    call_command("lockmon_top", "--json", stdout=out)
    found: list[dict[str, Any]] = json.loads(out.getvalue())
    assert {node["pid"] for node in found} == {holder, waiter}


def test_the_door_asks_before_it_stops_anybody(vault_db: str, session: OpenSession) -> None:
    holder, _ = block(vault_db, session)
    (node,) = [one for one in nodes(vault_db) if one.pid == holder]

    def answers(*given: str) -> str:
        left = iter(given)
        return stop_session(node, "vault", lambda question: next(left), lambda line: None)

    assert answers("") == "Nothing was done."
    assert answers("t", "") == "Not stopped: a reason is needed. Nothing was signalled."
    assert (
        answers("t", "it blocks billing", "1") == "Not stopped: that was not its pid. Nothing was signalled."
    )
    assert rows(vault_db, f"SELECT 1 FROM pg_stat_activity WHERE pid = {holder}")
    said = answers("t", "it blocks billing", str(holder))
    poll(
        lambda: not rows(vault_db, f"SELECT 1 FROM pg_stat_activity WHERE pid = {holder}"),
        5,
        f"its end ({said})",
    )
    assert rows(
        vault_db, f"SELECT 1 FROM lock_admin.action_log WHERE target_pid = {holder} AND step = 'request'"
    )


def test_another_session_with_the_same_pid_is_left_alone(vault_db: str, session: OpenSession) -> None:
    holder, _ = block(vault_db, session)
    (node,) = [one for one in nodes(vault_db) if one.pid == holder]
    assert node.xact_start is not None
    said = stop_session(
        replace(node, backend_start=node.xact_start), "vault", lambda question: "t", lambda line: None
    )
    assert said.startswith("Not stopped")
    assert rows(vault_db, f"SELECT 1 FROM pg_stat_activity WHERE pid = {holder}")


def test_keys_in_a_real_terminal(server: Server, vault_db: str, session: OpenSession) -> None:
    holder, _ = block(vault_db, session)
    web = server.dsn(str(connections["default"].settings_dict["NAME"]))
    environment = dict(os.environ) | {
        "DJANGO_SETTINGS_MODULE": "onevault.settings",
        "SECRET_KEY": "only-for-tests-" * 4,
        "VAULT_DATABASE_URL": url(vault_db),
        "DATABASE_URL": url(web),
        "TERM": "xterm",
        "COLUMNS": "80",
        "LINES": "24",
    }
    control, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "manage.py", "lockmon_top", "--seconds", "0.3"],
        cwd=ROOT,
        env=environment,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
    )
    os.close(terminal)
    os.set_blocking(control, False)
    seen = bytearray()

    def shows(text: str) -> bool:
        try:
            seen.extend(os.read(control, 65536))
        except (BlockingIOError, OSError):
            time.sleep(0.02)
        return text.encode() in seen

    try:
        poll(lambda: shows(str(holder)), 20, "the blocker on the screen")
        for key, text in (
            (b"s", "sorted by severity"),
            (b"\r", "nothing written yet"),
            (b"p", "PAUSED"),
        ):
            os.write(control, key)
            poll(lambda text=text: shows(text), 5, text)  # type: ignore[misc]
        os.write(control, b"q")
        poll(lambda: shows("") and process.poll() is not None, 5, "the end")
        assert process.returncode == 0
    finally:
        process.kill()
        process.wait()
        os.close(control)
