"""A run in which everything of ours is killed at random moments, and what really happened meanwhile.

`python -m pytest tests/app/test_killed.py` compares the vault with it.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psycopg

from tests.support.loops import ROOT, start_process, url
from tests.support.poll import poll
from tests.support.servers import Server

OURS = "one_vault_lockmon%"


@dataclass
class Wait:
    """What one client saw of its own wait; moments are time.time(), the server's host being this one."""

    pid: int
    began: float
    ended: float = float("inf")


@dataclass
class Hold:
    """How long a client held what others waited for."""

    pid: int
    began: float
    ended: float = float("inf")


@dataclass
class Kill:
    """One kill of everything. Moments are time.time().

    at: just after the last process was killed. last_sign: when the leader's session was last seen to have
    done something. led: when somebody was first seen to lead again. looked: when a look after the kill was
    first seen to be stored.
    """

    at: float
    last_sign: float
    led: float = 0.0
    looked: float = 0.0


@dataclass
class Truth:
    """Everything that the vault's record is compared with."""

    kills: list[Kill] = field(default_factory=list)
    waits: list[Wait] = field(default_factory=list)
    holds: list[Hold] = field(default_factory=list)


class Observer(threading.Thread):
    """Looks every 20 ms at who leads, what its session did last, and what the vault has for its last look."""

    def __init__(self, dsn: str) -> None:
        super().__init__(name="observer", daemon=True)
        self._connection = psycopg.connect(dsn, autocommit=True, application_name="observer")
        self._stop_asked = threading.Event()
        self.leads = False
        self.last_sign = 0.0
        self.last_look = 0.0
        self.seen_at = 0.0

    def run(self) -> None:
        """Until `finish`."""
        question = (
            "SELECT extract(epoch FROM max(greatest(a.query_start, a.state_change)))::float8,"
            " (SELECT extract(epoch FROM w.last_look_at)::float8 FROM lock_engine.watch_state AS w)"
            " FROM pg_locks AS l JOIN pg_stat_activity AS a ON a.pid = l.pid"
            " WHERE l.locktype = 'advisory' AND l.classid = 460 AND l.objid = 3 AND l.granted"
        )
        while not self._stop_asked.wait(0.02):
            row = self._connection.execute(question).fetchone()
            assert row is not None
            self.leads = row[0] is not None
            self.last_sign = max(self.last_sign, row[0] or 0.0)
            self.last_look = row[1] or 0.0
            self.seen_at = time.time()
        self._connection.close()

    def finish(self) -> None:
        """End it."""
        self._stop_asked.set()
        self.join()


class Traffic:
    """Pairs of clients: one holds a row, the other waits for it; now and then for long."""

    def __init__(self, dsn: str, truth: Truth, chance: random.Random, pairs: int = 4) -> None:
        self._dsn, self._truth = dsn, truth
        self._ending = threading.Event()
        self.errors: list[Exception] = []
        with psycopg.connect(dsn, autocommit=True) as setup:
            setup.execute("CREATE SCHEMA killing; CREATE TABLE killing.rows (id int PRIMARY KEY, n int)")
            setup.execute("INSERT INTO killing.rows SELECT g, 0 FROM generate_series(1, 99) AS g")
        self._threads = [
            threading.Thread(target=self._pair, args=(row, random.Random(chance.random())), daemon=True)
            for row in range(1, pairs + 1)
        ]
        for thread in self._threads:
            thread.start()

    def _pair(self, row: int, chance: random.Random) -> None:
        try:
            while not self._ending.is_set():
                # short ones begin and end unseen while nobody watches; the long one goes on through that
                length = chance.uniform(20, 40) if row == 1 else chance.uniform(0.3, 6)
                self._once(row, length)
                self._ending.wait(chance.uniform(0.1, 1.5))
        except Exception as error:  # the test reads it from here; a thread cannot raise
            self.errors.append(error)

    def _once(self, row: int, length: float) -> None:
        statement = f"UPDATE killing.rows SET n = n + 1 WHERE id = {row}"
        with (
            psycopg.connect(self._dsn, application_name="holder") as holder,
            psycopg.connect(self._dsn, application_name="waiter") as waiter,
        ):
            hold = Hold(holder.info.backend_pid, time.time())
            holder.execute(statement)
            wait = Wait(waiter.info.backend_pid, time.time())
            self._truth.holds.append(hold)
            self._truth.waits.append(wait)
            waiting = threading.Thread(target=waiter.execute, args=(statement,), daemon=True)
            waiting.start()
            self._ending.wait(length)
            holder.rollback()
            hold.ended = time.time()
            waiting.join()
            wait.ended = time.time()

    def finish(self) -> None:
        """Let everybody end what they are at."""
        self._ending.set()
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive()


class Everything:
    """All our processes: a task queue with its schedule, and two loops with helpers, as the units do."""

    def __init__(self, vault: str, web: str) -> None:
        self._vault, self._web = vault, web
        self._environment = dict(os.environ) | {
            "DJANGO_SETTINGS_MODULE": "onevault.settings",
            "SECRET_KEY": "only-for-tests-" * 4,
            "VAULT_DATABASE_URL": url(vault),
            "DATABASE_URL": url(web),
            "Q_WORKERS": "3",
        }
        self._groups: list[subprocess.Popen[bytes]] = []
        self._loops: list[subprocess.Popen[bytes]] = []
        subprocess.run(
            [sys.executable, "manage.py", "migrate", "-v0"], cwd=ROOT, env=self._environment, check=True
        )

    def start(self) -> None:
        """Start them all; returns at once."""
        self._loops = [start_process(self._vault, self._web, helpers=True) for _ in range(2)]
        queue = subprocess.Popen(
            [sys.executable, "manage.py", "qcluster"],
            cwd=ROOT,
            env=self._environment,
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._groups = [queue]

    def kill(self) -> None:
        """kill -9 of each of them, the queue's master and workers at once."""
        for loop in self._loops:
            loop.kill()
        for group in self._groups:
            os.killpg(group.pid, signal.SIGKILL)
        for process in (*self._loops, *self._groups):
            process.wait()
            if process.stderr is not None:
                process.stderr.close()
        self._loops, self._groups = [], []


@contextmanager
def played(server: Server, vault: str, web: str, *, seconds: float, kills: int, seed: int) -> Iterator[Truth]:
    """Play a run of so many seconds; what happened. All is over when it is given, except the last loops."""
    chance = random.Random(seed)
    truth = Truth()
    everything = Everything(vault, web)
    observer = Observer(vault)
    observer.start()
    traffic = Traffic(vault, truth, chance)
    began = time.time()
    try:
        everything.start()
        poll(lambda: observer.leads and observer.last_look > began, 60, "the first look")
        slot = (seconds - (time.time() - began)) / kills
        for number in range(kills):
            until = time.time() + slot
            # the last quarter of a slot is for coming back
            threading.Event().wait(chance.uniform(0.2, 0.75) * slot)
            everything.kill()
            # what a session was at when its client went is seen to its end by the server
            poll(lambda: not observer.leads, 20, "the last leader's session ended")
            kill = Kill(time.time(), observer.last_sign)
            truth.kills.append(kill)
            threading.Event().wait(chance.uniform(2, 10))
            everything.start()
            poll(lambda: observer.leads, 60, "somebody leading again", 0.01)
            kill.led = observer.seen_at
            poll(lambda at=kill.at: observer.last_look > at, 60, "a look after it", 0.01)  # type: ignore[misc]
            kill.looked = observer.seen_at
            print(f"kill {number + 1}: nobody looked for {kill.looked - kill.last_sign:.1f} s", flush=True)
            threading.Event().wait(max(0.0, until - time.time()))
        traffic.finish()
        assert traffic.errors == []
        # what ended last is stored as ended
        last = time.time()
        poll(lambda: observer.last_look > last + 4, 30, "some last looks")
        yield truth
    finally:
        everything.kill()
        observer.finish()
