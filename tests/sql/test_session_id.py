"""A session is named as in the server log (%c): otherwise no record of the log is known to be of it."""

from __future__ import annotations

import csv

import pytest

from tests.conftest import Connect, OpenSession
from tests.support.poll import poll
from tests.support.servers import Server
from tests.support.sessions import Session
from tests.support.stored import Stored

SESSIONS = 24


@pytest.fixture
def stored(vault_db: str, connect: Connect) -> Stored:
    return Stored(connect(vault_db))


def logged_sessions(server: Server, mark: str) -> dict[int, str]:
    """What csvlog calls the sessions that logged a text with this mark, by pid."""
    found: dict[int, str] = {}
    for file in sorted(server.log_directory.glob("*.csv")):
        with file.open(newline="", encoding="utf-8", errors="replace") as lines:
            for record in csv.reader(lines):
                if len(record) > 13 and record[13] == mark:
                    found[int(record[3])] = record[5]
    return found


def test_the_session_s_name_is_that_of_the_log(
    server: Server, vault_db: str, stored: Stored, session: OpenSession
) -> None:
    mark = f"the session is named in {vault_db.split('dbname=')[-1].split()[0]}"
    half = (
        "SELECT date_part('microseconds', backend_start)::bigint %% 1000000 >= 500000 FROM pg_stat_activity"
    )
    sessions: list[Session] = []
    halves: set[bool] = set()

    def both_halves() -> bool:
        """Rounding would be seen in the second half of a second."""
        sessions.append(session(vault_db))
        halves.add(stored.value(f"{half} WHERE pid = %s", sessions[-1].pid))
        return len(sessions) >= SESSIONS and len(halves) == 2

    poll(both_halves, what="sessions of both halves of a second")
    for number, one in enumerate(sessions):
        one.run(f"SELECT pg_advisory_xact_lock_shared(18, {number})")
        one.run(f"DO $$ BEGIN RAISE LOG '{mark}'; END $$")
    stored.capture()
    named = poll(
        lambda: found if len(found := logged_sessions(server, mark)) == len(sessions) else None,
        what="the log",
    )
    held = (
        "SELECT DISTINCT lock_pid, session_id FROM lock_monitoring.lock_activity_s WHERE lock_pid = ANY(%s)"
    )
    pids = [one.pid for one in sessions]
    assert {row["lock_pid"]: row["session_id"] for row in stored.rows(held, pids)} == named
