"""Django's own tables without DATABASE_URL: where they are, who says so, and what is refused."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from onevault import web_place
from tests.conftest import Connect
from tests.support.loops import ROOT, url
from tests.support.ordinary import ordinary_user
from tests.support.servers import Server, free_port
from tests.support.vaults import APP_LOGIN, APP_PASSWORD
from tests.support.web_places import Site, site

NO_USERS = "SELECT count(*) FROM pg_class WHERE relname = 'auth_user'"


@pytest.fixture
def vault(server: Server, template_vault: str) -> Iterator[str]:
    """The name of a database with the vault and nothing else."""
    name = server.create_database(template=template_vault)
    yield name
    server.drop_database(name)


@pytest.fixture
def beside(server: Server, vault: str, connect: Connect) -> str:
    """The same, with the schema that earlier releases' sites have there."""
    connect(vault).execute(f"CREATE SCHEMA onevault_web AUTHORIZATION {APP_LOGIN}")
    return vault


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_migrate_makes_a_file_of_this_host_that_every_command_uses(
    server: Server, vault: str, tmp_path: Path, connect: Connect
) -> None:
    one = site(server, vault, tmp_path / "local")
    said = one.does("migrate", "-v0")
    assert "(sqlite), on this host" in said
    one.add_person("dba")
    assert one.in_sqlite("SELECT username FROM auth_user") == [("dba",)]
    assert len(one.does("lockmon_token", "dba", "grafana").strip()) > 20
    assert one.does("lockmon_unlock").strip() == "No login is refused."
    assert {name for (name,) in one.in_sqlite("SELECT name FROM auth_group")} == {
        "lock_monitoring_role",
        "lock_admin_role",
    }
    assert "on this host" not in one.does("migrate"), "the second time there is nothing to decide"
    assert len(one.in_sqlite("SELECT name FROM django_q_schedule")) == 5
    assert one.in_sqlite("PRAGMA journal_mode") == [("wal",)]
    assert connect(vault).execute(NO_USERS).fetchone() == (0,), "nothing of Django's is in the vault"
    files = [path for path in one.local.iterdir() if path.is_file()]
    assert {mode(path) for path in files} == {0o600}
    assert mode(one.local) == (0o711 if os.geteuid() == 0 else 0o700)
    assert {path.name for path in files} >= {"web_database", "web.sqlite3"}


def test_a_site_whose_users_live_beside_the_vault_goes_on_with_them(
    server: Server, beside: str, tmp_path: Path, connect: Connect
) -> None:
    one = site(server, beside, tmp_path / "local")
    # as a release before did it: there was no file
    one.does(
        "shell", "-c", "from django.core.management import call_command; call_command('migrate', verbosity=0)"
    )
    one.add_person("dba")
    assert one.does("migrate", "-v0") == ""
    assert not (one.local / "web_database").exists()
    people = connect(beside).execute("SELECT username FROM onevault_web.auth_user").fetchall()
    assert people == [("dba",)]
    assert one.does("lockmon_unlock").strip() == "No login is refused."


def test_a_server_that_cannot_be_asked_decides_nothing(tmp_path: Path) -> None:
    nowhere = Site(f"postgresql://app:hush@127.0.0.1:{free_port()}/one_vault", tmp_path / "local")
    said = nowhere.refuses("migrate")
    assert "cannot be reached" in said and "DATABASE_URL=" in said
    assert "hush" not in said
    assert not nowhere.local.exists(), "nothing was written"


def test_a_look_at_the_plan_decides_nothing(server: Server, beside: str, tmp_path: Path) -> None:
    one = site(server, beside, tmp_path / "local")
    one.does("migrate", "--plan")
    one.does("migrate", "--help")
    assert not one.local.exists()


def test_a_command_before_migrate_is_one_sentence(server: Server, vault: str, tmp_path: Path) -> None:
    one = site(server, vault, tmp_path / "local")
    assert "run 'manage.py migrate' first" in one.refuses("lockmon_unlock")
    web_place.make(one.local, web_place.SQLITE)
    assert "run 'manage.py migrate' first" in one.refuses("lockmon_unlock")


def test_database_url_has_the_last_word(server: Server, vault: str, tmp_path: Path) -> None:
    web = server.create_database()
    try:
        one = site(server, vault, tmp_path / "local", DATABASE_URL=url(server.dsn(web)))
        one.does("migrate", "-v0")
        one.add_person("dba")
        assert not one.local.exists()
    finally:
        server.drop_database(web)


HERE = socket.gethostname()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("mysql\n", "does not say where Django's tables are"),
        ("", "does not say where Django's tables are"),
        ("sqlite\n", f"put 'sqlite {HERE}'"),
        (f"vault {HERE}\n", "does not say where Django's tables are"),
        ("sqlite some-other-host\n", "for the host some-other-host alone"),
        ("embedded some-other-host\n", "for the host some-other-host alone"),
        (b"\xff\xfe", "does not say where Django's tables are"),
    ],
)
def test_a_file_that_says_something_else_is_one_sentence(
    tmp_path: Path, content: str | bytes, words: str
) -> None:
    (tmp_path / "web_database").write_bytes(content if isinstance(content, bytes) else content.encode())
    said = Site("postgresql://app@db.example/one_vault", tmp_path).refuses("check", code=2)
    assert words in said
    assert "DATABASE_URL=postgresql://" in said


def made(tmp_path: Path, server: Server, vault: str) -> Site:
    one = site(server, vault, tmp_path / "local")
    one.does("migrate", "-v0")
    one.add_person("dba")
    return one


def test_a_file_with_users_is_never_made_anew(server: Server, vault: str, tmp_path: Path) -> None:
    one = made(tmp_path, server, vault)
    file, aside = one.local / "web.sqlite3", tmp_path / "aside"
    file.rename(aside)
    for command in ("createsuperuser", "migrate", "lockmon_unlock"):
        said = one.refuses(command)
        assert "is gone (unable to open database file): put it back" in said, said
        assert not file.exists()
    aside.rename(file)
    assert one.in_sqlite("SELECT username FROM auth_user") == [("dba",)]
    # and where the word has gone, the users are not forgotten for those of another place
    word = one.local / "web_database"
    content = word.read_text()
    word.unlink()
    for command in ("lockmon_unlock", "migrate"):
        assert f"put 'sqlite {HERE}' or 'vault' into it" in one.refuses(command, code=2)
    word.write_text(content)
    assert one.does("lockmon_unlock").strip() == "No login is refused."


def test_the_documents_line_copies_it_while_it_is_used(server: Server, vault: str, tmp_path: Path) -> None:
    one = made(tmp_path, server, vault)
    text = (ROOT / "docs" / "production.md").read_text(encoding="utf-8")
    (line,) = [line for line in text.splitlines() if line.startswith('.venv/bin/python -c "import sqlite3')]
    line = line.replace(".local/", f"{one.local}/").replace("web-copy", f"{tmp_path}/web-copy")
    with contextlib.closing(sqlite3.connect(one.local / "web.sqlite3")) as user:
        user.execute("UPDATE auth_user SET username = 'written'")
        user.commit()
        subprocess.run(line.replace(".venv/bin/python", sys.executable, 1), shell=True, check=True)
    with contextlib.closing(sqlite3.connect(tmp_path / "web-copy.sqlite3")) as copy:
        assert copy.execute("SELECT username FROM auth_user").fetchall() == [("written",)]


_MOVED = """
import sys
from pathlib import Path
from django.conf import settings
from django.contrib.auth.models import User
from django.db import OperationalError, close_old_connections
file = Path(settings.DATABASES["default"]["NAME"])
aside = file.with_name("aside")
print("FIRST", User.objects.count())
file.rename(aside)
close_old_connections()
try:
    User.objects.count()
except OperationalError as error:
    print("THEN", error)
aside.rename(file)
print("AGAIN", User.objects.count())
"""


def test_what_runs_notices_at_its_next_request(server: Server, vault: str, tmp_path: Path) -> None:
    said = made(tmp_path, server, vault).does("shell", "-c", _MOVED)
    assert "FIRST 1" in said and "is gone (unable" in said and "AGAIN 1" in said


def test_what_somebody_left_who_was_killed_is_no_database(server: Server, vault: str, tmp_path: Path) -> None:
    """The file is made before the word; empty, as whoever had no room for more leaves it, nobody is in it."""
    one = site(server, vault, tmp_path / "local")
    one.local.mkdir()
    (one.local / "web.sqlite3").touch()
    one.does("migrate", "-v0")
    one.add_person("dba")
    assert one.in_sqlite("SELECT username FROM auth_user") == [("dba",)]
    assert one.in_sqlite("PRAGMA journal_mode") == [("wal",)]


_KILLED = """
import os, sqlite3, sys
from pathlib import Path
from onevault import web_place
class Killed:
    def __getattr__(self, name): return getattr(sqlite3, name)
    def connect(self, *words, **more): print("there", flush=True); sys.stdin.readline(); os._exit(9)
web_place.sqlite3 = Killed()
web_place.make(Path(sys.argv[1]), web_place.SQLITE)
"""


def test_whoever_comes_while_the_file_is_made_waits_for_the_whole_of_it(tmp_path: Path) -> None:
    """It was there, empty, for a moment, in which a second migrate took it for the web database."""
    first = subprocess.Popen(
        [sys.executable, "-c", _KILLED, str(tmp_path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert first.stdout is not None and first.stdout.readline() == "there\n"
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(web_place.make, tmp_path, web_place.SQLITE)
        assert not second.done() and not (tmp_path / "web_database").exists()
        first.communicate("\n", timeout=60)
        assert second.result(timeout=60) == web_place.SQLITE
    with contextlib.closing(sqlite3.connect(tmp_path / "web.sqlite3")) as opened:
        assert opened.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_two_that_migrate_at_once_both_end_well(server: Server, vault: str, tmp_path: Path) -> None:
    one = site(server, vault, tmp_path / "local")
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(one.does, "migrate", "-v0") for _ in range(2)]
        assert any("(sqlite), on this host" in said.result() for said in both)
    assert one.in_sqlite("SELECT count(*), count(DISTINCT name) FROM django_q_schedule") == [(5, 5)]


def test_no_room_for_the_word_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(number: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", no_room)
    with pytest.raises(web_place.PlaceError, match="No space left on device"):
        web_place.make(tmp_path, web_place.EMBEDDED)
    assert list(tmp_path.iterdir()) == []


def test_what_others_still_read_is_not_settled(tmp_path: Path) -> None:
    file = tmp_path / "moving"
    web_place.make_sqlite(file)
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("CREATE TABLE t (n int)")
        other.execute("BEGIN")
        other.execute("SELECT * FROM t").fetchall()
        with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as writer:
            writer.execute("INSERT INTO t VALUES (1)")
            with pytest.raises(web_place.PlaceError, match="is used by somebody else"):
                web_place.settle(file)
        other.execute("COMMIT")
    web_place.settle(file)
    assert [path.name for path in tmp_path.iterdir()] == ["moving"]


def test_of_two_that_decide_at_once_one_word_holds(tmp_path: Path) -> None:
    assert web_place.make(tmp_path, web_place.EMBEDDED) == web_place.EMBEDDED
    # whoever has asked the server at the same time comes second
    assert web_place.make(tmp_path, web_place.SQLITE) == web_place.EMBEDDED
    assert web_place.read(tmp_path) == web_place.EMBEDDED
    web_place.change(tmp_path, web_place.VAULT)
    assert web_place.read(tmp_path) == web_place.VAULT
    assert {path.name for path in tmp_path.iterdir()} == {"web_database"}


@pytest.mark.parametrize("content", [b"", b"this is no database, and was one once " * 200])
def test_a_broken_file_is_one_sentence(server: Server, vault: str, tmp_path: Path, content: bytes) -> None:
    one = made(tmp_path, server, vault)
    for path in one.local.glob("web.sqlite3*"):
        path.unlink()
    (one.local / "web.sqlite3").write_bytes(content)
    said = one.refuses("lockmon_unlock")
    assert "is broken (" in said and "is not a database)" in said and "put a copy of it back" in said


_WRITABLE_AGAIN = """
from pathlib import Path
from django.conf import settings
from django.contrib.auth.models import User
from django.db import close_old_connections
file = Path(settings.DATABASES["default"]["NAME"])
print("READ", User.objects.count())
file.chmod(0o600)
close_old_connections()
print("WROTE", User.objects.create_user("later").delete()[0])
"""


@pytest.mark.slow
def test_a_folder_closed_to_us_is_one_sentence(server: Server, vault: str) -> None:
    with ordinary_user() as user:
        away = user.folder.parent / "away"
        address = f"postgresql://{APP_LOGIN}:{APP_PASSWORD}@127.0.0.1:{server.port}/{vault}"
        one = Site(address, away / "local", ordinary=user)
        away.mkdir()  # the caller's, who may be root
        away.chmod(0o555)
        assert "name a folder of this user in ONEVAULT_LOCAL" in one.refuses("migrate", code=2)
        assert list(away.iterdir()) == []
        os.chown(away, user.uid, -1)
        away.chmod(0o755)
        one.does("migrate", "-v0")
        word, file = one.local / "web_database", one.local / "web.sqlite3"
        word.chmod(0)
        assert "start as the user whose file it is" in one.refuses("lockmon_unlock", code=2)
        word.chmod(0o600)
        file.chmod(0)
        assert "may not read the web database" in one.refuses("lockmon_unlock")
        file.chmod(0o400)
        assert one.does("lockmon_unlock").strip() == "No login is refused.", "what only reads goes on"
        words = ("createsuperuser", "--noinput", "--username", "dba", "--email", "dba@example.com")
        said = one.refuses(*words, DJANGO_SUPERUSER_PASSWORD="only-for-tests")
        assert "may not write the web database" in said
        said = one.does("shell", "-c", _WRITABLE_AGAIN)
        assert "READ 0" in said and "WROTE 1" in said, "a process that has only read writes as soon as it may"
        assert one.does("lockmon_unlock").strip() == "No login is refused."


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make what is somebody else's")
def test_what_root_makes_in_somebodys_folder_is_that_persons(
    server: Server, vault: str, tmp_path: Path
) -> None:
    one = site(server, vault, tmp_path / "local")
    one.local.mkdir(mode=0o750)
    os.chown(one.local, 4711, 4711)
    one.does("migrate", "-v0")
    one.add_person("dba")
    assert {path.stat().st_uid for path in one.local.iterdir()} == {4711}
    one.local.chmod(0o777)
    for path in one.local.iterdir():
        path.unlink()
    assert "Others may write in" in one.refuses("migrate", code=2)
