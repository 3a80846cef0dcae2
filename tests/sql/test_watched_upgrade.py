"""What a vault of an earlier release knows of its watched time: its half minutes of coverage, and no more."""

from __future__ import annotations

import itertools
from datetime import timedelta

import pytest

from lockmon import watched
from lockmon.install import install
from tests.conftest import Connect
from tests.support import releases
from tests.support.servers import Server


def test_a_living_site_keeps_what_it_knew_of_its_watched_time(
    server: Server, template_vault: str, connect: Connect
) -> None:
    dsn = server.dsn(releases.restore(server, "rc1"))
    dba = connect(dsn)
    covered = dba.execute(
        "SELECT period_start, period_end FROM lock_engine.coverage ORDER BY period_start"
    ).fetchall()
    known = dba.execute("SELECT gap_start, gap_end, reason FROM lock_engine.coverage_gap").fetchall()
    assert len(covered) > 2, "the site was watched with pauses"
    assert known
    install(dsn)
    first, last = covered[0][0], covered[-1][1]
    with dba.cursor() as cursor:
        period = watched.read(cursor, first - timedelta(days=1), last)
    assert period.gaps[0].reason == "before the first look"
    assert first - timedelta(seconds=5) < period.gaps[0].span_end <= first
    for start, end in covered:
        # a gap that was known may reach some milliseconds into it
        assert period.within(start, end) == pytest.approx((end - start).total_seconds(), abs=0.1)
    pauses = period.gaps[1:]
    for gap in pauses:
        assert gap.reason.startswith("recorded by an earlier release: ") or (
            (gap.span_start, gap.span_end, gap.reason) in known
        )
    assert {row[2] for row in known} <= {gap.reason for gap in pauses}, "what it knew, it still says"
    for (_, end), (start, _) in itertools.pairwise(covered):
        if start - end > timedelta(seconds=5):
            assert not period.at(end + (start - end) / 2)
    before = dba.execute("SELECT count(*) FROM lock_engine.coverage_gap").fetchone()
    install(dsn)
    assert dba.execute("SELECT count(*) FROM lock_engine.coverage_gap").fetchone() == before


def test_a_site_of_cron_lines_alone_does_not_know_when_it_looked(
    server: Server, template_vault: str, connect: Connect
) -> None:
    dsn = server.dsn(releases.restore(server, "rc1"))
    dba = connect(dsn)
    dba.execute("TRUNCATE lock_engine.coverage, lock_engine.coverage_gap; DELETE FROM lock_engine.heartbeat")
    row = dba.execute("SELECT min(load_date) FROM lock_monitoring.lock_activity_s").fetchone()
    assert row is not None
    first = row[0]
    install(dsn)
    with dba.cursor() as cursor:
        found = watched.unwatched(cursor, first - timedelta(days=1), first + timedelta(hours=1))
    assert [gap.reason for gap in found] == [
        "before the first look",
        "recorded by an earlier release: when it looked is not known",
    ]
    assert found[0].span_end <= first
