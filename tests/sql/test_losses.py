"""Time lost by waiting: the roll-up of past hours says what the rows say, and that is what happened."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from tests.support import scenes
from tests.support.servers import Server

NOW = datetime.now(UTC)
BEGAN = (NOW - timedelta(days=6)).replace(minute=0, second=0, microsecond=0)
ROOTS = ("application", "user", "query", "database", "tenant")
Row = tuple[Any, ...]


def story(chance: random.Random) -> list[tuple[datetime, datetime | None]]:
    """The versions of one lock or episode: each begins when the one before it ends; the last may be open."""
    at = BEGAN + timedelta(seconds=chance.uniform(0, 6 * 86400 - 7200))
    versions: list[tuple[datetime, datetime | None]] = []
    for _ in range(chance.randint(1, 4)):
        # most are short, some cross hours, a few stay unchanged for days
        seconds = chance.choice((chance.uniform(0.05, 400), chance.uniform(600, 9000), 2.2 * 86400))
        end = at + timedelta(seconds=seconds)
        if end >= NOW:
            versions.append((at, None))
            break
        versions.append((at, end))
        at = end
    return versions


@pytest.fixture(scope="module")
def filled(server: Server, template_vault: str) -> str:
    """The name of a database with the vault and four hundred made-up stories; copied, never used itself."""
    name = server.create_database(template=template_vault)
    with psycopg.connect(server.dsn(name), autocommit=True) as connection:
        fill(connection)
    return name


@pytest.fixture
def vault(server: Server, filled: str) -> Iterator[psycopg.Connection[Any]]:
    """A database of its own with the stories."""
    name = server.create_database(template=filled)
    with psycopg.connect(server.dsn(name), autocommit=True) as connection:
        yield connection
    server.drop_database(name)


def fill(connection: psycopg.Connection[Any]) -> None:
    """Store the stories."""
    chance = random.Random(11)
    scenes.watched(connection)
    connection.execute("SET session_replication_role = replica")
    with connection.cursor() as cursor:
        for number in range(400):
            versions = story(chance)
            hub = number.to_bytes(32, "big")
            cursor.execute(
                "INSERT INTO lock_monitoring.blocking_session_h VALUES (%s, %s, %s, now(), 'test')",
                [hub, f"e{number}", bytes([number % 3]) * 32],
            )
            behind = [chance.randint(1, 5) for _ in versions]
            names = [f"app{chance.randint(0, 3)}" for _ in versions]
            for version, (begin, end) in enumerate(versions):
                last = end is not None and version == len(versions) - 1
                cursor.execute(
                    "INSERT INTO lock_monitoring.blocking_session_s (blocking_session_hk, load_date,"
                    " load_end_date, hash_diff, session_pid, application_name, user_name, database_name,"
                    " current_query, query_fingerprint, blocked_sessions_count, is_root, blocking_since,"
                    " record_source, node)"
                    " VALUES (%s, %s, %s, '', %s, %s, %s, 'd', %s, %s, %s, %s, %s, 'test', %s)",
                    [
                        hub, begin, end, 1000 + number, names[version], f"user{number % 5}",
                        f"query {number % 7}",
                        f"print{number % 7}", behind[version], number % 4 > 0, versions[0][0],
                        1000 + number,
                    ],
                )  # fmt: skip
                # those behind it; whom one waits for that is no root is not told here
                cursor.execute(
                    "INSERT INTO lock_monitoring.lock_activity_s (lock_activity_hk, load_date, load_end_date,"
                    " hash_diff, lock_type, lock_mode, lock_pid, lock_granted, wait_start, root_nodes,"
                    " record_source)"
                    " SELECT sha256(int4send(g)), %s, %s, '', 'advisory', 'ExclusiveLock', g, false, %s, %s,"
                    " 'test' FROM generate_series(%s::integer, %s::integer) AS g",
                    [
                        begin, end, begin, [1000 + number] if number % 4 > 0 else [],
                        10_000 + number * 100 + version * 10 + 1,
                        10_000 + number * 100 + version * 10 + behind[version],
                    ],
                )  # fmt: skip
                cursor.execute(
                    "INSERT INTO lock_monitoring.lock_activity_s (lock_activity_hk, load_date, load_end_date,"
                    " hash_diff, lock_type, lock_mode, schema_name, table_name, row_page, row_tuple,"
                    " lock_pid, lock_granted, wait_start, resolution_action, record_source)"
                    " VALUES (%s, %s, %s, '', 'tuple', 'ExclusiveLock', 'app', %s, %s, %s, 1, %s, %s, %s,"
                    " 'test')",
                    [
                        hub, begin, end, f"table{number % 6}", number % 2 or None,
                        number % 3 if number % 2 else None, number % 5 == 0, versions[0][0],
                        "granted" if last else None,
                    ],
                )  # fmt: skip


def ask(vault: psycopg.Connection[Any], dimension: str, since: datetime, until: datetime) -> list[Row]:
    """What the page asks, with moments cut to what floats can hold."""
    rows = vault.execute(
        "SELECT name, table_name, row_page, row_tuple, round(seconds::numeric, 3), episodes,"
        " round(longest::numeric, 3) FROM lock_engine.losses_between(%s, %s, %s, 1000)",
        [[dimension], since, until],
    ).fetchall()
    return sorted(rows, key=repr)


def periods(chance: random.Random) -> list[tuple[datetime, datetime]]:
    """Some on whole hours, some within one hour, some reaching into the present."""
    hours = timedelta(hours=1)
    found = [
        (BEGAN, BEGAN + timedelta(days=2)),
        (BEGAN - hours, NOW + hours),
        (BEGAN + 30 * hours, BEGAN + 31 * hours),
    ]
    for _ in range(6):
        since = BEGAN + timedelta(seconds=chance.uniform(0, 5 * 86400))
        found.append((since, min(NOW, since + timedelta(seconds=chance.choice((900, 7000, 200_000))))))
    return found


def rolled_up(vault: psycopg.Connection[Any]) -> int:
    """Roll up all that is due; how many hours."""
    row = vault.execute("SELECT lock_engine.roll_up_waits(interval '1 hour')").fetchone()
    assert row is not None
    return int(row[0])


@pytest.mark.parametrize("dimension", [*ROOTS, "relation", "row", "all", "length"])
def test_the_roll_up_says_what_the_rows_say(vault: psycopg.Connection[Any], dimension: str) -> None:
    asked = periods(random.Random(5))
    # what goes on counts until now: a moment for all questions
    vault.execute("DELETE FROM lock_monitoring.blocking_session_s WHERE load_end_date IS NULL")
    vault.execute("DELETE FROM lock_monitoring.lock_activity_s WHERE load_end_date IS NULL")
    before = [ask(vault, dimension, *period) for period in asked]
    assert rolled_up(vault) > 100
    assert rolled_up(vault) == 0
    after = [ask(vault, dimension, *period) for period in asked]
    assert any(before)
    for period, one, other in zip(asked, before, after, strict=True):
        assert [row[:4] + row[5:6] for row in one] == [row[:4] + row[5:6] for row in other], period
        for mine, theirs in zip(one, other, strict=True):
            assert abs(float(mine[4]) - float(theirs[4])) < 0.05, (period, mine, theirs)
            assert (mine[6] is None) == (theirs[6] is None)
            assert mine[6] is None or abs(float(mine[6]) - float(theirs[6])) < 0.05, (period, mine, theirs)


def test_the_rows_say_what_happened(vault: psycopg.Connection[Any]) -> None:
    since, until = BEGAN + timedelta(hours=20, minutes=7), BEGAN + timedelta(days=3, minutes=3)
    rows = vault.execute(
        "SELECT application_name, blocking_session_hk, load_date, coalesce(load_end_date, %s),"
        " blocked_sessions_count FROM lock_monitoring.blocking_session_s WHERE is_root",
        [NOW],
    ).fetchall()
    lost: dict[str, float] = {}
    for name, _, begin, end, behind in rows:
        within = (min(end, until) - max(begin, since)).total_seconds()
        if within > 0:
            lost[name] = lost.get(name, 0.0) + within * behind
    assert rolled_up(vault) > 0
    said = {row[0]: float(row[4]) for row in ask(vault, "application", since, until)}
    assert said.keys() == lost.keys()
    for name, seconds in lost.items():
        assert abs(said[name] - seconds) < 0.1


def test_hours_add_up_to_the_whole(vault: psycopg.Connection[Any]) -> None:
    since, until = BEGAN + timedelta(minutes=30), BEGAN + timedelta(days=2, minutes=10)
    question = "SELECT count(*), sum(seconds) FROM lock_engine.waiting_by_hour(%s, %s)"
    (whole,) = vault.execute(
        "SELECT seconds FROM lock_engine.losses_between('{all}', %s, %s)", [since, until]
    ).fetchone() or (None,)
    before = vault.execute(question, [since, until]).fetchone()
    rolled_up(vault)
    after = vault.execute(question, [since, until]).fetchone()
    assert before is not None and after is not None
    assert before[0] == after[0] == 49
    assert abs(before[1] - whole) < 0.05
    assert abs(after[1] - whole) < 0.05


def test_cleanup_forgets_hours_too(vault: psycopg.Connection[Any]) -> None:
    rolled_up(vault)
    vault.execute("SELECT * FROM lock_monitoring.cleanup_old_data(2)")
    oldest = vault.execute("SELECT min(hour) FROM lock_engine.wait_rollup").fetchone()
    assert oldest is not None
    assert oldest[0] >= NOW - timedelta(days=2)


def test_a_statement_is_shown_for_each_fingerprint(vault: psycopg.Connection[Any]) -> None:
    rolled_up(vault)
    rows = vault.execute(
        "SELECT * FROM lock_engine.sample_statements(ARRAY['print1', 'print3', 'nothing'], %s, %s)",
        [BEGAN, NOW],
    ).fetchall()
    assert dict(rows) == {"print1": "query 1", "print3": "query 3", "nothing": None}
