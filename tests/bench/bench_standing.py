"""How fast every address answers while a database is in trouble, and how soon it is right again.

    python -m tests.bench.bench_standing [SECONDS] [STATE ...]

The shipped web server (two processes of four threads), four clients that ask for all addresses in turn, for
SECONDS (60; the figure to reach is for 600) in each state of the watched server and of the web database.
Prints requests, median, 95th percentile and the longest in seconds, answers by status, the seconds until a
page of the vault is right again, the web's memory and processor time; first the same with nothing wrong.
Exit code 1 unless p95 is under 2 s and right again within 5 s everywhere.
"""

from __future__ import annotations

import contextlib
import http.client
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import tests.bench  # noqa: F401  (sets Django up)
from tests.support import outage, scenes, vaults
from tests.support.addresses import every_address
from tests.support.loops import ROOT
from tests.support.servers import Server, free_port, throwaway
from tests.support.vaults import APP_LOGIN
from tests.support.webserver import HOST, WebServer, environment, running

CLIENTS = 4
P95_SECONDS = 2.0
AGAIN_SECONDS = 5.0
PAGE = "/admin/monitor/waiters/"
Trouble = contextlib.AbstractContextManager[None]

LOGIN = """
from django.contrib.auth import SESSION_KEY, BACKEND_SESSION_KEY, HASH_SESSION_KEY
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
user = User.objects.create_superuser("bench")
store = SessionStore()
store[SESSION_KEY], store[HASH_SESSION_KEY] = str(user.pk), user.get_session_auth_hash()
store[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
store.create()
print(store.session_key)
"""


@dataclass
class Tally:
    """Seconds of each request, and answers by status (0: none); seconds until all was right again."""

    seconds: list[float] = field(default_factory=list)
    answers: Counter[int] = field(default_factory=Counter)
    again: float = 0.0

    def line(self) -> str:
        """Requests, median, p95 and longest, and the statuses."""
        told = ", ".join(f"{number} x {code}" for code, number in sorted(self.answers.items()))
        return (
            f"{len(self.seconds):6}  {statistics.median(self.seconds):6.3f}  {self.p95:6.3f}  "
            f"{max(self.seconds):6.3f}  {told}"
        )

    @property
    def p95(self) -> float:
        """The 95th percentile in seconds."""
        return statistics.quantiles(self.seconds, n=20)[-1]


def ask(port: int, path: str, key: str, tally: Tally | None = None) -> int:
    """One request of somebody who is logged in; its status."""
    began, code = time.perf_counter(), 0
    connection = http.client.HTTPConnection(HOST, port, timeout=60)
    with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(connection):
        connection.request("GET", path, headers={"Cookie": f"sessionid={key}"})
        answer = connection.getresponse()
        code = answer.status
        answer.read()
    if tally is not None:
        tally.seconds.append(time.perf_counter() - began)
        tally.answers[code] += 1
    return code


def hammer(port: int, key: str, seconds: float) -> Tally:
    """Ask for everything in turn, CLIENTS at once."""
    paths, tally = every_address(), Tally()
    until = time.monotonic() + seconds

    def client(first: int) -> None:
        number = first * len(paths) // CLIENTS
        while time.monotonic() < until:
            ask(port, paths[number % len(paths)], key, tally)
            number += 1

    clients = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
    for one in clients:
        one.start()
    for one in clients:
        one.join()
    return tally


def until_right(port: int, key: str, page: str) -> float:
    """Seconds until eight answers in a row are right: each process of the web server has been asked."""
    began, good = time.monotonic(), 0
    while good < 8 and time.monotonic() - began < 60:
        good = good + 1 if ask(port, page, key) == 200 else 0
    return time.monotonic() - began


@dataclass
class Place:
    """Two servers, the lines to them, and somebody who is logged in."""

    watched: Server
    web: Server
    watched_line: outage.Line
    web_line: outage.Line
    folder: Path
    watched_disk: Path | None
    web_disk: Path | None
    key: str = ""

    def variables(self, by_line: bool) -> dict[str, str]:
        """The web server's environment; by_line: what it asks goes by lines that can delay."""
        found = environment(
            self.watched.dsn("one_vault", APP_LOGIN), self.web.dsn("web", APP_LOGIN), self.folder
        )
        if by_line:
            found["VAULT_DATABASE_URL"] = self._url(self.watched_line, "one_vault")
            found["DATABASE_URL"] = self._url(self.web_line, "web")
        return found | {"CONN_MAX_AGE": "60", "DJANGO_SETTINGS_MODULE": "onevault.settings"}

    def _url(self, line: outage.Line, name: str) -> str:
        return f"postgresql://{APP_LOGIN}@{HOST}:{line.port}/{name}"

    def manage(self, *arguments: str) -> str:
        """Run a command of manage.py over both databases."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.variables(by_line=False),
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()


@contextlib.contextmanager
def place() -> Iterator[Place]:
    """Everything that is needed, gone at the end. Both servers have a small disk each, where one may be
    mounted."""
    few = {"max_connections": "40", "max_wal_size": "64MB", "min_wal_size": "32MB"}
    with (
        tempfile.TemporaryDirectory() as folder,
        outage.small_disk(400) as watched_disk,
        outage.small_disk(400) as web_disk,
        throwaway(few, folder=watched_disk) as watched,
        throwaway(few, folder=web_disk) as web,
        outage.line_to(watched) as first,
        outage.line_to(web) as second,
    ):
        watched.create_database(name="one_vault")
        vaults.install(watched.dsn("one_vault"))
        scenes.make_tables(watched.dsn("one_vault"))
        web.execute(f"CREATE ROLE {APP_LOGIN} LOGIN")
        web.execute(f"CREATE DATABASE web OWNER {APP_LOGIN}")
        made = Place(watched, web, first, second, Path(folder), watched_disk, web_disk)
        made.manage("migrate", "--noinput", "-v0")
        made.key = made.manage("shell", "--no-imports", "-v0", "-c", LOGIN).splitlines()[-1]
        yield made


def disk_full(server: Server, folder: Path | None) -> Trouble:
    """A server's disk without a byte left; nothing is done where it has no small one."""
    return outage.disk_full(server, folder) if folder is not None else contextlib.nullcontext()


STATES: dict[str, tuple[Callable[[Place], Trouble], bool]] = {
    "nothing wrong": (lambda there: contextlib.nullcontext(), False),
    "watched: stopped": (lambda there: outage.stopped(there.watched), False),
    "watched: frozen": (lambda there: outage.frozen(there.watched), False),
    "watched: full": (lambda there: outage.full(there.watched, APP_LOGIN), False),
    "watched: 30 s late": (lambda there: outage.delayed(there.watched_line), True),
    "web: stopped": (lambda there: outage.stopped(there.web), False),
    "web: frozen": (lambda there: outage.frozen(there.web), False),
    "web: read only": (lambda there: outage.read_only(there.web), False),
    "web: full": (lambda there: outage.full(there.web, APP_LOGIN), False),
    "web: 30 s late": (lambda there: outage.delayed(there.web_line), True),
    "watched: disk full": (lambda there: disk_full(there.watched, there.watched_disk), False),
    "web: disk full": (lambda there: disk_full(there.web, there.web_disk), False),
}
"""How to bring it about, and whether the pages ask by the lines then."""


def processor(web: WebServer) -> float:
    """Seconds of a processor that its processes have had."""
    used = [one.cpu_times() for one in web.processes()]
    return float(sum(one.user + one.system for one in used))


def measure(there: Place, state: str, seconds: float) -> tuple[Tally, str]:
    """The requests of one state; and in words how soon all was right again, and what the web server took."""
    trouble, by_line = STATES[state]
    with running(there.variables(by_line), there.folder, port=free_port()) as web:
        until_right(web.port, there.key, PAGE)
        used = processor(web)
        with trouble(there):
            tally = hammer(web.port, there.key, seconds)
            used = processor(web) - used
        tally.again = until_right(web.port, there.key, PAGE)
        cost = used / len(tally.seconds) * 1000
        return (
            tally,
            f"{tally.again:.1f} s; {web.memory() / 1e6:.0f} MB; {cost:.1f} ms a request",
        )


def main(arguments: list[str]) -> int:
    """Measure and print; 0 only if all that is to be reached is."""
    seconds = float(arguments[0]) if arguments else 60.0
    wanted = arguments[1:] or list(STATES)
    good = True
    print(
        f"{len(every_address())} addresses, {CLIENTS} clients, {seconds:.0f} s a state; seconds of a request:"
    )
    print("state                 requests  median     p95    most  answers; right again; memory; processor")
    with place() as there:
        for state in wanted:
            if state.endswith("disk full") and there.web_disk is None:
                print(f"{state:20}  not tried: this account may not mount a file system")
                continue
            tally, told = measure(there, state, seconds)
            print(f"{state:20}  {tally.line()}; {told}", flush=True)
            good = good and tally.p95 < P95_SECONDS and tally.again < AGAIN_SECONDS and not tally.answers[0]
    return int(not good)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
