"""A man in the middle that, like a transaction pooler, tells the client a backend pid of its own, and speaks
PostgreSQL whatever the server behind it does."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

PRETENDED_PID = 4242
_SSL_REQUEST = struct.pack("!ii", 8, 80_877_103)


@contextlib.contextmanager
def pooler(socket_directory: Path, port: int) -> Iterator[int]:
    """Forward TCP connections to PostgreSQL's socket; yields the port to connect to."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(
            target=_accept, args=(listener, f"{socket_directory}/.s.PGSQL.{port}"), daemon=True
        ).start()
        yield int(listener.getsockname()[1])


def _accept(listener: socket.socket, path: str) -> None:
    with contextlib.suppress(OSError):
        while True:
            client, _ = listener.accept()
            threading.Thread(target=_serve, args=(client, path), daemon=True).start()


def _serve(client: socket.socket, path: str) -> None:
    with client, socket.socket(socket.AF_UNIX) as server:
        first = client.recv(8, socket.MSG_PEEK | socket.MSG_WAITALL)
        if first == _SSL_REQUEST:
            client.recv(8)
            client.sendall(b"N")
        server.connect(path)
        back = threading.Thread(target=_rewrite, args=(server, client), daemon=True)
        back.start()
        _forward(client, server)
        back.join()


def _forward(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


def _rewrite(source: socket.socket, target: socket.socket) -> None:
    """Forward what the server says; the pid in BackendKeyData ('K', length 12 on protocol 3.0) is
    replaced."""
    done = False
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            at = data.find(b"K" + struct.pack("!i", 12))
            if not done and at >= 0:
                data = data[: at + 5] + struct.pack("!i", PRETENDED_PID) + data[at + 9 :]
                done = True
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
