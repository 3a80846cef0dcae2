"""gunicorn's worker: gunicorn keeps the processes, Server their connections. gunicorn.conf.py names it."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from gunicorn import sock
from gunicorn.workers.base import Worker

from onevault.server import wsgi
from onevault.server.server import Server

_TELL_EVERY = 60.0


@dataclass(frozen=True)
class _Logged:
    """What gunicorn's access log asks of a request or an answer."""

    headers: wsgi.Headers
    status: str = ""
    sent: int = 0


class Connections(Worker):  # type: ignore[misc]  # gunicorn has no types
    """A process with an event loop for its connections and `--threads` threads for Django."""

    def run(self) -> None:
        """Serve until gunicorn says that it is enough, or is gone."""
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        from django.conf import settings

        from onevault.bodies import upload_paths

        server = Server(
            self.wsgi,
            self.cfg.threads,
            self.cfg.workers,
            upload_paths(),
            settings.SESSION_COOKIE_NAME,
            sock.ssl_context(self.cfg) if self.cfg.is_ssl else None,
            self._served,
        )
        server.listen_on(one.sock for one in self.sockets)
        loop = asyncio.get_running_loop()
        told = loop.time()
        while self.alive and self.ppid == os.getppid():
            self.notify()
            await asyncio.sleep(0.25)
            if loop.time() - told >= _TELL_EVERY:
                told = loop.time()
                server.tell()
        server.tell()
        await server.end(self.cfg.graceful_timeout)

    def _served(self, environ: dict[str, Any], head: wsgi.Head, seconds: float) -> None:
        self.nr += 1
        if self.nr >= self.max_requests:
            self.alive = False
        if not self.log.access_log_enabled:
            return
        sent = next((int(value) for name, value in head.headers if name.lower() == "content-length"), 0)
        asked = [
            (key[5:].replace("_", "-"), value) for key, value in environ.items() if key.startswith("HTTP_")
        ]
        self.log.access(
            _Logged(head.headers, head.status, sent), _Logged(asked), environ, timedelta(seconds=seconds)
        )
