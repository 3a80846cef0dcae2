"""Servers that are stopped, frozen, full or slow, and the way back: real ones, and a line that delays."""

from __future__ import annotations

import contextlib
import selectors
import socket
import subprocess
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import psycopg

from onevault.embedded import account as accounts
from tests.support.servers import Server

HOST = "127.0.0.1"


@contextlib.contextmanager
def frozen(server: Server) -> Iterator[None]:
    """All processes of a server stand still: connections are taken by the kernel, nobody says anything."""
    master = psutil.Process(int((server.cluster.data / "postmaster.pid").read_text().split()[0]))
    # the parent first: it makes no more of them
    stopped = [master]
    master.suspend()
    stopped += master.children(recursive=True)
    for one in stopped[1:]:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.suspend()
    try:
        yield
    finally:
        for one in reversed(stopped):
            with contextlib.suppress(psutil.NoSuchProcess):
                one.resume()


@contextlib.contextmanager
def stopped(server: Server) -> Iterator[None]:
    """A server that is not there; every connection is lost."""
    server.cluster.stop()
    try:
        yield
    finally:
        server.cluster.start()


@contextlib.contextmanager
def read_only(server: Server) -> Iterator[None]:
    """The server comes back as a standby, which reads and refuses every change; promoted at the end."""
    server.cluster.stop()
    signal = server.cluster.data / "standby.signal"
    signal.touch()
    accounts.give(signal, server.cluster.account)
    server.cluster.start()
    try:
        yield
    finally:
        server.execute("SELECT pg_promote()")


@contextlib.contextmanager
def full(server: Server, user: str) -> Iterator[None]:
    """No connection is left for who is no superuser."""
    held: list[psycopg.Connection[tuple[object, ...]]] = []
    try:
        with contextlib.suppress(psycopg.OperationalError):
            while True:
                held.append(psycopg.connect(server.dsn("postgres", user)))
        yield
    finally:
        for one in held:
            one.close()


@contextlib.contextmanager
def small_disk(megabytes: int) -> Iterator[Path | None]:
    """A file system of its own, in memory, so small; None where this account may not mount one."""
    with tempfile.TemporaryDirectory(prefix="onevault-disk-") as folder:
        mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=755", "tmpfs", folder]
        if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
            yield None
            return
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", folder], check=True)


@contextlib.contextmanager
def disk_full(server: Server, folder: Path) -> Iterator[None]:
    """No byte is left below that folder, which is a file system of its own and the server's.

    A server that cannot write its WAL ends itself, and cannot start; at the end it is started, if so.
    """
    filler = folder / "filler"
    try:
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(65536))
        yield
    finally:
        filler.unlink()
        if not server.cluster.alive():
            server.cluster.start()


@dataclass
class Line:
    """A TCP port that leads to a server; each byte arrives `delay` seconds later than it would.

    One thread, started by `line`. `cut` refuses whoever comes and drops who is there.
    """

    target: tuple[str, int] | str
    delay: float = 0.0
    port: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)
    _pairs: dict[socket.socket, socket.socket] = field(default_factory=dict)
    _late: deque[tuple[float, socket.socket, bytes]] = field(default_factory=deque)

    def run(self, listening: socket.socket) -> None:
        """Carry bytes until the end."""
        with selectors.DefaultSelector() as watched:
            listening.setblocking(False)
            watched.register(listening, selectors.EVENT_READ)
            while not self._stop.is_set():
                for key, _ in watched.select(0.01):
                    if key.fileobj is listening:
                        self._greet(listening, watched)
                    elif isinstance(key.fileobj, socket.socket):
                        self._read(key.fileobj, watched)
                self._deliver()
            for one in list(self._pairs):
                one.close()

    def _greet(self, listening: socket.socket, watched: selectors.BaseSelector) -> None:
        come, _ = listening.accept()
        family = socket.AF_UNIX if isinstance(self.target, str) else socket.AF_INET
        behind = socket.socket(family)
        try:
            behind.connect(self.target)
        except OSError:
            come.close()
            behind.close()
            return
        for one, other in ((come, behind), (behind, come)):
            self._pairs[one] = other
            watched.register(one, selectors.EVENT_READ)

    def _read(self, one: socket.socket, watched: selectors.BaseSelector) -> None:
        try:
            piece = one.recv(65536)
        except OSError:
            piece = b""
        if one not in self._pairs:
            return
        other = self._pairs[one]
        if piece:
            self._late.append((time.monotonic() + self.delay, other, piece))
            return
        # its end arrives late, too: who waits behind the delay is not told that somebody has gone
        watched.unregister(one)
        self._late.append((time.monotonic() + self.delay, other, b""))

    def _deliver(self) -> None:
        due = [late for late in self._late if late[0] <= time.monotonic()]
        for late in due:
            self._late.remove(late)
            _, other, piece = late
            with contextlib.suppress(OSError):
                if piece:
                    other.setblocking(True)
                    other.sendall(piece)
                else:
                    other.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def line(target: tuple[str, int] | Path) -> Iterator[Line]:
    """A line to a server's port, or to its socket, as a port of this machine."""
    made = Line(str(target) if isinstance(target, Path) else target)
    with socket.create_server((HOST, 0)) as listening:
        made.port = int(listening.getsockname()[1])
        carrying = threading.Thread(target=made.run, args=(listening,), daemon=True)
        carrying.start()
        try:
            yield made
        finally:
            made._stop.set()
            carrying.join(30)


def line_to(server: Server) -> contextlib.AbstractContextManager[Line]:
    """A line to a throwaway server's socket: no password is asked for."""
    return line(server.socket_directory / f".s.PGSQL.{server.port}")


@contextlib.contextmanager
def delayed(line: Line) -> Iterator[None]:
    """Each byte comes 30 s late: longer than any page waits."""
    line.delay = 30
    try:
        yield
    finally:
        line.delay = 0
