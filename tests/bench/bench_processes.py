"""What web, task queue and loop answer and hold, here and in another checkout of the project.

    python -m tests.bench.bench_processes [OTHER_CHECKOUT [SECONDS]]

Starts the commands of deploy/systemd (web, cluster, monitor) of each checkout on a throwaway server, with
ten sessions that wait in two trees, logs in, and asks for the overview and its fragment with four clients
for SECONDS (15), in turn, twice. Prints requests a second, as a ratio to the other checkout's, and the
memory that belongs to each command's processes alone (USS, in MB) at the end.
"""

from __future__ import annotations

import http.cookiejar
import os
import shlex
import signal
import statistics
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.bench.crowd import Crowd, Scenes, until
from tests.support.loops import ROOT, status, url
from tests.support.production import PREFIX, answer, unit
from tests.support.servers import Server, free_port, throwaway

SERVICES = ("web", "cluster", "monitor")
PAGES = ("/admin/", "/admin/monitor/overview/fragment/")
PASSWORD = "only-for-the-benchmark"


@dataclass
class Site:
    """One checkout, running. rates: requests a second, a figure for each turn, by page."""

    root: Path
    port: int
    services: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    rates: dict[str, list[float]] = field(default_factory=lambda: {page: [] for page in PAGES})
    cookie: str = ""

    def log_in(self) -> None:
        """Get a session's cookie."""
        jar = http.cookiejar.CookieJar()
        browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
        address = f"http://127.0.0.1:{self.port}/admin/login/"
        browser.open(address).read()
        (token,) = [one.value for one in jar if one.name == "csrftoken"]
        form = {"username": "bench", "password": PASSWORD, "csrfmiddlewaretoken": token, "next": "/admin/"}
        sent = urllib.request.Request(address, urllib.parse.urlencode(form).encode(), {"Referer": address})
        browser.open(sent).read()
        self.cookie = "; ".join(f"{one.name}={one.value}" for one in jar)

    def ask(self, page: str, seconds: float, clients: int = 4) -> None:
        """Ask for one page with so many clients for so long, and note the rate."""
        counts = [0] * clients
        until_ = time.monotonic() + seconds

        def client(number: int) -> None:
            while time.monotonic() < until_:
                headers = {"Cookie": self.cookie, "X-Lockmon-Refresh": "1"}
                asked = urllib.request.Request(f"http://127.0.0.1:{self.port}{page}", headers=headers)
                with urllib.request.urlopen(asked, timeout=30) as came:
                    assert came.status == 200 and came.read()
                counts[number] += 1

        threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.rates[page].append(sum(counts) / seconds)

    def memory(self) -> dict[str, float]:
        """MB that belong to each service's processes alone, and how many those are."""
        found = {}
        for name, service in self.services.items():
            master = psutil.Process(service.pid)
            every = [master, *master.children(recursive=True)]
            uss = sum(int(one.memory_full_info().uss) for one in every) / 1e6
            found[f"{name} ({len(every)} processes)"] = round(uss, 1)
        return found


@contextmanager
def running(server: Server, root: Path) -> Iterator[Site]:
    """A checkout's three services over a vault of their own."""
    vault, web = server.create_database(), server.create_database()
    site = Site(root, free_port())
    environment = {key: value for key, value in os.environ.items() if not key.startswith("DJANGO")} | {
        "VAULT_DATABASE_URL": url(server.dsn(vault)),
        "DATABASE_URL": url(server.dsn(web)),
        "SECRET_KEY": "only-for-the-benchmark-" * 2,
        "ALLOWED_HOSTS": "127.0.0.1",
        "HTTPS_ONLY": "0",
        "DJANGO_SUPERUSER_PASSWORD": PASSWORD,
    }
    manage = [sys.executable, "manage.py"]
    user = ["createsuperuser", "--noinput", "--username", "bench", "--email", "bench@example.org"]
    for command in (["lockmon_deploy", "--dsn", server.dsn(vault)], ["migrate", "-v0"], user):
        subprocess.run([*manage, *command], cwd=root, env=environment, check=True, capture_output=True)
    scenes = Scenes(server.dsn(vault))
    with Crowd(server.dsn(vault)) as crowd:
        scenes.trees(crowd, 2, 5)
        until(lambda: scenes.waiting() >= 8, "the waits", 60)
        try:
            for name in SERVICES:
                line = unit(root, name)["ExecStart"].replace(
                    f"{PREFIX}.venv/bin/", f"{Path(sys.executable).parent}/"
                )
                words = shlex.split(line.replace("127.0.0.1:8000", f"127.0.0.1:{site.port}"))
                site.services[name] = subprocess.Popen(
                    words, cwd=root, env=environment, start_new_session=True,
                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                )  # fmt: skip
            until(lambda: status(server.dsn(vault)).state == "watching", "the loop", 120)
            until(lambda: answer(f"http://127.0.0.1:{site.port}/healthz")[0] == 200, "the web", 120)
            site.log_in()
            yield site
        finally:
            for service in site.services.values():
                os.killpg(service.pid, signal.SIGKILL)
                service.wait()
    scenes.close()


def main() -> None:
    """Run it and print the figures."""
    other = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else None
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 15.0
    with throwaway({"max_connections": "200"}, on_disk=True) as server, ExitStack() as stack:
        sites = [stack.enter_context(running(server, root)) for root in (ROOT, other) if root]
        for _ in range(2):
            for page in PAGES:
                for site in sites:
                    site.ask(page, seconds)
        for page in PAGES:
            rates = [statistics.fmean(site.rates[page]) for site in sites]
            ratio = f"; {rates[0] / rates[1]:.2f} of the other checkout's {rates[1]:.1f}" if other else ""
            print(f"{page}: {rates[0]:.1f} requests a second{ratio}", flush=True)
        for site in sites:
            print("here" if site.root == ROOT else "there", site.memory(), flush=True)


if __name__ == "__main__":
    main()
