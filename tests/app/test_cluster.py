"""Nothing but a real django-q cluster: its schedule watches, task by task, and gives way to a process."""

from __future__ import annotations

import ast
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import psycopg
import pytest

from tests.support.loops import ROOT, rows, start_process, status, until_watching, url
from tests.support.poll import poll
from tests.support.servers import Server

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "vault"])

# what a task that hands over, and the next loop, may leave unwatched
LONGEST = "SELECT * FROM lock_engine.coverage_gap WHERE gap_end - gap_start > interval '5 s'"


@pytest.fixture
def web_db(server: Server) -> Iterator[str]:
    """A database of its own for Django's tables and the queue."""
    name = server.create_database()
    yield server.dsn(name)
    server.drop_database(name)


@pytest.fixture
def cluster(vault_db: str, web_db: str) -> Iterator[subprocess.Popen[bytes]]:
    """A cluster of three workers on these databases."""
    environment = dict(os.environ) | {
        "DJANGO_SETTINGS_MODULE": "onevault.settings",
        "SECRET_KEY": "only-for-tests-" * 4,
        "VAULT_DATABASE_URL": url(vault_db),
        "DATABASE_URL": url(web_db),
        "Q_WORKERS": "3",
    }
    manage = [sys.executable, "manage.py"]
    subprocess.run([*manage, "migrate", "-v0"], cwd=ROOT, env=environment, check=True)
    process = subprocess.Popen(
        [*manage, "qcluster"],
        cwd=ROOT,
        env=environment,
        start_new_session=True,
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    yield process
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def next_watch(web_db: str) -> None:
    """Let the schedule run again at once, so that the test need not wait for a minute."""
    with psycopg.connect(web_db, autocommit=True) as connection:
        connection.execute("UPDATE django_q_schedule SET next_run = now() WHERE func = 'lockmon.tasks.watch'")


@pytest.mark.slow
def test_task_by_task_until_a_process_watches_and_the_cluster_stops(
    vault_db: str, web_db: str, cluster: subprocess.Popen[bytes]
) -> None:
    first = until_watching(vault_db, 60)
    next_watch(web_db)
    poll(lambda: status(vault_db).leader_pid not in (None, first.leader_pid), 60, "the next task leading")
    second = until_watching(vault_db)
    process = start_process(vault_db, web_db)
    try:
        poll(lambda: status(vault_db).leader_process == process.pid, 20, "the process leading")
        assert rows(vault_db, LONGEST) == [], (first, second)
        # no task watches any more: the cluster ends in order, though it cannot tell its workers to hurry
        cluster.send_signal(signal.SIGINT)
        cluster.wait(60)
        assert until_watching(vault_db).leader_process == process.pid
    finally:
        process.kill()
        process.communicate()


@pytest.mark.slow
def test_the_queues_master_may_be_killed(
    vault_db: str, web_db: str, cluster: subprocess.Popen[bytes]
) -> None:
    until_watching(vault_db, 60)
    process = start_process(vault_db, web_db)
    try:
        poll(lambda: status(vault_db).leader_process == process.pid, 20, "the process leading")
        leader = status(vault_db).leader_pid
        cluster.kill()
        cluster.wait()
        for _ in range(3):
            before = until_watching(vault_db).last_look_at
            poll(lambda before=before: status(vault_db).last_look_at != before, 5, "another look")  # type: ignore[misc]
        assert status(vault_db).leader_pid == leader
        assert rows(vault_db, LONGEST) == []
    finally:
        process.kill()
        process.communicate()


def test_of_the_queue_only_its_public_parts_are_imported() -> None:
    public = {"django_q.tasks", "django_q.models"}
    seen = set()
    for path in [*(ROOT / "lockmon").rglob("*.py"), *(ROOT / "onevault").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            seen |= {name for name in names if name.split(".")[0] == "django_q"}
    assert seen == public
