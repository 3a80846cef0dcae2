"""nginx in front, as deploy/nginx.conf has it. Where no nginx is installed this is skipped, and says so."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.loops import ROOT
from tests.support.poll import poll
from tests.support.production import answer
from tests.support.servers import Server, free_port
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
    web_dsn,
)

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
OUTSIDE = ("worker_processes 1;", "events { worker_connections 500; }")
"""What deploy/nginx.conf says belongs outside of http { }."""
IMPORT = "/admin/lockmon/deadlockevent/import-log/"

pytestmark = pytest.mark.skipif(
    NGINX is None,
    reason="nginx is not installed here (Debian: apt-get install nginx): its configuration is untested",
)


def configuration(folder: Path, port: int, backend: int) -> Path:
    """The shipped file, at ports of this test and without TLS, in the least that nginx needs around it."""
    text = (ROOT / "deploy" / "nginx.conf").read_text(encoding="utf-8")
    for pattern, here, times in (
        (r"server 127\.0\.0\.1:8000;", f"server {HOST}:{backend};", 1),
        (r"listen 443 ssl;", f"listen {HOST}:{port};", 1),
        (r"(?m)^ *ssl_certificate.*$", "", 2),
    ):
        text, found = re.subn(pattern, here, text)
        assert found == times, f"{pattern} stands {found} times in deploy/nginx.conf"
    assert " ".join(OUTSIDE) in text
    (folder / "site.conf").write_text(text)
    path = folder / "nginx.conf"
    path.write_text(
        f"""daemon off; pid {folder}/pid; error_log {folder}/error.log info; {OUTSIDE[0]}
user root;
{OUTSIDE[1]}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;
    uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    include {folder}/site.conf;
}}
"""
    )
    return path


@contextlib.contextmanager
def proxied(web: WebServer, folder: Path) -> Iterator[int]:
    """nginx before this web server; its port."""
    port = free_port()
    path = configuration(folder, port, web.port)
    assert NGINX is not None
    with subprocess.Popen([NGINX, "-p", str(folder), "-c", str(path)]) as process:
        try:
            poll(lambda: answer(f"http://{HOST}:{port}/healthz")[0] == 200, 20, "nginx")
            yield port
        finally:
            process.terminate()
            process.wait(30)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("nginx")


@pytest.fixture
def web(server: Server, vault_db: str, tmp_path: Path) -> Iterator[WebServer]:
    (tmp_path / "tmp").mkdir()
    name = vault_db.split("dbname=")[1].split()[0]
    variables = environment(server.dsn(name, APP_LOGIN), web_dsn(server), tmp_path / "tmp")
    with running(variables | {"BEHIND_PROXY": "1", "TRUSTED_PROXIES": "127.0.0.1"}, tmp_path) as made:
        yield made


@pytest.mark.django_db(transaction=True, databases=["default", "vault"])
def test_nginx_refuses_and_passes_on_what_it_should(web: WebServer, tmp_path: Path) -> None:
    with proxied(web, tmp_path) as port:
        # too large, by its word or in pieces
        assert status(exchange(port, head(Content_Length=65_537, Connection="close"))) == 413
        piece = chunk(b"x" * 32_768)
        assert status(exchange(port, head(Transfer_Encoding="chunked"), piece * 4)) == 413
        kind, body = parts(1, 10**6)
        assert status(exchange(port, head(Content_Type=kind, Content_Length=len(body)), body)) == 413
        assert status(exchange(port, head(IMPORT, Content_Length=66 * 1024**2))) == 413
        # a file of a stranger to the page that takes files: the monitor refuses it
        text = exchange(port, head(IMPORT, Content_Length=10**7, Connection="close"), b"x" * 10**6)
        assert status(text) == 413 and "64 kB" in text
        # twelve, and more than twelve, unfinished ones hang nobody; 60 of one address are 10 too many
        with strangers(port) as outside:
            outside.many(40, head(Content_Length=60_000), b"x")
            for _ in range(8):
                assert answer(f"http://{HOST}:{port}/healthz")[0] == 200
            outside.many(20, head(Content_Length=60_000), b"x")
            assert answer(f"http://{HOST}:{port}/healthz")[0] == 503
        poll(lambda: answer(f"http://{HOST}:{port}/healthz")[0] == 200, what="room again")
        assert sum(path.stat().st_size for path in (tmp_path / "body").rglob("*") if path.is_file()) == 0
        assert web.on_disk() == 0


@pytest.mark.django_db(transaction=True, databases=["default", "vault"])
def test_heads_that_do_not_end_cost_nginx_less_than_16_mb(web: WebServer, tmp_path: Path) -> None:
    """Beside as many bodies as it takes: a connection counts for the limits when its head is complete."""
    with proxied(web, tmp_path) as port:
        [worker] = psutil.Process(int((tmp_path / "pid").read_text())).children()
        before = worker.memory_full_info().uss
        line = b"X-Long: " + b"x" * 3900 + b"\r\n"
        with strangers(port) as outside:
            for address in ("127.0.0.2", "127.0.0.3"):
                outside.many(48, head(Content_Length=65_000), b"x" * 64_000, source=address)
            outside.many(350, b"GET / HTTP/1.1\r\nHost: x\r\n", line, line[:-2])
            poll(lambda: len(worker.net_connections()) >= 446, 5, "all of them taken")
            # who comes behind them is answered once they are read
            assert answer(f"http://{HOST}:{port}/healthz")[0] == 200
            grown = worker.memory_full_info().uss - before
            print(f"nginx has grown by {grown / 1e6:.1f} MB")
            assert 4 * 1024**2 < grown < 16 * 1024**2
            too_long = exchange(port, b"GET / HTTP/1.1\r\nHost: x\r\n", line, line, line)
            assert status(too_long) == 400


@pytest.mark.django_db(transaction=True, databases=["default", "vault"])
def test_the_sender_s_own_x_forwarded_for_ends_at_nginx(web: WebServer, tmp_path: Path) -> None:
    """A failed token is logged with the address that counts."""
    with proxied(web, tmp_path) as port:
        ask = b"GET /api/tree HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer x\r\nConnection: close\r\n"
        assert status(exchange(port, ask + b"X-Forwarded-For: 203.0.113.9\r\n\r\n")) == 401
        assert status(exchange(web.port, ask + b"X-Forwarded-For: 203.0.113.8\r\n\r\n")) == 401
        told = [line for line in web.log.read_text().splitlines() if "Login failed" in line]
        assert [re.findall(r"from (\S+);", line)[0] for line in told] == ["127.0.0.1", "203.0.113.8"]
