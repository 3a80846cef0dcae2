"""The loop inside a real django-q cluster: started by its schedule, replaced after a kill, ended with the
cluster."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import psycopg
import pytest

from tests.support.loops import ROOT, rows, status, until_nobody_watches, until_watching, url
from tests.support.poll import poll
from tests.support.servers import Server

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True, databases=["default", "vault"])]


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


def second_watch(web_db: str) -> None:
    """Let the schedule run again at once, so that the test need not wait for a minute."""
    with psycopg.connect(web_db, autocommit=True) as connection:
        connection.execute("UPDATE django_q_schedule SET next_run = now() WHERE func = 'lockmon.tasks.watch'")


@pytest.mark.slow
def test_the_schedule_starts_it_a_kill_is_outlived_and_the_cluster_stops(
    vault_db: str, web_db: str, cluster: subprocess.Popen[bytes]
) -> None:
    before = until_watching(vault_db, 60)
    second_watch(web_db)
    poll(lambda: status(vault_db).standby_pid, 60, "the schedule starting a standby")
    assert before.leader_process
    os.kill(before.leader_process, signal.SIGKILL)
    poll(lambda: status(vault_db).leader_pid not in (None, before.leader_pid), 10, "the standby leading")
    # Ctrl-C reaches the cluster, and the workers ignore it: the loop must notice by itself
    cluster.send_signal(signal.SIGINT)
    cluster.wait(60)
    until_nobody_watches(vault_db)
    assert rows(vault_db, "SELECT 1 FROM lock_engine.coverage"), "the last period was stored"


@pytest.mark.slow
def test_sigterm_to_the_whole_group_closes_the_books(
    vault_db: str, web_db: str, cluster: subprocess.Popen[bytes]
) -> None:
    until_watching(vault_db, 60)
    # as a supervisor does; django-q's own processes may need a SIGKILL after it, the loop's books do not
    # wait for that
    os.killpg(cluster.pid, signal.SIGTERM)
    poll(lambda: rows(vault_db, "SELECT 1 FROM lock_engine.coverage"), 5, "the last period")
    until_nobody_watches(vault_db)
