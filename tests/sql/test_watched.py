"""Watched time: what follows from the looks and the gaps that are stored, on a real vault."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest

from lockmon import watched
from tests.conftest import Connect

CYCLE = "SELECT * FROM lock_monitoring.run_lock_monitoring()"
FIRST = "before the first look"


@pytest.fixture
def vault(vault_db: str, connect: Connect) -> psycopg.Connection[Any]:
    """A connection to a vault that nobody has watched yet."""
    return connect(vault_db)


def now(vault: psycopg.Connection[Any]) -> datetime:
    row = vault.execute("SELECT clock_timestamp()").fetchone()
    assert row is not None
    moment: datetime = row[0]
    return moment


def looked(vault: psycopg.Connection[Any], first: datetime, last: datetime) -> None:
    """Let the first and the last look be these."""
    vault.execute("UPDATE lock_engine.watch_state SET first_look_at = %s, last_look_at = %s", [first, last])


def gap(vault: psycopg.Connection[Any], start: datetime, end: datetime, reason: str = "held up") -> None:
    vault.execute(
        "INSERT INTO lock_engine.coverage_gap (gap_start, gap_end, reason) VALUES (%s, %s, %s)",
        [start, end, reason],
    )


def minutes(base: datetime, *numbers: float) -> list[datetime]:
    return [base + timedelta(minutes=number) for number in numbers]


def test_a_vault_that_nobody_looked_at_was_never_watched(vault: psycopg.Connection[Any]) -> None:
    moment = now(vault)
    hour = timedelta(hours=1)
    with vault.cursor() as cursor:
        assert watched.spans(cursor, moment - hour, moment + hour) == []
        (only,) = watched.unwatched(cursor, moment - hour, moment + hour)
        assert only.reason == FIRST
        assert only.span_start == moment - hour
        assert moment <= only.span_end < moment + hour, "the future is neither watched nor unwatched"
        assert watched.share(cursor, moment - hour, moment + hour) == 0
        assert not watched.at(cursor, moment)


def test_watched_time_begins_with_the_first_stored_cycle(vault: psycopg.Connection[Any]) -> None:
    before = now(vault)
    vault.execute(CYCLE)
    after = now(vault)
    with vault.cursor() as cursor:
        (span,) = watched.spans(cursor, before - timedelta(days=1), before + timedelta(days=1))
        assert before <= span.span_start <= after <= span.span_end
        (only,) = watched.unwatched(cursor, before - timedelta(days=1), after)
        assert (only.reason, only.span_end) == (FIRST, span.span_start)
        assert watched.at(cursor, span.span_start)
        assert watched.at(cursor, after)
        assert not watched.at(cursor, before)
        assert not watched.at(cursor, after + timedelta(hours=1)), "nothing is known of the future"


def test_gaps_are_cut_out_merged_and_clipped(vault: psycopg.Connection[Any]) -> None:
    base = now(vault) - timedelta(hours=2)
    looked(vault, base, now(vault))
    m = minutes(base, *range(121))
    gap(vault, m[10], m[20], "first")
    gap(vault, m[15], m[30], "overlaps")
    gap(vault, m[30], m[31], "touches")
    gap(vault, m[60], m[70], "later")
    with vault.cursor() as cursor:
        found = watched.unwatched(cursor, m[0], m[65])
        assert [(g.span_start, g.span_end, g.reason) for g in found] == [
            (m[10], m[20], "first"),
            (m[20], m[30], "overlaps"),
            (m[30], m[31], "touches"),
            (m[60], m[65], "later"),
        ]
        assert [(s.span_start, s.span_end) for s in watched.spans(cursor, m[5], m[65])] == [
            (m[5], m[10]),
            (m[31], m[60]),
        ]
        assert watched.share(cursor, m[0], m[40]) == pytest.approx(19 / 40)
        assert watched.share(cursor, m[11], m[12]) == 0
        assert watched.share(cursor, m[12], m[12]) is None
        assert watched.share(cursor, m[12], m[11]) is None
        known = {n: watched.at(cursor, m[n]) for n in (9, 10, 11, 20, 25, 31, 65)}
        assert known == {9: True, 10: True, 11: False, 20: False, 25: False, 31: True, 65: False}
        period = watched.read(cursor, m[0], m[65])
    assert [(s.span_start, s.span_end) for s in period.spans] == [(m[0], m[10]), (m[31], m[60])]
    assert period.seconds == 39 * 60
    assert period.share == pytest.approx(39 / 65)
    assert period.within(m[5], m[61]) == 34 * 60
    assert [(g.span_start, g.span_end, g.reason) for g in period.missing(m[25], m[62])] == [
        (m[25], m[30], "overlaps"),
        (m[30], m[31], "touches"),
        (m[60], m[62], "later"),
    ]
    assert {n: period.at(m[n]) for n in known} == known


def test_what_has_passed_since_an_overdue_look_is_not_watched(vault: psycopg.Connection[Any]) -> None:
    moment = now(vault)
    looked(vault, moment - timedelta(hours=1), moment - timedelta(minutes=20))
    with vault.cursor() as cursor:
        (only,) = watched.unwatched(cursor, moment - timedelta(minutes=30), moment)
        assert (only.span_start, only.span_end) == (moment - timedelta(minutes=20), moment)
        assert only.reason == "nobody has looked since"


def test_cycles_from_cron_watch_up_to_the_setting_apart(vault: psycopg.Connection[Any]) -> None:
    vault.execute(CYCLE)
    vault.execute("UPDATE lock_admin.setting SET value = '60' WHERE name = 'watch.max_look_spacing_seconds'")
    moment = now(vault)
    looked(vault, moment - timedelta(hours=1), moment - timedelta(seconds=50))
    vault.execute(CYCLE)
    question = "SELECT gap_start, gap_end, reason FROM lock_engine.coverage_gap"
    assert vault.execute(question).fetchall() == []
    last = moment - timedelta(seconds=70)
    looked(vault, moment - timedelta(hours=1), last)
    # the server of the tests runs for some seconds only, and a server that did not run is a reason of its own
    vault.execute(CYCLE)
    ((start, end, reason),) = vault.execute(question).fetchall()
    assert start == last
    assert moment <= end <= now(vault)
    assert reason
    with vault.cursor() as cursor:
        assert not watched.at(cursor, moment - timedelta(seconds=30))
        assert watched.at(cursor, now(vault))


def test_periods_are_compared_only_where_enough_was_watched(vault: psycopg.Connection[Any]) -> None:
    base = now(vault) - timedelta(hours=2)
    looked(vault, base, now(vault))
    m = minutes(base, 0, 10, 13, 60)
    gap(vault, m[1], m[2])
    with vault.cursor() as cursor:
        hour = watched.read(cursor, m[0], m[3])
        assert watched.too_little(cursor, hour) == ""
        little = watched.read(cursor, m[0], m[2])
        assert "only 76.9 %" in watched.too_little(cursor, hour, little)
        vault.execute("UPDATE lock_admin.setting SET value = '0.7' WHERE name = 'compare.min_watched_share'")
        assert watched.too_little(cursor, hour, little) == ""
        never = watched.read(cursor, base - timedelta(hours=2), base - timedelta(hours=1))
        assert "nothing of" in watched.too_little(cursor, never)


def test_time_within_a_gap_is_nothing_at_all(vault: psycopg.Connection[Any]) -> None:
    """What differences of fractions leave (8.9e-16 s) was a sum, and a sum is waiting in a gap."""
    wrong = vault.execute(
        "WITH g AS MATERIALIZED ("
        "  SELECT n, to_timestamp(1796059500 + (n * 0.034211)::numeric(12, 6)) AS a,"
        "         to_timestamp(1796059600 + (n * 0.018273)::numeric(12, 6)) AS b,"
        "         to_timestamp(1796060600 + (n * 0.023457)::numeric(12, 6)) AS c"
        "    FROM generate_series(1, 3000) n),"
        " s AS (SELECT g.*, ARRAY[a - interval '61.713 s', b] AS starts, ARRAY[a, c] AS ends,"
        "              ARRAY[0, date_part('epoch', interval '61.713 s')] AS seconds FROM g)"
        " SELECT count(*) FILTER (WHERE lock_engine.watched_seconds(b, c, starts, ends, seconds) <> 0),"
        "        count(*) FILTER (WHERE lock_engine.watched_seconds(a, b, starts, ends, seconds)"
        "                               <> date_part('epoch', b - a)),"
        "        count(*) FILTER (WHERE lock_engine.watched_seconds("
        "          b + (c - b) / 3, c - (c - b) / 7, starts, ends, seconds) <> 0)"
        "   FROM s"
    ).fetchone()
    assert wrong == (0, 0, 0)
