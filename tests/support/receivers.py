"""Real receivers of messages on this machine: an SMTP server and a webhook, each in threads, that can
misbehave."""

from __future__ import annotations

import email
import email.policy
import json
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Received:
    """What one receiver got. answer: "ok", "refuse" or "hang" for what comes next."""

    port: int = 0
    answer: str = "ok"
    mails: list[tuple[float, str, EmailMessage]] = field(default_factory=list)
    posts: list[tuple[float, str, dict[str, Any]]] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    received: Received


class _Smtp(socketserver.StreamRequestHandler):
    """As much of SMTP as a client needs: EHLO, MAIL, RCPT, DATA, RSET, QUIT."""

    def handle(self) -> None:
        server = self.server
        assert isinstance(server, _Server)
        received = server.received
        self._say("220 test")
        to = ""
        while line := self.rfile.readline().decode("ascii", "replace").strip():
            word = line.split(" ", 1)[0].upper()
            if received.answer == "hang":
                received.released.wait(30)
                return
            if word == "QUIT":
                self._say("221 bye")
                return
            if word == "RCPT":
                to = line.split("<", 1)[-1].split(">", 1)[0]
                self._say("550 no such user" if received.answer == "refuse" else "250 ok")
            elif word == "DATA":
                self._say("354 go on")
                body = b""
                while (part := self.rfile.readline()) not in (b".\r\n", b""):
                    body += part[1:] if part.startswith(b"..") else part
                message = email.message_from_bytes(body, policy=email.policy.default)
                assert isinstance(message, EmailMessage)
                received.mails.append((time.time(), to, message))
                self._say("250 taken")
            else:
                self._say("250 ok")

    def _say(self, text: str) -> None:
        self.wfile.write(text.encode("ascii") + b"\r\n")


@contextmanager
def smtp_server() -> Iterator[Received]:
    """An SMTP server on a port of its own."""
    with _Server(("127.0.0.1", 0), _Smtp) as server:
        server.received = Received(port=server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield server.received
        finally:
            server.received.released.set()
            server.shutdown()
            thread.join()


@contextmanager
def webhook() -> Iterator[Received]:
    """An HTTP server that takes JSON by POST."""
    received = Received()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            if received.answer == "hang":
                received.released.wait(30)
            refused = received.answer != "ok"
            if not refused:
                received.posts.append((time.time(), self.path, json.loads(body)))
            self.send_response(500 if refused else 200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        received.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield received
        finally:
            received.released.set()
            server.shutdown()
            thread.join()
