"""The shipped web server as a process, what it keeps in memory and on disk, and strangers who send to it."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from django.db import connections

from tests.support.loops import ROOT, url
from tests.support.poll import poll
from tests.support.production import PREFIX, answer, unit
from tests.support.servers import Server, free_port

HOST = "127.0.0.1"


@dataclass(frozen=True)
class WebServer:
    """gunicorn, as deploy/systemd/onevault-web.service starts it. `temp`: its folder of temporary files."""

    process: subprocess.Popen[bytes]
    port: int
    temp: Path
    log: Path

    @property
    def address(self) -> str:
        """Where its pages are."""
        return f"http://{HOST}:{self.port}"

    def answers(self, path: str = "/healthz", timeout: float = 20) -> tuple[int, str]:
        """Status and text of a page."""
        return answer(self.address + path, timeout)

    def processes(self) -> list[psutil.Process]:
        """gunicorn and its workers."""
        master = psutil.Process(self.process.pid)
        return [master, *master.children(recursive=True)]

    def memory(self) -> int:
        """Bytes that belong to these processes alone."""
        return sum(int(one.memory_full_info().uss) for one in self.processes())

    def on_disk(self) -> int:
        """Bytes of temporary files, those without a name too."""
        named = sum(path.stat().st_size for path in self.temp.rglob("*") if path.is_file())
        nameless = 0
        for one in self.processes():
            for entry in Path(f"/proc/{one.pid}/fd").iterdir():
                with contextlib.suppress(OSError):
                    where, facts = str(entry.readlink()), entry.stat()
                    if stat.S_ISREG(facts.st_mode) and str(self.temp) in where and "(deleted)" in where:
                        nameless += facts.st_size
        return named + nameless


def unit_line(port: int) -> list[str]:
    """The unit's command for this environment and port."""
    line = unit(ROOT, "web")["ExecStart"].replace(f"{PREFIX}.venv/bin/", f"{Path(sys.executable).parent}/")
    return shlex.split(line.replace("127.0.0.1:8000", f"{HOST}:{port}"))


def environment(vault_dsn: str, web_dsn: str, temp: Path) -> dict[str, str]:
    """The variables of a production with these databases, without TLS."""
    return {key: value for key, value in os.environ.items() if key != "DJANGO_SETTINGS_MODULE"} | {
        "VAULT_DATABASE_URL": url(vault_dsn),
        "DATABASE_URL": url(web_dsn),
        "SECRET_KEY": "only-for-tests-" * 4,
        "ALLOWED_HOSTS": HOST,
        "HTTPS_ONLY": "0",
        "TMPDIR": str(temp),
        "CONN_MAX_AGE": "0",
    }


def web_dsn(server: Server) -> str:
    """Where the alias `default` of this test leads, with Django's tables in it."""
    return server.dsn(str(connections["default"].settings_dict["NAME"]))


@contextlib.contextmanager
def running(
    variables: dict[str, str],
    folder: Path,
    *more: str,
    port: int | None = None,
    command: list[str] | None = None,
) -> Iterator[WebServer]:
    """The unit's web server, until it answers; ended with all its processes. `more` ends its command line.

    command: another one, which says the port itself.
    """
    port = port or free_port()
    log = folder / "web.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*(command or unit_line(port)), "--no-control-socket", *more],
            cwd=ROOT,
            env=variables,
            start_new_session=True,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        web = WebServer(process, port, Path(variables["TMPDIR"]), log)

        def up() -> bool:
            assert process.poll() is None, log.read_text()
            return web.answers(timeout=5)[0] == 200

        poll(up, 30, "the web server being up")
        yield web
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def head(path: str = "/admin/login/", **headers: str | int) -> bytes:
    """The head of a POST; `headers` with underscores for hyphens."""
    lines = [f"POST {path} HTTP/1.1", f"Host: {HOST}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


def chunk(data: bytes) -> bytes:
    """A piece of a chunked body."""
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def parts(number: int, size: int, name: str = 'name="f"; filename="f.bin"') -> tuple[str, bytes]:
    """A multipart body of so many files of so many bytes, and its content type."""
    border = "----stranger"
    one = f"--{border}\r\nContent-Disposition: form-data; {name}\r\n\r\n".encode() + b"x" * size + b"\r\n"
    return f"multipart/form-data; boundary={border}", one * number + f"--{border}--\r\n".encode()


@dataclass
class Strangers:
    """Connections of people who are not logged in; all are closed at the end."""

    port: int
    sockets: list[socket.socket] = field(default_factory=list)

    def one(self, *data: bytes, timeout: float = 20, source: str = HOST) -> socket.socket:
        """Connect and send; what the server does not take is not sent."""
        made = socket.create_connection((HOST, self.port), timeout=timeout, source_address=(source, 0))
        self.sockets.append(made)
        with contextlib.suppress(OSError):
            for piece in data:
                made.sendall(piece)
        return made

    def many(self, number: int, *data: bytes, source: str = HOST) -> None:
        """So many connections that send the same and stay."""
        for _ in range(number):
            self.one(*data, source=source)

    def close(self) -> None:
        """Close all."""
        for one in self.sockets:
            one.close()
        self.sockets.clear()


@contextlib.contextmanager
def strangers(port: int) -> Iterator[Strangers]:
    """Strangers at this port, gone at the end."""
    made = Strangers(port)
    try:
        yield made
    finally:
        made.close()


def said(connection: socket.socket) -> str:
    """All that the server says until it closes the connection."""
    found = b""
    with contextlib.suppress(ConnectionError):
        while piece := connection.recv(65536):
            found += piece
    return found.decode("latin-1")


def status(text: str) -> int:
    """The status of an answer; 0 for none."""
    return int(text.split(" ", 2)[1]) if text.startswith("HTTP/1.1 ") else 0


def exchange(port: int, *data: bytes) -> str:
    """Send, and return what is answered until the connection is closed."""
    with strangers(port) as made:
        return said(made.one(*data))


def counts(values: list[Any]) -> dict[Any, int]:
    """How often each value is there."""
    return {value: values.count(value) for value in dict.fromkeys(values)}
