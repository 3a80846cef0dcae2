"""Hammers the door: attempts in which the session that is meant is no longer the one that has the pid.

Every session of the hammer has an application name of its own. What was really signalled is read from the
server's log (SQLSTATE 57P01 and 57014 with that name), not from the door's own record.
"""

from __future__ import annotations

import contextlib
import csv
import itertools
import random
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
from psycopg import errors

from tests.support import doors
from tests.support.poll import poll

LAST_PID = Path("/proc/sys/kernel/ns_last_pid")
UPDATE = "UPDATE app.accounts SET balance = balance + 1 WHERE id = %d"
SIGNALLED = {"57P01", "57014"}


@dataclass
class Tally:
    """What was tried and what came of it. attempts: by kind; outcomes: by kind and code (or outcome)."""

    attempts: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    meant: set[str] = field(default_factory=set)


class Victim:
    """A session that holds one row, with one that waits for it; both may be asked to go."""

    _numbers = itertools.count(1)

    def __init__(self, dsn: str, row: int) -> None:
        """Connect both; the waiter really waits when this returns."""
        self.dsn, self.row = dsn, row
        self.name = f"victim-{next(self._numbers)}"
        self.holder = psycopg.connect(dsn, user=doors.ORDINARY, application_name=self.name, autocommit=True)
        self.pid = self.holder.info.backend_pid
        self.waiter: psycopg.Connection[Any] | None = None
        self.take()

    def take(self) -> None:
        """Begin a transaction that holds the row, and let somebody wait for it."""
        self.holder.execute("BEGIN")
        self.holder.execute(UPDATE % self.row)
        self.waiter = psycopg.connect(
            self.dsn, user=doors.ORDINARY, application_name=f"{self.name}-waiter", autocommit=True
        )
        self.waiter.pgconn.send_query((UPDATE % self.row).encode())
        asked = "SELECT %s = ANY (pg_blocking_pids(%s))"
        with psycopg.connect(self.dsn, autocommit=True) as look:
            waiting = self.waiter.info.backend_pid
            poll(lambda: look.execute(asked, (self.pid, waiting)).fetchone() == (True,), 10, "a wait", 0.002)

    def drop_waiter(self) -> None:
        """End the waiter; returns once it is gone."""
        if self.waiter is None:
            return
        pid = self.waiter.info.backend_pid
        with contextlib.suppress(psycopg.Error):
            self.waiter.cancel_safe(timeout=5)
            while self.waiter.pgconn.get_result() is not None:
                pass
        self.waiter.close()
        self.waiter = None
        self._until_gone(pid)

    def end(self) -> None:
        """End the holder, then the waiter; returns once the holder is gone."""
        self.holder.close()
        self._until_gone(self.pid)
        if self.waiter is not None:
            # else it might still queue when the next holder comes
            while self.waiter.pgconn.get_result() is not None:
                pass
            self.waiter.close()
            self.waiter = None

    def _until_gone(self, pid: int) -> None:
        with psycopg.connect(self.dsn, autocommit=True) as look:
            asked = "SELECT count(*) FROM pg_stat_activity WHERE pid = %s AND application_name LIKE %s"
            poll(lambda: look.execute(asked, (pid, self.name + "%")).fetchone() == (0,), 10, "its end", 0.002)


class Hammer:
    """One thread's share of the attempts, on one row of app.accounts."""

    def __init__(self, dsn: str, row: int, tally: Tally, lock: threading.Lock) -> None:
        """Connect as keeper and as reader of the door."""
        self.dsn, self.row, self.tally, self.lock = dsn, row, tally, lock
        self.random = random.Random(row)
        self.keeper = doors.Door(psycopg.connect(dsn, user=doors.KEEPER, autocommit=True))
        self.reader = doors.Door(psycopg.connect(dsn, user=doors.READER, autocommit=True))
        self.victim = Victim(dsn, row)
        self.kinds = {
            "other backend_start": self.other_start,
            "ended": self.ended,
            "other transaction": self.other_transaction,
            "waiters gone": self.unblocked,
            "uncommitted": self.uncommitted,
            "no right": self.no_right,
            "other statement": self.other_statement,
            "ending meanwhile": self.race,
            "the right one": self.right,
        }
        if LAST_PID.exists() and _writable():
            self.kinds["pid reused"] = self.reused

    def attempt(self, kind: str) -> None:
        """Make one attempt and count what came of it."""
        code = self.kinds[kind]()
        with self.lock:
            self.tally.attempts[kind] += 1
            self.tally.outcomes[kind, code] += 1

    def close(self) -> None:
        """End all of its sessions."""
        self.victim.end()
        self.keeper.connection.close()
        self.reader.connection.close()

    def _renew(self) -> None:
        self.victim = Victim(self.dsn, self.row)

    def other_start(self) -> str:
        """The pid is right, its session another."""
        start, _ = self.keeper.identity(self.victim.pid)
        shift = timedelta(microseconds=self.random.choice((-1, 1, -1_000_000, 3_600_000_000)))
        return str(self.keeper.stop("terminate", self.victim.pid, backend_start=start + shift)["code"])

    def ended(self) -> str:
        """It ends between request and execution."""
        asked = self.keeper.request("terminate", self.victim.pid)
        self.victim.end()
        code = self.keeper.execute(asked["action_id"])["code"]
        self._renew()
        return str(code)

    def reused(self) -> str:
        """It ends and the next session really gets its pid, and blocks others too."""
        asked = self.keeper.request("terminate", self.victim.pid)
        pid = self.victim.pid
        self.victim.end()
        for _ in range(40):
            with self.lock:
                LAST_PID.write_text(str(pid - 1))
                replacement = psycopg.connect(
                    self.dsn, user=doors.ORDINARY, application_name="replacement", autocommit=True
                )
            if replacement.info.backend_pid == pid:
                break
            replacement.close()
        else:
            self._renew()
            self.keeper.execute(asked["action_id"])
            return "pid not given again"
        self.victim = Victim.__new__(Victim)
        self.victim.dsn, self.victim.row = self.dsn, self.row
        self.victim.name = f"victim-{next(Victim._numbers)}"
        self.victim.holder, self.victim.pid, self.victim.waiter = replacement, pid, None
        replacement.execute(f"SET application_name = '{self.victim.name}'")
        self.victim.take()
        return str(self.keeper.execute(asked["action_id"])["code"])

    def other_transaction(self) -> str:
        """The transaction that was meant has committed; the session is in the way again with a new one."""
        asked = self.keeper.request(
            "terminate", self.victim.pid, xact_start=self.keeper.identity(self.victim.pid)[1]
        )
        self.victim.drop_waiter()
        self.victim.holder.execute("COMMIT")
        self.victim.take()
        return str(self.keeper.execute(asked["action_id"])["code"])

    def unblocked(self) -> str:
        """Those who waited have gone."""
        asked = self.keeper.request("terminate", self.victim.pid)
        self.victim.drop_waiter()
        code = str(self.keeper.execute(asked["action_id"])["code"])
        self.victim.holder.execute("COMMIT")
        self.victim.take()
        return code

    def uncommitted(self) -> str:
        """Request and execution in one transaction; it is committed or rolled back."""
        start, _ = self.keeper.identity(self.victim.pid)
        self.keeper.connection.execute("BEGIN")
        asked = self.keeper.request("terminate", self.victim.pid, backend_start=start)
        code = str(self.keeper.execute(asked["action_id"])["code"])
        if self.random.random() < 0.5:
            self.keeper.connection.execute("COMMIT")
            return code
        self.keeper.connection.execute("ROLLBACK")
        return code + ", " + str(self.keeper.execute(asked["action_id"])["code"])

    def no_right(self) -> str:
        """A reader tries, and somebody else's accepted request too."""
        start, _ = self.keeper.identity(self.victim.pid)
        asked = self.keeper.request("terminate", self.victim.pid)
        attempts: tuple[Callable[[], object], ...] = (
            lambda: self.reader.request("terminate", self.victim.pid, backend_start=start),
            lambda: self.reader.execute(asked["action_id"]),
        )
        for call in attempts:
            try:
                call()
            except errors.InsufficientPrivilege:
                continue
            return "was allowed"
        self.reader.one(
            "SELECT lock_admin.record_denied('terminate', %s, %s, 'hammer', 'reader', 'sql')",
            self.victim.pid,
            start,
        )
        return "no_right"

    def other_statement(self) -> str:
        """The statement to cancel is over; the session runs another."""
        holder = self.victim.holder
        holder.pgconn.send_query(b"SELECT pg_sleep(0.15)")
        with contextlib.suppress(AssertionError):
            state = "SELECT state FROM lock_catalog.sessions WHERE pid = %s"
            poll(lambda: self.keeper.one(state, self.victim.pid)["state"] == "active", 0.1, interval=0.002)
        asked = self.keeper.request("cancel", self.victim.pid)
        while holder.pgconn.get_result() is not None:
            pass
        holder.pgconn.send_query(b"SELECT pg_sleep(0.05)")
        code = str(self.keeper.execute(asked["action_id"])["code"])
        while (result := holder.pgconn.get_result()) is not None:
            if result.status != psycopg.pq.ExecStatus.TUPLES_OK:
                return "hit: " + result.error_message.decode()
        return code

    def race(self) -> str:
        """It ends by itself at the very moment, and the next session comes."""
        asked = self.keeper.request("terminate", self.victim.pid)
        self._mean()
        ending = threading.Thread(target=self.victim.holder.close)
        ending.start()
        result = self.keeper.execute(asked["action_id"])
        ending.join()
        self.victim.end()
        self._renew()
        return str(result["code"] or result["outcome"])

    def right(self) -> str:
        """The session that is meant: it goes."""
        asked = self.keeper.request("terminate", self.victim.pid)
        self._mean()
        outcome = str(self.keeper.execute(asked["action_id"])["outcome"])
        self.victim.end()
        self._renew()
        return outcome

    def _mean(self) -> None:
        with self.lock:
            self.tally.meant.add(self.victim.name)


def _writable() -> bool:
    try:
        LAST_PID.write_text(LAST_PID.read_text())
    except OSError:
        return False
    return True


def prepare(dsn: str) -> None:
    """No limit for the hammer, and no need for a large wait."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("UPDATE lock_admin.setting SET value = '1000000' WHERE name = 'door.max_per_hour'")


def run(dsn: str, attempts: int, threads: int = 2) -> Tally:
    """Make so many attempts, shared by threads, each on a row of its own."""
    tally, lock = Tally(), threading.Lock()
    prepare(dsn)
    failures: list[BaseException] = []

    def share(row: int, count: int) -> None:
        try:
            hammer = Hammer(dsn, row, tally, lock)
            try:
                for number in range(count):
                    # every 50th is the right one: the door does open
                    kinds = [kind for kind in hammer.kinds if kind != "the right one"]
                    hammer.attempt("the right one" if number % 50 == 49 else kinds[number % len(kinds)])
            finally:
                hammer.close()
        except BaseException as error:
            failures.append(error)

    shares = [attempts // threads + (1 if number < attempts % threads else 0) for number in range(threads)]
    running = [threading.Thread(target=share, args=(row, count)) for row, count in enumerate(shares, start=1)]
    for one in running:
        one.start()
    for one in running:
        one.join()
    if failures:
        raise failures[0]
    return tally


def really_signalled(log_directory: Path) -> set[str]:
    """Names of the hammer's sessions that PostgreSQL's csv log says were terminated or cancelled."""
    names: set[str] = set()
    for file in log_directory.glob("*.csv"):
        with file.open(newline="", encoding="utf-8", errors="replace") as lines:
            for record in csv.reader(lines):
                # 13: application_name is the 23rd column, the SQLSTATE the 13th
                if len(record) > 22 and record[12] in SIGNALLED and record[22].startswith("victim-"):
                    if "due to user request" in record[13] and record[22].endswith("-waiter"):
                        continue  # the hammer's own client cancelled it
                    names.add(record[22])
    return names


def recorded(dsn: str) -> int:
    """Attempts on the record: requests, refusals of those rolled back, denials, one by one or counted."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        row = connection.execute(
            "SELECT count(DISTINCT a.action_id) + (SELECT coalesce(sum(d.attempts - d.stored), 0)"
            " FROM lock_admin.denied_count AS d) FROM lock_admin.action_log AS a"
        ).fetchone()
        assert row is not None
        return int(row[0])


def signals_by_door(dsn: str) -> set[str]:
    """Names of the sessions that the door says it signalled."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        rows = connection.execute(
            "SELECT target_application FROM lock_admin.action_log WHERE step = 'signal'"
        ).fetchall()
        return {row[0] for row in rows}
