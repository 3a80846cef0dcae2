"""What the health line, the check, /readyz and the loop say while one part fails and the rest goes on."""

from __future__ import annotations

import logging
from dataclasses import replace

import psycopg
import pytest
from django.test import Client

from lockmon import doctor
from lockmon.monitor import watchdog
from lockmon.monitor.options import LoopOptions
from lockmon.views.heart import read_heart
from tests.conftest import Connect, OpenSession
from tests.support.loops import running_loop, until_watching
from tests.support.poll import poll
from tests.support.tangle import prepare

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "vault"])

QUICK = LoopOptions(tick=0.2, full_interval=0.4, skip_alarm=1.0)


def headline() -> str:
    return watchdog.examine("vault").headline


def broken(connection: psycopg.Connection[object], table: str) -> None:
    connection.execute(f"ALTER TABLE {table} ADD CONSTRAINT broken CHECK (false) NOT VALID")


def mended(connection: psycopg.Connection[object], table: str) -> None:
    connection.execute(f"ALTER TABLE {table} DROP CONSTRAINT broken")


def test_a_part_that_fails_is_named_everywhere_until_it_works(
    vault_db: str, connect: Connect, session: OpenSession
) -> None:
    prepare(vault_db)
    dba, table = connect(vault_db), "lock_monitoring.blocking_session_s"
    root, waiter = session(vault_db), session(vault_db)
    root.run("LOCK TABLE app.t0")
    waiter.start("SELECT * FROM app.t0")
    waiter.wait_blocked()
    broken(dba, table)
    with running_loop(QUICK):
        until_watching(vault_db)
        poll(lambda: headline().startswith("Watching, without episodes ("), 20, "the part is named")
        said = headline()
        assert 'violates check constraint "broken"' in said and " ago" in said
        heart = read_heart()
        assert not heart.ok and heart.sentence.startswith("Watching, without episodes (")
        (line,) = (found for found in doctor.heartbeat("vault") if found.name == "watching")
        assert line.state == doctor.FAILURE and "part_state" in line.remedy
        answer = Client().get("/readyz")
        assert (answer.status_code, answer.json()) == (
            200,
            {"ready": True, "watching": {"vault": True}, "without": {"vault": ["episodes"]}},
        )
        stored = dba.execute(
            "SELECT count(*) FROM lock_monitoring.lock_activity_s WHERE load_end_date IS NULL"
            " AND NOT lock_granted"
        ).fetchone()
        assert stored == (1,), "the locks are stored all the same"
        mended(dba, table)
        poll(lambda: headline().startswith("Watching. "), 20, "well again")
        assert read_heart().ok
        assert Client().get("/readyz").json()["without"] == {}


@pytest.mark.parametrize(
    ("part", "table"), [("heartbeat", "lock_engine.heartbeat"), ("coverage", "lock_engine.coverage")]
)
def test_the_loops_own_parts_are_named(
    vault_db: str, connect: Connect, caplog: pytest.LogCaptureFixture, part: str, table: str
) -> None:
    """Cycles that are stored meanwhile do not make it well."""
    dba = connect(vault_db)
    caplog.set_level(logging.INFO, "lockmon.monitor")
    with running_loop(replace(QUICK, coverage_period=1.0)):
        until_watching(vault_db)
        broken(dba, table)
        poll(lambda: f"without {part} (" in headline(), 30, "the part is named")
        assert not [one for one in caplog.messages if one.startswith("Well again")]
        mended(dba, table)
        poll(lambda: headline().startswith("Watching. "), 30, "well again")
        assert [one for one in caplog.messages if one.startswith(f"Well again: the {part}")]


def test_what_was_in_the_way_is_not_gone_while_nothing_is_stored(
    vault_db: str, connect: Connect, session: OpenSession
) -> None:
    """A row lock of somebody else's: no table lock names him, and nobody may say that he is gone."""
    with running_loop(QUICK):
        until_watching(vault_db)
        holder = session(vault_db)
        holder.run("SELECT * FROM lock_engine.cycle_state FOR UPDATE")
        blocked = session(vault_db)
        blocked.run("SELECT * FROM lock_engine.watch_state FOR UPDATE")
        poll(lambda: headline().startswith("Looking, but storing nothing"), 20, "the loop says so")
        said = headline()
        assert "is gone" not in said
        assert "canceling statement due to lock timeout" in said and 'relation "' in said
        holder.run("ROLLBACK")
        blocked.run("ROLLBACK")
        poll(lambda: headline().startswith("Watching. "), 20, "watching again")
