"""The shipped web server, started by the unit's line: strangers can neither fill it nor hang it."""

from __future__ import annotations

import contextlib
import http.cookiejar
import io
import re
import signal
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from onevault.server import limits
from tests.app.test_log_files import OTHER, RECORD
from tests.support.people import person
from tests.support.poll import poll
from tests.support.servers import Server
from tests.support.vaults import APP_LOGIN
from tests.support.webserver import (
    HOST,
    WebServer,
    chunk,
    environment,
    exchange,
    head,
    parts,
    running,
    status,
    strangers,
    unit_line,
    web_dsn,
)

MB = 1024 * 1024
ALLOWED = 16 * MB
"""What strangers may make the server keep, in memory or on disk (issue: "1 GB sent by strangers")."""
IMPORT = "/admin/lockmon/deadlockevent/import-log/"


@pytest.fixture(scope="module")
def web(server: Server, template_vault: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebServer]:
    """A web server for strangers, who need no database."""
    folder = tmp_path_factory.mktemp("web")
    (folder / "tmp").mkdir()
    variables = environment(server.dsn(template_vault, APP_LOGIN), server.dsn(), folder / "tmp")
    with running(variables, folder) as made:
        warm(made)
        yield made


def warm(web: WebServer) -> None:
    """Have every process serve and refuse what the tests ask for: what grows later is the strangers'."""
    kind, body = parts(1000, 1)
    for _ in range(40):
        assert web.answers("/admin/login/")[0] == 200
        exchange(web.port, head(Content_Length=len(body), Content_Type=kind, Connection="close"), body)


def login_page_answers(web: WebServer) -> None:
    code, text = web.answers("/admin/login/")
    assert code == 200 and "csrfmiddlewaretoken" in text


def test_the_unit_and_make_run_start_the_server_that_holds() -> None:
    assert "-k" not in unit_line(1) and "--worker-class" not in unit_line(1)
    conf: dict[str, str] = {}
    exec((Path(__file__).resolve().parents[2] / "gunicorn.conf.py").read_text(), conf)
    assert conf["worker_class"] == "onevault.server.worker.Connections"


@pytest.mark.parametrize("number", [12, 400])
@pytest.mark.parametrize(
    "begun",
    [
        [head(Content_Length=60_000), b"x"],
        [head(Transfer_Encoding="chunked"), b"ea60\r\nx"],
        [b"GET /admin/login/ HTTP/1.1\r\nHost: 127.0.0.1\r\nX-"],
        [b""],
        [head(IMPORT, Content_Length=10**9, Cookie="sessionid=made-up"), b"x"],
    ],
    ids=["body", "chunked", "head", "nothing", "import"],
)
def test_unfinished_requests_hang_nobody(web: WebServer, begun: list[bytes], number: int) -> None:
    with strangers(web.port) as outside:
        outside.many(number, *begun)
        for _ in range(8):
            assert web.answers() == (200, "ok\n")
        login_page_answers(web)
        assert web.on_disk() == 0


@pytest.mark.parametrize(
    "begun",
    [
        [head(Content_Length=limits.BODY_BYTES), b"x" * (limits.BODY_BYTES - 1)],
        [head(Transfer_Encoding="chunked"), chunk(b"x" * 1000) * 65],
        [head(Transfer_Encoding="chunked"), chunk(b"x") * 20_000],
        [b"GET /admin/login/ HTTP/1.1\r\nX-A: " + b"a" * (limits.HEAD_BYTES - 100)],
        [head(IMPORT, Content_Length=10**9, Cookie="sessionid=x"), b"x" * 10**6],
    ],
    ids=["bodies", "chunks", "crumbs", "heads", "import"],
)
def test_as_much_as_can_be_kept_stays_within_the_bounds(web: WebServer, begun: list[bytes]) -> None:
    before = web.memory()
    with strangers(web.port) as outside:
        outside.many(400, *begun)
        assert web.answers() == (200, "ok\n")
        grown = web.memory() - before
        print(f"{grown / MB:.1f} MB of memory")
        assert (web.on_disk(), grown < ALLOWED) == (0, True)


def test_a_byte_a_second_hangs_nobody(web: WebServer) -> None:
    with strangers(web.port) as outside:
        outside.many(100, head(Content_Length=60_000), b"x")
        over = threading.Event()

        def drip() -> None:
            while not over.wait(0.2):
                for one in outside.sockets:
                    with contextlib.suppress(OSError):
                        one.send(b"x")

        thread = threading.Thread(target=drip)
        thread.start()
        try:
            for _ in range(20):
                login_page_answers(web)
        finally:
            over.set()
            thread.join()


@pytest.mark.parametrize(
    ("number", "size", "code"),
    [(1, 60_000, 403), (1000, 1, 413), (400, 1, 403), (1, 200_000, 413), (2, 5, 403)],
)
def test_files_of_strangers_go_nowhere(web: WebServer, number: int, size: int, code: int) -> None:
    kind, body = parts(number, size)
    text = exchange(web.port, head(Content_Length=len(body), Content_Type=kind, Connection="close"), body)
    assert status(text) == code
    assert web.on_disk() == 0


def flood(web: WebServer, total: int, kinds: int = 4) -> tuple[int, int, int]:
    """Send so many bytes from several strangers at once; the most memory and disk seen, and answers had."""
    left, most, answered = total, [0, 0], 0
    lock, over = threading.Lock(), threading.Event()
    file_kind, file_body = parts(1, 4 * MB)
    many_kind, many_body = parts(1000, 4 * 1024)
    piece = chunk(b"x" * MB)
    ways = [
        [head(Content_Length=len(file_body), Content_Type=file_kind), file_body],
        [head(Transfer_Encoding="chunked", Content_Type=file_kind), *[piece] * 4],
        [head(Content_Length=len(many_body), Content_Type=many_kind), many_body],
        [head(IMPORT, Content_Length=4 * MB, Content_Type=file_kind, Cookie="sessionid=x"), b"x" * 4 * MB],
        [head(Content_Length=limits.BODY_BYTES), b"x" * (limits.BODY_BYTES - 1)],
    ]

    def send(number: int) -> None:
        nonlocal left
        while not over.is_set():
            with lock:
                if left <= 0:
                    return
                left -= 4 * MB
            way = ways[number % len(ways)]
            number += 1
            # what the server does not take counts as sent: it was not kept
            if way is ways[-1]:
                with strangers(web.port) as outside:
                    outside.many(4 * MB // limits.BODY_BYTES, *way)
            else:
                exchange(web.port, *way)

    senders = [threading.Thread(target=send, args=(number,)) for number in range(kinds)]
    for one in senders:
        one.start()
    try:
        while any(one.is_alive() for one in senders):
            most = [max(most[0], web.memory()), max(most[1], web.on_disk())]
            assert web.answers() == (200, "ok\n")
            answered += 1
            time.sleep(0.05)
    finally:
        over.set()
        for one in senders:
            one.join()
    return most[0], most[1], answered


def holds_against(web: WebServer, total: int) -> None:
    before = web.memory()
    memory, disk, answered = flood(web, total)
    grown = (memory - before) / MB
    print(f"{total / MB:.0f} MB: {grown:.1f} MB of memory, {disk} bytes on disk, {answered} answers")
    assert disk == 0
    assert memory - before < ALLOWED
    assert answered >= 3


def test_a_flood_stays_within_the_bounds(web: WebServer) -> None:
    flood(web, 48 * MB)  # allocators keep a little of the first time
    holds_against(web, 192 * MB)


@pytest.mark.long
def test_a_gigabyte_of_strangers_stays_within_the_bounds(web: WebServer) -> None:
    flood(web, 48 * MB)
    holds_against(web, 1024 * MB)


def test_static_files_and_redirects_come_as_they_are(web: WebServer) -> None:
    source = Path(__file__).resolve().parents[2] / "lockmon" / "static" / "lockmon" / "lockmon.css"
    with urllib.request.urlopen(f"{web.address}/static/lockmon/lockmon.css", timeout=20) as answer:
        assert answer.read() == source.read_bytes()
    text = exchange(web.port, b"HEAD /admin/ HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
    assert status(text) == 302 and text.endswith("\r\n\r\n")


class Person:
    """Somebody with a browser's cookies."""

    def __init__(self, web: WebServer) -> None:
        self.web = web
        self.jar = http.cookiejar.CookieJar()
        self.browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.jar))

    @property
    def token(self) -> str:
        (found,) = [cookie.value for cookie in self.jar if cookie.name == "csrftoken"]
        assert found is not None
        return found

    def open(self, path: str, data: bytes | None = None, kind: str = "") -> tuple[int, str]:
        headers = {"Referer": self.web.address} | ({"Content-Type": kind} if kind else {})
        request = urllib.request.Request(f"{self.web.address}{path}", data, headers)
        try:
            with self.browser.open(request, timeout=60) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def log_in(self, name: str) -> None:
        self.open("/admin/login/")
        form = {"username": name, "password": "only-for-tests", "csrfmiddlewaretoken": self.token}
        code, text = self.open("/admin/login/?next=/admin/", urllib.parse.urlencode(form).encode())
        assert code == 200 and "Log out" in text

    def send_log(self, content: bytes) -> tuple[int, str]:
        border = "----log"
        start = f"--{border}\r\nContent-Disposition: form-data; name="
        fields = f'{start}"csrfmiddlewaretoken"\r\n\r\n{self.token}\r\n'
        fields += f'{start}"file"; filename="server.csv"\r\n\r\n'
        body = fields.encode() + content + f"\r\n--{border}--\r\n".encode()
        return self.open(IMPORT, body, f"multipart/form-data; boundary={border}")


@pytest.mark.django_db(transaction=True, databases=["default", "vault"])
def test_whoever_may_imports_a_large_log_and_nobody_else(
    server: Server, vault_db: str, tmp_path: Path
) -> None:
    for role in ("dba", "viewer"):
        assert person(role) is not None
    (tmp_path / "tmp").mkdir()
    name = vault_db.split("dbname=")[1].split()[0]
    variables = environment(server.dsn(name, APP_LOGIN), web_dsn(server), tmp_path / "tmp")
    variables["DJANGO_SETTINGS_MODULE"] = "tests.support.same_hashes"
    lines = (OTHER * (1 + 100_000 // len(OTHER))).encode()
    content = RECORD.format(second=1, pid=11).encode() + lines * (6 * MB // len(lines))
    with running(variables, tmp_path) as web:
        dba, viewer = Person(web), Person(web)
        dba.log_in("dba")
        viewer.log_in("viewer")
        before = web.memory()
        code, text = dba.send_log(content)
        assert code == 200 and "1 new deadlock in the history" in text, re.sub("<[^>]+>", " ", text)[-2000:]
        assert viewer.send_log(content[:MB])[0] in (403, 413)
        assert web.on_disk() == 0
        assert web.memory() - before < 64 * MB
        code, listed = viewer.open("/admin/lockmon/deadlockevent/export/csv/?when=any")
        assert code == 200 and len(list(io.StringIO(listed))) == 2
        with psycopg.connect(vault_db) as connection:
            row = connection.execute("SELECT count(*) FROM lock_monitoring.deadlock_event_h").fetchone()
        assert row == (1,)
        web.process.send_signal(signal.SIGTERM)
        assert web.process.wait(60) in (0, -signal.SIGTERM)


def test_the_log_says_how_many_were_turned_away(server: Server, template_vault: str, tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    variables = environment(server.dsn(template_vault, APP_LOGIN), server.dsn(), tmp_path / "tmp")
    with running(variables, tmp_path, "--workers", "1") as web:
        for _ in range(3):
            assert status(exchange(web.port, head(Content_Length=10**9))) == 413
        web.process.send_signal(signal.SIGTERM)
        web.process.wait(60)
        poll(lambda: "turned away" in web.log.read_text(), what="the line")
        assert (
            "Request Entity Too Large: 3" in web.log.read_text()
            or "Content Too Large: 3" in web.log.read_text()
        )
        assert HOST not in re.findall("turned away.*", web.log.read_text())[0]
