"""What is advised after a real deadlock, and that the same work done as advised ends without one."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import psycopg
import pytest

from lockmon.monitor.deadlocks import DeadlockWatch
from tests.conftest import Connect
from tests.support.deadlock_keys import KEYS
from tests.support.deadlock_objects import OBJECTS
from tests.support.deadlock_play import FORGET, SETUP, Story, people, play, read
from tests.support.deadlock_references import REFERENCES
from tests.support.deadlock_rows import ROWS
from tests.support.deadlock_waits import WAITS
from tests.support.poll import poll

STORIES: dict[str, Story] = ROWS | REFERENCES | KEYS | OBJECTS | WAITS


@pytest.fixture
def monitor(vault_db: str, connect: Connect) -> psycopg.Connection[Any]:
    """A connection that has taken its first count; tables to deadlock over."""
    connection = connect(vault_db)
    connection.execute(SETUP)
    connection.execute("SELECT lock_engine.collect_deadlocks()")
    return connection


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_what_is_advised_ends_the_deadlock(
    vault_db: str, monitor: psycopg.Connection[Any], story: Story
) -> None:
    if monitor.info.server_version < story.since * 10000:
        pytest.skip(f"PostgreSQL {story.since} and later")
    monitor.execute(story.setup)
    watch = DeadlockWatch(monitor.cursor)
    steps = read(story.steps)
    with people(vault_db, steps) as sessions:
        assert play(sessions, steps, (lambda: None) if story.blind else watch.look) == story.times
    pids = sorted(one.pid for one in sessions.values())

    def told() -> list[str]:
        watch.look()
        monitor.execute("SELECT set_config('one_vault.counter_looked', '', false)")
        monitor.execute("SELECT lock_engine.collect_deadlocks()")
        rows = monitor.execute(
            "SELECT prevention_suggestion FROM lock_monitoring.deadlock_history"
            " WHERE involved_pids <@ %s::int[]",
            [pids],
        ).fetchall()
        return [advice for (advice,) in rows] if len(rows) == story.times else []

    for advice in poll(told, 20, "the deadlock's event"):
        assert [text for text in story.advice if text not in advice] == [], advice
        assert [text for text in story.unsaid if text in advice] == [], advice
        assert ("cannot be concluded" in advice) is not story.concluded, advice
    assert bool(story.advised) is story.concluded
    for way in filter(None, (story.advised, story.or_else)):
        if not story.kept:
            monitor.execute(FORGET)
            monitor.execute(SETUP)
            monitor.execute(story.setup)
        steps = read(way)
        with people(vault_db, steps) as sessions:
            assert play(sessions, steps, lambda: None) == 0, way


def test_the_guide_tells_each_story_and_how_many_end_in_advice() -> None:
    """The table in docs/deadlocks.md, and its counts."""
    guide = (Path(__file__).resolve().parents[2] / "docs" / "deadlocks.md").read_text(encoding="utf-8")
    section = guide.partition("## What is advised")[2].partition("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| ")][1:]
    assert {kind: set(names.split("; ")) for kind, _seen, _advice, names in rows} == {
        kind: {name for name, story in STORIES.items() if story.kind == kind}
        for kind in Counter(story.kind for story in STORIES.values())
    }
    advised = sum(story.concluded for story in STORIES.values())
    assert (
        f"{len(STORIES)} stories of {len(rows)} kinds: {advised} of {len(STORIES)} end in advice" in section
    )
    assert len(STORIES) >= 30 and len(rows) >= 10 and len(STORIES) - advised <= 6
