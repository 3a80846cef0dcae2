"""The resident loop in the foreground, as a supervisor (systemd, a container) should run it."""

from __future__ import annotations

import signal
import threading
from argparse import ArgumentParser
from types import FrameType
from typing import Any

from lockmon.management.vault_command import VaultCommand
from lockmon.monitor.loop import MonitorLoop


class Command(VaultCommand):
    """Watches until SIGTERM or SIGINT, as leader or standby."""

    help = (
        "Watch one vault in the foreground until SIGTERM or Ctrl-C. "
        "Where another loop watches it already, stand by for that one."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--no-helpers", action="store_true", help="no alerts and policies beside the loop"
        )
        parser.add_argument("--seconds", type=float, help="end after so many seconds")

    def work(self, alias: str, **options: Any) -> int:
        stop = threading.Event()

        def ask_to_stop(number: int, frame: FrameType | None) -> None:
            stop.set()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, ask_to_stop)
        timer = None
        if options["seconds"] is not None:
            timer = threading.Timer(options["seconds"], stop.set)
            timer.daemon = True
            timer.start()
        self.stdout.write(MonitorLoop(alias, stop, with_helpers=not options["no_helpers"]).run())
        return 0
