"""However much is kept aside, it moves when the lock has gone: piece by piece, each a short transaction."""

from __future__ import annotations

from typing import Any

import pytest

from lockmon.monitor.options import LoopOptions
from tests.conftest import Connect, OpenSession
from tests.support.aside import ACME, BOLT, LOCKS, aside, lasting, of, two_tenants
from tests.support.loops import running_loop
from tests.support.poll import poll
from tests.support.sessions import Session
from tests.support.stored import Stored

BACKLOG = 5000
AT_ONCE = 1000
"""Hubs and links that one transaction moves (lock_engine.place_around)."""


@pytest.fixture
def stored(vault_db: str, connect: Connect) -> Stored:
    """A vault with two tenants, as the DBA reads it."""
    two_tenants(vault_db)
    return Stored(connect(vault_db))


def backlog(stored: Stored, dsn: str, session: OpenSession, size: int) -> tuple[Session, Session]:
    """So many locks of ACME that are aside: who holds them, and who holds the tenant."""
    holder, locker = session(dsn, application_name="tenant=ACME"), session(dsn)
    holder.run(f"SELECT count(pg_advisory_xact_lock(g)) FROM generate_series(1, {size}) g")
    locker.run(LOCKS["row for update"])
    stored.capture()
    assert hubs_aside(stored) >= size
    return holder, locker


def hubs_aside(stored: Stored) -> int:
    """How many hubs of locks are aside."""
    return int(stored.value("SELECT count(*) FROM lock_engine.aside_lock_activity_h"))


def movable(stored: Stored) -> list[Any]:
    """Tenants of which more rows can move."""
    return [
        row["tenant_hk"]
        for row in stored.rows("SELECT tenant_hk FROM lock_engine.aside_tenant WHERE movable")
    ]


def test_a_backlog_moves_piece_by_piece_with_its_own_times(
    stored: Stored, vault_db: str, session: OpenSession
) -> None:
    holder, locker = backlog(stored, vault_db, session, BACKLOG)
    before = lasting(of(stored, holder.pid))
    assert movable(stored) == []
    locker.run("COMMIT")
    stored.cycle()
    left = hubs_aside(stored)
    assert BACKLOG - AT_ONCE <= left < BACKLOG
    assert movable(stored) == [ACME]
    pieces = 0
    while stored.value("SELECT lock_engine.place_rows()"):
        pieces += 1
        # no more at once, or the tenant's row would be held for longer
        assert left - AT_ONCE <= hubs_aside(stored) < left
        left = hubs_aside(stored)
        assert pieces < 10
    assert pieces >= BACKLOG // AT_ONCE - 2
    assert aside(stored) == 0 and stored.rows("SELECT * FROM lock_engine.aside_tenant") == []
    assert lasting(of(stored, holder.pid))[: len(before)] == before, "not with its own times"
    stored.check_rules()


def test_a_tenant_that_is_locked_again_stops_its_own_rows_alone(
    stored: Stored, vault_db: str, session: OpenSession
) -> None:
    _, locker = backlog(stored, vault_db, session, 1500)
    locker.run("COMMIT")
    stored.cycle()
    assert movable(stored) == [ACME]
    locker.run(LOCKS["row for update"])
    left = hubs_aside(stored)
    assert stored.value("SELECT lock_engine.place_rows()") == 0
    assert hubs_aside(stored) == left and movable(stored) == []
    locker.run("COMMIT")
    stored.cycle()
    assert aside(stored) == 0
    stored.check_rules()


def test_links_are_moved_with_the_rest_and_those_of_a_locked_end_wait(
    stored: Stored, vault_db: str, session: OpenSession
) -> None:
    """A link has a tenant's row to ask for, too, and counts among what moves at once."""
    _, locker = backlog(stored, vault_db, session, 10)
    bolt = session(vault_db)
    bolt.run("SELECT * FROM auth.tenant_h WHERE tenant_bk = 'BOLT' FOR UPDATE")
    stored.connection.execute(
        "INSERT INTO lock_engine.aside_blocking_session_h"
        " (blocking_session_hk, blocking_session_bk, tenant_hk, load_date, record_source)"
        " VALUES ('\\x01', '1|1|here', %s, now(), 't'), ('\\x02', '1|1|there', %s, now(), 't')",
        [ACME, BOLT],
    )
    stored.connection.execute(
        "INSERT INTO lock_engine.aside_lock_blocking_l"
        " (link_lock_blocking_hk, blocking_session_hk, lock_activity_hk, tenant_hk, load_date, record_source)"
        " SELECT sha256(h.lock_activity_hk || int4send(g)),"
        " CASE g WHEN 1 THEN '\\x02' ELSE '\\x01' END::bytea, h.lock_activity_hk, %s, now(), 't'"
        " FROM lock_engine.aside_lock_activity_h h CROSS JOIN generate_series(1, 200) g",
        [ACME],
    )
    stored.value("SELECT lock_engine.note_aside('a test')")
    links = int(stored.value("SELECT count(*) FROM lock_engine.aside_lock_blocking_l"))
    assert links >= 2000
    locker.run("COMMIT")
    calls = 0
    while stored.value("SELECT lock_engine.place_rows()"):
        calls += 1
        assert calls < 10
        moved = links - int(stored.value("SELECT count(*) FROM lock_engine.aside_lock_blocking_l"))
        assert moved <= calls * AT_ONCE
    waiting = stored.rows("SELECT DISTINCT blocking_session_hk FROM lock_engine.aside_lock_blocking_l")
    assert [bytes(row["blocking_session_hk"]) for row in waiting] == [b"\x02"]
    bolt.run("COMMIT")
    assert stored.value("SELECT lock_engine.place_rows()") == 0
    assert aside(stored) == 0


@pytest.mark.django_db(transaction=True, databases=["default", "vault"])
def test_the_loop_goes_on_until_nothing_is_left(
    stored: Stored, vault_db: str, session: OpenSession, connect: Connect
) -> None:
    """One cycle in ten minutes: what follows it is moved without another."""
    _, locker = backlog(stored, vault_db, session, BACKLOG)
    locker.run("COMMIT")
    seen: list[int] = []

    def gone() -> bool:
        seen.append(hubs_aside(stored))
        return seen[-1] == 0

    with running_loop(LoopOptions(tick=0.2, full_interval=600.0)):
        poll(gone, 60, "the backlog's end")
    assert [x for x in seen if x] == sorted((x for x in seen if x), reverse=True)
    assert stored.rows("SELECT * FROM lock_engine.aside_tenant") == []
    stored.check_rules()
