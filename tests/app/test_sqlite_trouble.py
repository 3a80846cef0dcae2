"""The web database's file is locked, full, closed or replaced: pages have two seconds, reading goes on."""

from __future__ import annotations

import contextlib
import http.cookiejar
import sqlite3
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from django.db import DatabaseError, OperationalError

from onevault import web_place
from onevault.sqlite import base
from tests.support import webserver
from tests.support.poll import poll
from tests.support.servers import Server
from tests.support.web_places import PASSWORD, Site, site

pytestmark = pytest.mark.django_db

WRITE = "INSERT INTO t VALUES (1)"
READ = "SELECT count(*) FROM t"
NOWHERE = "/nowhere/at/all"
"""A link there can neither be opened nor made, whoever asks."""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A web database with a table, that nobody has open."""
    made = tmp_path / "web.sqlite3"
    web_place.make_sqlite(made)
    with contextlib.closing(sqlite3.connect(made)) as opened:
        opened.execute("CREATE TABLE t (n int)")
    return made


@pytest.fixture
def wrapper(file: Path) -> Iterator[base.DatabaseWrapper]:
    """Django's connection to it."""
    made = _wrapper(file)
    yield made
    made.close()


def _wrapper(file: Path) -> base.DatabaseWrapper:
    from django.db import connections

    place = {"NAME": str(file), "OPTIONS": dict(base.OPTIONS), "CONN_MAX_AGE": 60}
    return base.DatabaseWrapper(connections.configure_settings({"default": place})["default"], "other")


def ask(wrapper: base.DatabaseWrapper, statement: str) -> object:
    with wrapper.cursor() as cursor:
        cursor.execute(statement)
        found = cursor.fetchone()
    return found[0] if found else None


def test_a_task_waits_long_for_its_turn_and_a_page_does_not(
    wrapper: base.DatabaseWrapper, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ask(wrapper, "PRAGMA busy_timeout") == base.SECONDS * 1000
    wrapper.close()
    monkeypatch.setattr(base, "_pages", False)
    base.wait_as_a_page()
    assert ask(wrapper, "PRAGMA busy_timeout") == base.PAGE_SECONDS * 1000 < base.SECONDS * 1000


def test_reading_goes_on_where_the_files_beside_it_cannot_be_made(
    file: Path, wrapper: base.DatabaseWrapper
) -> None:
    """As on a full disk and in a folder that is read only, when no connection is left from before."""
    beside = file.with_name("web.sqlite3-shm")
    beside.symlink_to(NOWHERE)
    assert ask(wrapper, READ) == 0
    with pytest.raises(OperationalError, match="readonly database"):
        ask(wrapper, WRITE)
    beside.unlink()
    wrapper.close_if_unusable_or_obsolete()
    ask(wrapper, WRITE)
    assert ask(wrapper, READ) == 1


def test_a_connection_that_only_reads_lives_for_one_request(
    file: Path, wrapper: base.DatabaseWrapper
) -> None:
    """Whatever another process writes as soon as it can, such a connection would never see."""
    beside = file.with_name("web.sqlite3-shm")
    beside.symlink_to(NOWHERE)
    assert ask(wrapper, READ) == 0
    beside.unlink()
    with contextlib.closing(sqlite3.connect(file)) as other:
        other.execute(WRITE)
        other.commit()
    wrapper.close_if_unusable_or_obsolete()
    assert ask(wrapper, READ) == 1


def test_what_is_only_in_the_wal_is_never_passed_over(file: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy" / "web.sqlite3"
    copy.parent.mkdir()
    with contextlib.closing(sqlite3.connect(file)) as other:
        other.execute(WRITE)
        other.commit()
        for name in ("web.sqlite3", "web.sqlite3-wal"):
            copy.with_name(name).write_bytes(file.with_name(name).read_bytes())
    copy.with_name("web.sqlite3-shm").symlink_to(NOWHERE)
    left = _wrapper(copy)
    with pytest.raises(OperationalError, match="unable to open database file"):
        ask(left, READ)
    copy.with_name("web.sqlite3-shm").unlink()
    assert ask(left, READ) == 1
    left.close()


def test_a_connection_that_has_failed_is_not_used_again(wrapper: base.DatabaseWrapper) -> None:
    with pytest.raises(DatabaseError):
        ask(wrapper, "SELECT * FROM nothing")
    wrapper.close_if_unusable_or_obsolete()
    assert wrapper.connection is None
    assert ask(wrapper, READ) == 0


@pytest.fixture
def one(server: Server, template_vault: str, tmp_path: Path) -> Iterator[Site]:
    """A site whose users are in a file."""
    name = server.create_database(template=template_vault)
    made = site(server, name, tmp_path / "local")
    made.does("migrate", "-v0")
    made.add_person("dba")
    yield made
    server.drop_database(name)


class Browser:
    """Somebody who logs in at a real web server."""

    def __init__(self, address: str) -> None:
        self._address, self._jar = address, http.cookiejar.CookieJar()
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self._jar))

    def ask(self, path: str, data: bytes | None = None) -> tuple[int, str]:
        """Status and text of an answer."""
        request = urllib.request.Request(self._address + path, data, headers={"Referer": self._address})
        try:
            with self._opener.open(request, timeout=60) as page:
                return int(page.status), str(page.read().decode())
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def log_in(self) -> tuple[int, str]:
        """Status and text of what comes after the form."""
        self.ask("/admin/login/")
        token = next(str(cookie.value) for cookie in self._jar if cookie.name == "csrftoken")
        form = {"username": "dba", "password": PASSWORD, "csrfmiddlewaretoken": token, "next": "/admin/"}
        return self.ask("/admin/login/", urllib.parse.urlencode(form).encode())


@pytest.mark.slow
def test_a_page_that_writes_answers_while_somebody_else_holds_the_file(one: Site, tmp_path: Path) -> None:
    with (
        webserver.running(one.environment(TMPDIR=str(tmp_path)), tmp_path) as web,
        ThreadPoolExecutor(1) as pool,
        contextlib.closing(sqlite3.connect(one.local / "web.sqlite3", isolation_level=None)) as other,
    ):
        browser = Browser(web.address)
        assert "Log out" in browser.log_in()[1]
        other.execute("BEGIN IMMEDIATE")
        for path in ("/admin/", "/admin/auth/user/"):
            assert browser.ask(path)[0] == 200, "who is logged in goes on reading"
        asked = pool.submit(Browser(web.address).log_in)
        poll(asked.done, 2, "an answer to a login")
        code, text = asked.result()
        assert code == 503 and "The web database is busy" in text
        other.execute("ROLLBACK")
        assert "Log out" in Browser(web.address).log_in()[1]
