"""`make run`, as a newcomer types it: pages that let people in, one Ctrl-C, the same data the next time."""

from __future__ import annotations

import contextlib
import http.cookiejar
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
from django.core.management import call_command

from onevault.embedded import account as accounts
from tests.conftest import Connect
from tests.support.ordinary import Ordinary, copy_project, ordinary_user
from tests.support.poll import poll
from tests.support.servers import Server, free_port
from tests.support.vaults import APP_LOGIN, APP_PASSWORD

pytestmark = pytest.mark.slow


class Run:
    """A running `make run`; `said` is what it has printed so far."""

    def __init__(self, process: subprocess.Popen[str], port: int, folder: Path) -> None:
        """Read its output in a thread."""
        self.process, self.port, self.folder = process, port, folder
        self.said = ""
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said += line

    def wait_until_up(self) -> None:
        """Until it says how to stop it."""

        def up() -> bool:
            assert self.process.poll() is None, self.said
            return "Ctrl-C stops everything" in self.said

        poll(up, 120, "make run being up")

    def password(self, person: str) -> str:
        """The password that was printed for somebody."""
        found = re.search(rf"^ +{person} +password (\S+)", self.said, re.MULTILINE)
        assert found is not None, self.said
        return found[1]

    def ctrl_c(self) -> None:
        """What a terminal does: SIGINT to everybody in the foreground process group."""
        os.killpg(self.process.pid, signal.SIGINT)
        self.process.wait(60)
        self._reader.join(10)

    def processes(self) -> list[psutil.Process]:
        """Whoever was started from the project's folder, or serves its data."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.status() != psutil.STATUS_ZOMBIE and str(self.folder) in (
                    " ".join(process.cmdline()) + process.cwd()
                ):
                    found.append(process)
        return found

    def end(self) -> None:
        """Make sure that nothing is left, whatever the test saw."""
        if self.process.poll() is None:
            self.ctrl_c()
        self._reader.join(10)
        if self.process.stdout is not None:
            self.process.stdout.close()


@contextlib.contextmanager
def make_run(user: Ordinary, port: int, **more: str) -> Iterator[Run]:
    """Type `make run` in the user's copy of the project."""
    process = user.start("make", "run", "PYTHON=.venv/bin/python", PORT=str(port), **more)
    run = Run(process, port, user.folder)
    try:
        yield run
    finally:
        run.end()


def log_in(run: Run, person: str) -> str:
    """The page that a person sees after logging in with the printed password."""
    base = f"http://127.0.0.1:{run.port}"
    jar = http.cookiejar.CookieJar()
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
    with browser.open(f"{base}/admin/login/", timeout=30) as page:
        assert "Content-Security-Policy" in page.headers
        page.read()
    [token] = [cookie.value for cookie in jar if cookie.name == "csrftoken"]
    form = {
        "username": person,
        "password": run.password(person),
        "csrfmiddlewaretoken": token,
        "next": "/admin/",
    }
    request = urllib.request.Request(
        f"{base}/admin/login/", urllib.parse.urlencode(form).encode(), headers={"Referer": base}
    )
    with browser.open(request, timeout=30) as page:
        assert page.url == f"{base}/admin/"
        return str(page.read().decode())


@pytest.fixture
def ordinary() -> Iterator[Ordinary]:
    """Somebody who is not root, with a copy of the project in a path with a space."""
    with ordinary_user() as user:
        yield user


def test_an_ordinary_user_runs_stops_and_runs_it_again(ordinary: Ordinary) -> None:
    port = free_port()
    with make_run(ordinary, port) as first:
        first.wait_until_up()
        for person in ("admin", "dba", "viewer"):
            assert "Log out" in log_in(first, person)
        with make_run(ordinary, free_port()) as second:
            assert second.process.wait(60) != 0
            second.end()
            assert "make run is already running here" in second.said
        first.ctrl_c()
        assert "Everything is stopped." in first.said
        assert "Traceback" not in first.said
        poll(lambda: not first.processes(), 10, "no process being left")
        secrets = [path for path in (ordinary.folder / ".local").iterdir() if path.is_file()]
        assert {oct(path.stat().st_mode & 0o777) for path in secrets if path.name != "run.lock"} == {"0o600"}

    with make_run(ordinary, port, DEMO="0", LC_ALL="xx_YY.UTF-8") as again:
        again.wait_until_up()
        assert again.password("dba") == first.password("dba")
        assert "Log out" in log_in(again, "dba")
        assert "Demo traffic" not in again.said
        # However it ends, nothing of it may stay.
        [runner] = [one for one in again.processes() if "onevault.embedded.run" in one.cmdline()]
        runner.kill()
        poll(lambda: not again.processes(), 30, "everything ending with its supervisor")


def test_a_taken_port_is_one_sentence(ordinary: Ordinary) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with make_run(ordinary, port) as run:
            assert run.process.wait(60) != 0
            run.end()
            assert f"Port {port} is taken by another program" in run.said
            assert "Traceback" not in run.said


def test_a_database_of_ones_own_that_cannot_be_reached_is_one_sentence(ordinary: Ordinary) -> None:
    nowhere = f"postgresql://app:hush@127.0.0.1:{free_port()}/one_vault"
    with make_run(ordinary, free_port(), VAULT_DATABASE_URL=nowhere) as run:
        assert run.process.wait(60) != 0
        run.end()
        assert "The database of VAULT_DATABASE_URL cannot be reached" in run.said
        assert "Traceback" not in run.said
        assert "hush" not in run.said
        assert not (ordinary.folder / ".local" / "postgres").exists(), "no PostgreSQL of our own was needed"


def test_a_database_of_ones_own_is_watched_and_gets_no_demo_traffic(
    ordinary: Ordinary, server: Server, vault_db: str, connect: Connect
) -> None:
    name = str(psycopg.conninfo.conninfo_to_dict(vault_db)["dbname"])
    # A password is asked for on 127.0.0.1, as on a site.
    url = f"postgresql://{APP_LOGIN}:{APP_PASSWORD}@127.0.0.1:{server.port}/{name}"
    with make_run(ordinary, free_port(), VAULT_DATABASE_URL=url) as run:
        assert run.process.wait(60) != 0
        run.end()
        assert f"CREATE SCHEMA onevault_web AUTHORIZATION {APP_LOGIN}" in run.said
        assert "Traceback" not in run.said

    dba = connect(vault_db)
    call_command("lockmon_deploy", dsn=vault_db, login=APP_LOGIN, web_schema=True, verbosity=0)
    with make_run(ordinary, free_port(), VAULT_DATABASE_URL=url) as run:
        run.wait_until_up()
        assert "no demo traffic runs on it" in run.said
        assert "Log out" in log_in(run, "dba")

        def watching() -> bool:
            row = dba.execute("SELECT state FROM lock_engine.monitor_status").fetchone()
            return row is not None and row[0] == "watching"

        poll(watching, 20, "the loop watching")
        seen = dba.execute("SELECT DISTINCT application_name FROM pg_stat_activity").fetchall()
        assert not [row for row in seen if row[0].startswith("demo")]
        run.ctrl_c()
    assert not (ordinary.folder / ".local" / "postgres").exists(), "no PostgreSQL of our own was needed"
    tables = dba.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'onevault_web'").fetchone()
    assert tables is not None
    assert tables[0] > 10


@pytest.mark.skipif(
    os.geteuid() != 0, reason="only root has a project that PostgreSQL's account cannot enter"
)
def test_root_runs_it_in_a_folder_that_nobody_else_may_enter() -> None:
    outer = Path(tempfile.mkdtemp(prefix="onevault-root-", dir="/tmp"))
    data: Path | None = None
    try:
        copy_project(outer / "project", None)
        port = free_port()
        with make_run(Ordinary(outer / "project", None), port) as run:
            run.wait_until_up()
            found = re.search(r"data in (/var/lib/onevault/\w+)", run.said)
            assert found is not None, run.said
            data = Path(found[1])
            account = accounts.server_account()
            assert account is not None
            assert data.stat().st_uid == account.uid
            assert "Log out" in log_in(run, "viewer")
            run.ctrl_c()
            poll(lambda: not run.processes(), 10, "no process being left")
    finally:
        shutil.rmtree(outer)
        if data is not None:
            shutil.rmtree(data)
