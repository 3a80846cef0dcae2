"""Demo traffic on the embedded database."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

import psycopg
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from lockmon.demo import traffic
from onevault.embedded.local import Local
from onevault.embedded.prepare import DEMO_LOGIN


class Command(BaseCommand):
    """Refuses any database but the embedded one."""

    help = "Real sessions that block each other, on the embedded database of 'make run' only, until Ctrl-C."
    requires_system_checks: list[str] = []  # the pages do not concern it

    def handle(self, *args: Any, **options: Any) -> None:
        """Play until SIGINT or SIGTERM."""
        if not settings.EMBEDDED:
            raise CommandError("Demo traffic runs on the embedded database only, never on one of yours.")
        vault = settings.DATABASES["vault"]
        state = Local(settings.LOCAL_DIR).state(int(vault["PORT"]))
        ending = threading.Event()

        def end(number: int, frame: FrameType | None) -> None:
            ending.set()

        signal.signal(signal.SIGINT, end)
        signal.signal(signal.SIGTERM, end)
        traffic.play(
            psycopg.conninfo.make_conninfo(
                "",
                host=vault["HOST"],
                port=str(state.port),
                dbname=vault["NAME"],
                user=DEMO_LOGIN,
                password=state.demo_password,
                connect_timeout="5",
            ),
            ending,
        )
