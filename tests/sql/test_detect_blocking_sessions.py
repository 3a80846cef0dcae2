"""detect_blocking_sessions(): episodes, their order, and how they end."""

from __future__ import annotations

import psycopg
import pytest

from tests.conftest import Connect, OpenSession
from tests.support.poll import poll
from tests.support.sessions import Session
from tests.support.stored import Row, Stored
from tests.support.tangle import prepare


@pytest.fixture
def scene(vault_db: str) -> str:
    """A database with the vault and some tables."""
    prepare(vault_db)
    return vault_db


@pytest.fixture
def stored(scene: str, connect: Connect) -> Stored:
    """The vault, as the DBA reads it."""
    return Stored(connect(scene))


def detect(stored: Stored, seconds: int = 0) -> list[Row]:
    """detect_blocking_sessions() with a minimum duration."""
    return stored.rows("SELECT * FROM lock_monitoring.detect_blocking_sessions(NULL, %s)", seconds)


def waits(session: Session, statement: str = "UPDATE app.t0 SET n = 1 WHERE id = 1") -> Session:
    """Let a session wait."""
    session.start(statement)
    return session.wait_blocked()


def blockers(stored: Stored, count: int) -> list[Row]:
    """What is found once that many block."""
    return poll(lambda: found if len(found := detect(stored)) == count else None, 5, f"{count} blockers")


def test_nobody_blocks(stored: Stored) -> None:
    assert detect(stored) == []


def test_the_minimum_filters_what_is_returned_and_not_what_is_stored(
    scene: str, stored: Stored, session: OpenSession
) -> None:
    root = session(scene)
    root.run("UPDATE app.t0 SET n = 1 WHERE id = 1")
    waits(session(scene))
    assert poll(lambda: (detect(stored, 3600), stored.episodes(root.pid)), 5)[0] == []
    poll(lambda: [detect(stored, 3600), stored.episodes(root.pid)][1], 5, "the episode in the vault")
    (found,) = detect(stored)
    assert (found["blocking_session_id"], found["blocked_sessions_count"]) == (root.pid, 1)
    assert found["blocking_severity"] == "LOW" and "COMMIT or ROLLBACK" in found["recommended_action"]
    # The guide's default is half a minute.
    assert stored.rows("SELECT * FROM lock_monitoring.detect_blocking_sessions()") == []


def test_roots_come_first_then_the_worse(scene: str, stored: Stored, session: OpenSession) -> None:
    small, big = session(scene), session(scene)
    small.run("LOCK TABLE app.t1 IN ACCESS EXCLUSIVE MODE")
    big.run("UPDATE app.t0 SET n = 1 WHERE id = 1")
    waits(session(scene), "SELECT count(*) FROM app.t1")
    queue = [waits(session(scene)) for _ in range(5)]
    found = blockers(stored, 3)
    assert [row["blocking_session_id"] for row in found] == [big.pid, small.pid, queue[0].pid]
    assert [row["blocked_sessions_count"] for row in found] == [5, 1, 4]
    assert "waits itself" in found[2]["recommended_action"]


def test_duration_is_how_long_others_have_waited_not_how_old_the_query_is(
    scene: str, stored: Stored, session: OpenSession
) -> None:
    root = session(scene)
    root.run("UPDATE app.t0 SET n = 1 WHERE id = 1")
    poll(
        lambda: stored.value(
            "SELECT clock_timestamp() - xact_start > '1.5 s' FROM pg_stat_activity WHERE pid = %s", root.pid
        ),
        10,
        "an old transaction",
    )
    waits(session(scene))
    (found,) = blockers(stored, 1)
    assert found["blocking_duration_seconds"] == 0


def test_a_second_time_is_a_second_episode(scene: str, stored: Stored, session: OpenSession) -> None:
    root, waiter = session(scene), session(scene)
    for _ in range(2):
        root.run("UPDATE app.t0 SET n = 1 WHERE id = 1")
        waits(waiter)
        blockers(stored, 1)
        root.run("COMMIT")
        waiter.result()
        waiter.run("COMMIT")
        detect(stored)
    rows = stored.episodes(root.pid)
    assert len({bytes(row["blocking_session_hk"]) for row in rows}) == 2
    assert [row["ended_how"] for row in rows if row["ended_how"]] == ["released"] * 2
    assert all(row["ended_at"] == row["load_end_date"] for row in rows if row["ended_how"])
    stored.check_rules()


def test_an_episode_lasts_as_long_as_somebody_waits(scene: str, stored: Stored, session: OpenSession) -> None:
    """More waiters, other waiters: the same episode in a new version."""
    root = session(scene)
    root.run("LOCK TABLE app.t0 IN ACCESS EXCLUSIVE MODE")
    first = waits(session(scene), "SELECT 1 FROM app.t0")
    blockers(stored, 1)
    second = waits(session(scene), "SELECT 1 FROM app.t0")
    poll(lambda: detect(stored)[0]["blocked_sessions_count"] == 2, 5, "two waiters")
    stored.value("SELECT pg_cancel_backend(%s)", first.pid)
    with pytest.raises(psycopg.errors.QueryCanceled):
        first.result()
    poll(lambda: detect(stored)[0]["blocked_sessions_count"] == 1, 5, "one waiter")
    rows = stored.episodes(root.pid)
    assert len({bytes(row["blocking_session_hk"]) for row in rows}) == 1
    counts = [row["blocked_sessions_count"] for row in rows]
    assert counts[0] == 1 and max(counts) == 2 and counts[-1] == 1
    stored.value("SELECT pg_cancel_backend(%s)", second.pid)
    with pytest.raises(psycopg.errors.QueryCanceled):
        second.result()
    assert detect(stored) == []
    assert stored.episodes(root.pid)[-1]["ended_how"] == "waiters gone"
    stored.check_rules()


def test_a_blocker_that_dies_ends_its_episode(scene: str, stored: Stored, session: OpenSession) -> None:
    root, waiter = session(scene), session(scene)
    root.run("UPDATE app.t0 SET n = 1 WHERE id = 1")
    waits(waiter)
    blockers(stored, 1)
    root.close()
    waiter.result()
    stored.wait_gone(root.pid)
    assert detect(stored) == []
    assert stored.episodes(root.pid)[-1]["ended_how"] == "session gone"
    stored.check_rules()


@pytest.mark.parametrize("seconds", [-1, None])
def test_a_senseless_minimum_is_refused(stored: Stored, seconds: int | None) -> None:
    before = stored.fingerprint()
    with pytest.raises(
        psycopg.errors.InvalidParameterValue, match=r"must be 0 or more seconds, not (-1|NULL)\."
    ):
        stored.rows("SELECT * FROM lock_monitoring.detect_blocking_sessions(NULL, %s)", seconds)
    assert stored.fingerprint() == before
