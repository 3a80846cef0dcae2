"""However many gaps there are, pages ask as often as with a few; a moment's own gap is all that is read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from django.core.cache import cache
from django.db import connections
from django.test.utils import CaptureQueriesContext

from lockmon.views import figures, past
from tests.app.test_unwatched_shown import api, get, moment
from tests.conftest import OpenSession
from tests.support import scenes
from tests.support.people import browser, use_app_login
from tests.support.watching import gap, watched_since

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "vault"])

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


def many_gaps(dsn: str, number: int) -> None:
    """So many gaps of ten seconds, one every four minutes, the last of them ten minutes ago."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("DELETE FROM lock_engine.coverage_gap")
        connection.execute(
            "INSERT INTO lock_engine.coverage_gap (gap_start, gap_end, reason)"
            " SELECT g.at, g.at + interval '10 s', 'many' FROM (SELECT"
            "  clock_timestamp() - interval '10 minutes' - n * interval '4 minutes' AS at"
            "  FROM generate_series(0, %s) n OFFSET 0) g",
            [number - 1],
        )


@pytest.fixture
def old_wait(vault_db: str, session: OpenSession) -> str:
    """A vault watched for 30 days, in which one session has waited for 25 hours."""
    use_app_login()
    scenes.make_tables(vault_db)
    scenes.row_queue(vault_db, session, 1)
    scenes.cycle(vault_db)
    watched_since(vault_db, timedelta(days=30))
    with psycopg.connect(vault_db, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute(
            "UPDATE lock_monitoring.lock_activity_s SET load_date = load_date - interval '25 hours'"
        )
    return vault_db


def test_the_questions_do_not_grow_with_the_gaps(old_wait: str) -> None:
    client = browser("superuser")
    now = datetime.now(UTC)

    def questions(number: int) -> dict[str, int]:
        many_gaps(old_wait, number)
        found = {}
        for path in (
            "/admin/",
            "/admin/monitor/time/",
            "/admin/monitor/insight/",
            "/admin/lockmon/lockactivity/",
        ):
            cache.clear()
            with CaptureQueriesContext(connections["vault"]) as asked:
                assert "ot watched" in get(client, path), path
            found[path] = len(asked)
        for draw in (figures.waiting_picture, figures.hourly_picture):
            with CaptureQueriesContext(connections["vault"]) as asked:
                draw(now - 24 * HOUR, now, 24)
            found[draw.__name__] = len(asked)
        return found

    assert questions(3) == questions(300)


def test_many_gaps_are_taken_out_of_the_sums_each_by_itself(old_wait: str) -> None:
    many_gaps(old_wait, 300)
    now = datetime.now(UTC)
    drawn = figures.waiting_picture(now - 24 * HOUR, now, 288)
    assert sum(slot.blocked for slot in drawn.slots) == pytest.approx(24 * 3600 - 300 * 10, abs=5)
    assert sum(slot.proven > 0 for slot in drawn.slots) > 200
    assert all(slot.waiting == pytest.approx(1, abs=0.05) for slot in drawn.slots if slot.watched > 0.5)


def test_waits_of_every_kind_are_found_by_one_question(old_wait: str) -> None:
    """One that is open, one that lasted longer than a day, and short ones that end within, at and after a
    gap."""
    start = datetime.now(UTC) - 5 * HOUR
    spans = [
        (start - 48 * HOUR, start + 10 * MINUTE),
        (start - 2 * MINUTE, start + 5 * MINUTE),
        (start - 2 * MINUTE, start),
        (start - 2 * MINUTE, start + 70 * MINUTE),
        (start + 60 * MINUTE, start + 70 * MINUTE),
    ]
    with psycopg.connect(old_wait, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO lock_engine.coverage_gap (gap_start, gap_end, reason) VALUES (%s, %s, 'one')",
            [start, start + HOUR],
        )
        connection.execute("SET session_replication_role = replica")
        for number, (begun, ended) in enumerate(spans):
            values = {
                "lock_activity_hk": scenes.hub(connection, "lock_activity", f"wait {number}"),
                "load_date": begun,
                "load_end_date": ended,
                "hash_diff": b"\x01",
                "record_source": "test",
                "lock_type": "relation",
                "lock_mode": "ShareLock",
                "lock_pid": 100 + number,
                "lock_granted": False,
                "wait_start": begun,
            }
            scenes.insert(connection, "lock_activity_s", values)
    drawn = figures.waiting_picture(start, start + HOUR, 1)
    assert len(drawn.slots) == 1 and drawn.slots[0].blocked == pytest.approx(0, abs=1)
    drawn = figures.waiting_picture(start - HOUR, start + 2 * HOUR, 3)
    assert [round(slot.proven, 2) for slot in drawn.slots] == [0, 2, 0], "the open one, and the fourth"
    told = [slot.blocked / 60 for slot in drawn.slots]
    assert told == [pytest.approx(60 + 60 + 2 + 2 + 2, abs=0.1), 0, pytest.approx(60 + 10 + 10, abs=0.1)]


def test_the_gap_of_a_moment_is_the_whole_gap_and_alone(old_wait: str) -> None:
    many_gaps(old_wait, 300)
    gap(old_wait, 40 * HOUR, HOUR, "the one before")
    gap(old_wait, 39.5 * HOUR, HOUR, "that overlaps it")
    with CaptureQueriesContext(connections["vault"]) as asked:
        found = past.unwatched_at(datetime.now(UTC) - 39.75 * HOUR)
    assert len(asked) == 2
    assert found is not None and found.reason == "the one before"
    assert found.span_end - found.span_start == HOUR
    found = past.unwatched_at(datetime.now(UTC) - 38.75 * HOUR)
    assert found is not None and found.reason == "that overlaps it"
    assert found.span_end - found.span_start == HOUR
    before = past.unwatched_at(datetime(2020, 1, 1, tzinfo=UTC))
    assert before is not None and before.reason == "before the first look"
    assert before.span_end < datetime.now(UTC) - timedelta(days=29)
    assert past.unwatched_at(datetime.now(UTC) - 20 * 24 * HOUR) is None
    to_come = past.unwatched_at(datetime.now(UTC) + HOUR)
    assert to_come is not None and "not come yet" in to_come.reason
    with psycopg.connect(old_wait, autocommit=True) as connection:
        connection.execute(
            "UPDATE lock_engine.watch_state SET last_look_at = last_look_at - interval '2 hours'"
        )
    still = past.unwatched_at(datetime.now(UTC) - HOUR)
    assert still is not None and still.reason == "nobody has looked since"
    assert (still.span_end - still.span_start).total_seconds() == pytest.approx(7200, abs=30)


def test_a_vault_that_was_never_watched_has_one_gap(vault_db: str) -> None:
    use_app_login()
    found = past.unwatched_at(datetime.now(UTC) - HOUR)
    assert found is not None and found.reason == "before the first look"
    said = api(f"/api/tree?at={moment(HOUR)}")
    assert (said["watched"], said["reason"]) == (False, "before the first look")
