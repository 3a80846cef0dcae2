"""`make run`, as a newcomer types it: pages that let people in, one Ctrl-C, the same data the next time."""

from __future__ import annotations

import contextlib
import http.cookiejar
import json
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
import pytest
from psycopg.conninfo import make_conninfo

from onevault.embedded import account as accounts
from tests.conftest import Connect
from tests.support.loops import rows, status, until_watching
from tests.support.ordinary import PROJECT, Ordinary, copy_project, ordinary_user
from tests.support.poll import poll
from tests.support.servers import Server, free_port
from tests.support.vaults import APP_LOGIN, APP_PASSWORD
from tests.support.web_places import Site, site

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

    def started(self, *words: str) -> dict[int, psutil.Process]:
        """The processes of one command, by pid, without those that they forked. Others may end meanwhile."""
        every: dict[int, tuple[psutil.Process, int]] = {}
        for one in self.processes():
            with contextlib.suppress(psutil.Error):
                if all(word in one.cmdline() for word in words):
                    every[one.pid] = one, one.ppid()
        return {pid: one for pid, (one, parent) in every.items() if parent not in every}

    def end(self) -> None:
        """Make sure that nothing is left, whatever the test saw."""
        if self.process.poll() is None:
            self.ctrl_c()
        self._reader.join(10)
        if self.process.stdout is not None:
            self.process.stdout.close()


@contextlib.contextmanager
def running(user: Ordinary, port: int, *command: str, **more: str) -> Iterator[Run]:
    """Start a command that ends in `make run`, in the user's copy of the project."""
    run = Run(user.start(*command, PORT=str(port), **more), port, user.folder)
    try:
        yield run
    finally:
        run.end()


def make_run(user: Ordinary, port: int, **more: str) -> contextlib.AbstractContextManager[Run]:
    """Type `make run`."""
    return running(user, port, "make", "run", "PYTHON=.venv/bin/python", **more)


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


@pytest.mark.slow
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
        kill_each_and_see_it_watched(again)
        # However it ends, nothing of it may stay.
        [runner] = again.started("onevault.embedded.run").values()
        runner.kill()
        poll(lambda: not again.processes(), 30, "everything ending with its supervisor")


def kill_each_and_see_it_watched(run: Run) -> None:
    """kill -9 of whoever leads, then of the other loop, the queue's master and the web's: each comes back,
    and the vault is unwatched for 5 s at most."""
    state = json.loads((run.folder / ".local" / "embedded.json").read_text(encoding="utf-8"))
    dsn = make_conninfo(
        host="127.0.0.1",
        port=state["port"],
        dbname="one_vault",
        user="postgres",
        password=state["superuser_password"],
    )

    leader = until_watching(dsn, 60).leader_process
    assert leader is not None
    (now,) = rows(dsn, "SELECT clock_timestamp() AS began")
    began = now["began"]
    poll(lambda: status(dsn).standby_pid, 30, "the standby")
    for words, first in (
        (("lockmon_monitor",), leader),
        (("lockmon_monitor",), None),
        (("qcluster",), None),
        (("onevault.wsgi",), None),
    ):
        before = run.started(*words)
        victim = before[first] if first else min(before.values(), key=lambda one: one.create_time())
        victim.kill()

        def back(words: tuple[str, ...] = words, before: dict[int, psutil.Process] = before) -> bool:
            now = run.started(*words)
            return len(now) == len(before) and now.keys() != before.keys()

        poll(back, 30, f"{words} being started again")
        until_watching(dsn)
    poll(lambda: status(dsn).standby_pid, 30, "the standby after the kills")
    gaps = f"SELECT * FROM lock_engine.coverage_gap WHERE gap_end > '{began}' AND gap_end - gap_start > '5 s'"
    assert rows(dsn, gaps) == []


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


@pytest.fixture
def own_database(server: Server, template_vault: str) -> Iterator[str]:
    """An empty database's name; its server asks for passwords and knows the application's login."""
    name = server.create_database()
    yield name
    server.drop_database(name)


@pytest.fixture
def vault_with_users(server: Server, template_vault: str, tmp_path: Path) -> Iterator[str]:
    """A vault with Django's tables of a release before beside it."""
    name = server.create_database(template=template_vault)
    server.execute(f"CREATE SCHEMA onevault_web AUTHORIZATION {APP_LOGIN}", name)
    migrate = "from django.core.management import call_command as c; c('migrate', verbosity=0)"
    site(server, name, tmp_path / "none").does("shell", "-c", migrate)
    yield name
    server.drop_database(name)


def readme_commands(dsn: str, port: int, name: str) -> str:
    """The README's lines about one's own database, with its example names replaced by real ones."""
    text = (PROJECT / "README.md").read_text(encoding="utf-8")
    lines = text.partition("## Your own database")[2].partition("\n##")[0].splitlines()
    script = "\n".join(line.strip() for line in lines if line.startswith("    "))
    assert script.endswith("make run")
    for example, real in (
        ("host=db1 dbname=one_vault user=dba", dsn),
        ("SECRET", APP_PASSWORD),
        ("lockmon_app", APP_LOGIN),
        ("@db1:5432/one_vault", f"@127.0.0.1:{port}/{name}"),
    ):
        assert example in script, example
        script = script.replace(example, real)
    return "set -e\n" + script


@pytest.mark.slow
def test_the_readmes_lines_watch_a_database_of_ones_own_and_bring_no_demo_traffic(
    ordinary: Ordinary, server: Server, own_database: str, connect: Connect
) -> None:
    address = f"postgresql://{APP_LOGIN}:{APP_PASSWORD}@127.0.0.1:{server.port}/{own_database}"
    with make_run(ordinary, free_port(), VAULT_DATABASE_URL=address) as run:
        assert run.process.wait(60) != 0
        run.end()
        assert "The database of VAULT_DATABASE_URL has no vault" in run.said
        assert "Traceback" not in run.said

    script = readme_commands(server.dsn(own_database), server.port, own_database)
    with running(ordinary, free_port(), "sh", "-c", script) as run:
        run.wait_until_up()
        assert "no demo traffic runs on it" in run.said
        assert "Log out" in log_in(run, "dba")
        dba = connect(own_database)

        def watching() -> bool:
            row = dba.execute("SELECT state FROM lock_engine.monitor_status").fetchone()
            return row is not None and row[0] == "watching"

        poll(watching, 20, "the loop watching")
        seen = dba.execute("SELECT DISTINCT application_name FROM pg_stat_activity").fetchall()
        assert not [row for row in seen if row[0].startswith("demo")]
        # the same shell finds the same users, in a web database of their own
        one = Site(address, ordinary.folder / ".local", ordinary=ordinary)
        assert one.word == "embedded"
        assert "There is nobody called 'nobody'" in one.refuses("lockmon_token", "nobody", "x")
        one.does("lockmon_token", "dba", "x")
        checked = one.run("lockmon_check")  # a queue that has just begun is a failure of it
        [line] = [line for line in checked.stderr.splitlines() if "web database" in line]
        assert "make run starts" in line
        run.ctrl_c()
    tables = dba.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'onevault_web'").fetchone()
    assert tables == (0,), "nothing of Django's is in the vault"
    assert "does not answer" in one.refuses("lockmon_unlock")
    # nor do the pages need the watched server, once it is known where the users are
    nowhere = address.replace(str(server.port), str(free_port()))
    with make_run(ordinary, free_port(), VAULT_DATABASE_URL=nowhere) as run:
        run.wait_until_up()
        assert "The database of VAULT_DATABASE_URL cannot be reached" in run.said
        assert "/admin/login/" in redirected(run, "/admin/")
        run.ctrl_c()


def redirected(run: Run, path: str) -> str:
    """Where a stranger is sent."""
    with urllib.request.urlopen(f"http://127.0.0.1:{run.port}{path}", timeout=30) as page:
        return str(page.url)


def test_a_site_whose_users_live_beside_the_vault_needs_no_other_postgresql(
    ordinary: Ordinary, server: Server, vault_with_users: str
) -> None:
    address = f"postgresql://{APP_LOGIN}:{APP_PASSWORD}@127.0.0.1:{server.port}/{vault_with_users}"
    with make_run(ordinary, free_port(), VAULT_DATABASE_URL=address) as run:
        run.wait_until_up()
        assert "Log out" in log_in(run, "dba")
        run.ctrl_c()
        password = run.password("dba")
    assert not (ordinary.folder / ".local" / "postgres").exists()
    one = Site(address, ordinary.folder / ".local", ordinary=ordinary)
    assert one.word is None
    # and from a file, once they were moved there
    one.does("lockmon_move_users")
    assert one.word == "sqlite"
    with make_run(ordinary, free_port(), VAULT_DATABASE_URL=address) as run:
        run.wait_until_up()
        assert run.password("dba") == password
        assert "Log out" in log_in(run, "dba")
        run.ctrl_c()
        assert "Traceback" not in (ordinary.folder / ".local" / "log" / "web-server.log").read_text()
    assert not (ordinary.folder / ".local" / "postgres").exists()


@pytest.mark.slow
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
