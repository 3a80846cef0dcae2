"""Everything that writes the web database, at once: pages, logins, the loop, the task queue, schedules.

`measure` runs it over a site and returns what was done, how fast, and what the logs say of a database that
was locked. A task leaves a line in a file, so that none can be lost or run twice unseen.
"""

from __future__ import annotations

import contextlib
import http.cookiejar
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support import webserver
from tests.support.loops import ROOT
from tests.support.poll import poll
from tests.support.web_places import PASSWORD, Site

QUEUES = 2
"""Task queues of four workers each: two, so that both look at the same schedules."""
PEOPLE = 4
PAGES = ("/admin/", "/admin/auth/user/?q=a", "/admin/monitor/live/fragment/", "/admin/django_q/success/")
TROUBLE = re.compile(r"database is locked|Traceback|Could not (?:save|create)|cannot be written", re.I)

_ENQUEUE = """
import sys, time
from datetime import timedelta
import django; django.setup()
from django.utils import timezone
from django_q.models import Schedule
from django_q.tasks import async_task
file, first, number, schedules = sys.argv[1], *map(int, sys.argv[2:])
for one in range(schedules):
    Schedule.objects.create(name=f"s{one}", func="tests.support.web_load.note", args=repr((file, f"s{one}")),
                            schedule_type=Schedule.ONCE, next_run=timezone.now() - timedelta(seconds=1))
for one in range(first, first + number):
    async_task("tests.support.web_load.note", file, str(one))
"""


def note(file: str, name: str) -> None:
    """The task: one line of the file, with the time."""
    number = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(number, f"{name} {time.time()}\n".encode())
    finally:
        os.close(number)


@dataclass(frozen=True)
class Done:
    """What was done. ran: how often each task and schedule; seconds: from the first task to the last."""

    ran: Counter[str]
    seconds: float
    pages: int
    logins: int
    page_times: list[float]
    bad_pages: list[str]
    trouble: list[str]

    @property
    def tasks_a_second(self) -> float:
        """Tasks of which one ended after the other, with all the rest beside them."""
        return sum(self.ran.values()) / self.seconds

    def slowest(self, share: float) -> float:
        """Seconds within which this share of the pages was there."""
        return sorted(self.page_times)[int(share * (len(self.page_times) - 1))]


class Visitor(threading.Thread):
    """Logs in (the wrong password first, now and then), reads pages, logs out, and again."""

    def __init__(self, address: str, name: str, until: threading.Event) -> None:
        super().__init__(daemon=True)
        self._address, self._who, self._until = address, name, until
        self.times: list[float] = []
        self.bad: list[str] = []
        self.logins = 0

    def run(self) -> None:
        while not self._until.is_set():
            jar = http.cookiejar.CookieJar()
            browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
            self._ask(browser, "/admin/login/")
            if self.logins % 5 == 4:
                self._log_in(browser, jar, "wrong")
            self._log_in(browser, jar, PASSWORD)
            self.logins += 1
            for path in PAGES * 3:
                if self._until.is_set():
                    return
                if "Log out" not in (text := self._ask(browser, path)) and "fragment" not in path:
                    self.bad.append(f"{path}: {text[:200]}")

    def _log_in(
        self, browser: urllib.request.OpenerDirector, jar: http.cookiejar.CookieJar, word: str
    ) -> None:
        token = next((cookie.value for cookie in jar if cookie.name == "csrftoken"), "")
        form = {"username": self._who, "password": word, "csrfmiddlewaretoken": str(token), "next": "/admin/"}
        self._ask(browser, "/admin/login/", urllib.parse.urlencode(form).encode())

    def _ask(self, browser: urllib.request.OpenerDirector, path: str, data: bytes | None = None) -> str:
        request = urllib.request.Request(self._address + path, data, headers={"Referer": self._address})
        began = time.monotonic()
        try:
            with browser.open(request, timeout=60) as page:
                return str(page.read().decode())
        except urllib.error.HTTPError as error:
            self.bad.append(f"{path}: {error.code}")
            return error.read().decode()
        except OSError as error:
            if not self._until.is_set():
                self.bad.append(f"{path}: {error}")
            return ""
        finally:
            if "login" not in path:  # hashing a password takes its second wherever it is kept
                self.times.append(time.monotonic() - began)


@contextlib.contextmanager
def _process(site: Site, log: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=site.environment(),
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def measure(site: Site, folder: Path, tasks: int, schedules: int, deadline: float) -> Done:
    """Run it all over a migrated site until the tasks and schedules are done; logs are kept in `folder`."""
    folder.mkdir(exist_ok=True)
    notes = folder / "notes"
    notes.touch()
    for number in range(PEOPLE):
        site.add_person(f"person{number}")
    until = threading.Event()
    variables = {"DJANGO_SETTINGS_MODULE": "onevault.settings", "TMPDIR": str(folder)}
    with contextlib.ExitStack() as stack:
        stack.enter_context(_process(site, folder / "loop.log", "manage.py", "lockmon_monitor"))
        for number in range(QUEUES):
            log = folder / f"queue{number}.log"
            stack.enter_context(_process(site, log, "manage.py", "qcluster", "--skip-checks"))
        web = stack.enter_context(webserver.running(site.environment() | variables, folder))
        visitors = [Visitor(web.address, f"person{number}", until) for number in range(PEOPLE)]
        stack.callback(until.set)
        for visitor in visitors:
            visitor.start()
        for part in range(2):  # two processes that hand out tasks
            words = (str(notes), str(part * tasks // 2), str(tasks // 2), str(schedules * (1 - part)))
            with_settings = Site(site.vault, site.local, dict(site.more) | variables)
            stack.enter_context(_process(with_settings, folder / "tasks.log", "-c", _ENQUEUE, *words))
        wanted = tasks // 2 * 2 + schedules
        poll(lambda: len(notes.read_text().splitlines()) >= wanted, deadline, "all tasks", interval=0.5)
        until.set()
        for visitor in visitors:
            visitor.join(60)
    return _done(notes, visitors, folder)


def _done(notes: Path, visitors: list[Visitor], folder: Path) -> Done:
    lines = [line.split() for line in notes.read_text().splitlines()]
    times = sorted(float(at) for _name, at in lines)
    trouble = [
        f"{log.name}: {line}"
        for log in sorted(folder.glob("*.log"))
        for line in log.read_text(errors="replace").splitlines()
        if TROUBLE.search(line)
    ]
    return Done(
        ran=Counter(name for name, _at in lines),
        seconds=times[-1] - times[0],
        pages=sum(len(visitor.times) for visitor in visitors),
        logins=sum(visitor.logins for visitor in visitors),
        page_times=[each for visitor in visitors for each in visitor.times],
        bad_pages=[text for visitor in visitors for text in visitor.bad],
        trouble=trouble,
    )
