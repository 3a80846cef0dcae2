"""A stderr log: records among lines of others, wherever a piece is cut, whatever the prefix leaves out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from tests.sql.test_log_parser import DETAIL, Ingest, csv, ingest
from tests.sql.test_log_reader import lock_timeout, one, taken
from tests.support import vaults
from tests.support.poll import poll
from tests.support.rings import Arena
from tests.support.servers import throwaway

__all__ = ["ingest"]

AT = "2026-11-22 03:12:41.123 UTC"


def line(label: str, text: str, pid: int = 11, at: str = AT) -> str:
    """A line as PostgreSQL writes it with the prefix "%m [%p] "; what goes on from it begins with a tab."""
    return f"{at} [{pid}] {label}:  " + text.replace("\n", "\n\t") + "\n"


DEADLOCK = (
    line("ERROR", "deadlock detected") + line("DETAIL", DETAIL) + line("STATEMENT", "UPDATE a SET n = 1")
)


def facts(rows: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [(row["kind"], row["pid"], row["object_text"], row["statement"]) for row in rows]


@pytest.fixture
def in_two(vault_db: str) -> Callable[[bytes, int], list[tuple[Any, ...]]]:
    """Feed a log in two pieces, as an import does, and say what is stored."""

    def feed(whole: bytes, cut: int) -> list[tuple[Any, ...]]:
        with psycopg.connect(vault_db, autocommit=True) as connection:
            connection.execute("TRUNCATE lock_log.event, lock_log.source")
            question = (
                "SELECT consumed FROM lock_log.ingest('cut', 'stderr', %s, %s, %s, '%%m [%%p] ', 'UTC')"
            )
            consumed = one(connection, question, 0, whole[:cut], False)
            assert consumed <= cut
            one(connection, question, consumed, whole[consumed:], True)
            rows = connection.execute(
                "SELECT kind, pid, detail IS NOT NULL, statement FROM lock_log.event ORDER BY logged_at, pid"
            ).fetchall()
        return list(rows)

    return feed


def test_a_piece_may_end_anywhere(in_two: Callable[[bytes, int], list[tuple[Any, ...]]]) -> None:
    """A deadlock cut between ERROR and DETAIL lost its participants, and the setting was blamed."""
    whole = (line("LOG", "one", 7) + DEADLOCK + line("LOG", "two", 8)).encode()
    wanted = [("deadlock", 11, True, "UPDATE a SET n = 1")]
    cuts = {*range(0, len(whole), 29), *(n + 1 for n, byte in enumerate(whole) if byte == 10)}
    for cut in sorted(cuts):
        assert in_two(whole, cut) == wanted, cut


def test_lines_of_several_processes_may_stand_between(ingest: Ingest) -> None:
    """Without a logging collector nobody puts them in order."""
    other = [
        line("LOG", "process 12 still waiting for ShareLock on transaction 5 after 1000.000 ms", 12),
        line("DETAIL", "Process holding the lock: 11. Wait queue: 12.", 12),
        line("STATEMENT", "SELECT 12", 12),
    ]
    one_, two, three = DEADLOCK.split(f"{AT} [11] ")[1:]
    mine = [f"{AT} [11] {part}" for part in (one_, two, three)]
    _, events = ingest("".join(a + b for a, b in zip(mine, other, strict=True)), "stderr", "%m [%p] ")
    assert facts(events) == [
        ("deadlock", 11, None, "UPDATE a SET n = 1"),
        ("waiting", 12, "transaction 5", "SELECT 12"),
    ]
    assert events[0]["detail"]["statements"]["12"] == "UPDATE b SET n = 2"
    assert events[1]["detail"] == {"holders": ["11"], "queue": ["12"]}


def test_a_line_of_no_record_is_in_none(ingest: Ingest) -> None:
    """The next lines of processes without a session, and of other programs, were glued into a statement."""
    _, events = ingest(
        DEADLOCK + "sh: 1: archive: not found\n\tat line 5\n" + line("LOG", "x", 5), "stderr", "%m [%p] "
    )
    assert facts(events) == [("deadlock", 11, None, "UPDATE a SET n = 1")]


def test_a_ring_is_a_ring_in_a_language_that_nobody_knows(ingest: Ingest) -> None:
    ring = (
        DETAIL.replace("waits for", "mbalo")
        .replace("blocked by process", "na")
        .replace("Process", "Mchakato")
    )
    text = line("KOSA", "mkwamo umegunduliwa") + line("UNDANI", ring) + line("KAULI", "UPDATE a SET n = 1")
    _, [event] = ingest(line("KUMBU", "x", 9) + text + line("KUMBU", "y", 9), "stderr", "%m [%p] ")
    assert (event["kind"], event["pid"], event["standing"]) == ("deadlock", 11, "claimed")
    assert [(edge["pid"], edge["blocker"]) for edge in event["detail"]["edges"]] == [(11, 12), (12, 11)]


def test_each_of_a_second_counts_and_once_however_it_is_read(ingest: Ingest) -> None:
    """%t has no milliseconds: several refusals of a process in a second were one, or two of two formats."""
    refused = 'could not obtain lock on relation "t"'
    text = "".join(f"2026-11-22 03:12:41 UTC [11] ERROR:  {refused}\n" for _ in range(3))
    assert ingest(text, "stderr", "%t [%p] ")[0][1] == 3
    taken_again, events = ingest(text, "stderr", "%t [%p] ")
    assert (taken_again[1], len(events)) == (0, 3)
    with_milliseconds = "".join(
        csv(refused, code="55P03", severity="ERROR", at=f"2026-11-22 03:12:41.{n}00 UTC")
        for n in (1, 4, 7, 9)
    )
    taken_fine, events = ingest(with_milliseconds)
    assert taken_fine[1] == 1, "the fourth is new"
    assert [row["logged_at"].microsecond for row in events] == [100000, 400000, 700000, 900000]
    assert {row["standing"] for row in events} == {"proven"}
    assert ingest(text, "stderr", "%t [%p] ")[0][1] == 0


@pytest.mark.parametrize(
    ("prefix", "head", "user", "database", "application"),
    [
        ("%t-%c-", "2026-11-22 03:12:41 UTC-6921abcd.b-", None, None, None),
        ("%m [%p] %u@%d ", f"{AT} [11] al@example.com@shop ", "al@example.com", "shop", None),
        ("%m [%p] %a ", f"{AT} [11] pgAdmin 4 - DB:shop ", None, None, "pgAdmin 4 - DB:shop"),
        (
            "%m [%p] [user=%u,db=%d,app=%a] ",
            f"{AT} [11] [user=app,db=shop,app=sidekiq 1.2.3 queues:x[0 of 50 busy]] ",
            "app",
            "shop",
            "sidekiq 1.2.3 queues:x[0 of 50 busy]",
        ),
        ("%m [%p] %b ", f"{AT} [11] client backend ", None, None, None),
        ("%m %h(%p) %i ", f"{AT} [local](11) UPDATE waiting ", None, None, None),
        ("%m [%p] %u %d %a", f"{AT} [11] app shop psql", "app", "shop", "psql"),
        ("%m [%p] %q%u@%d/%a", f"{AT} [11] app@shop/psql", "app", "shop", "psql"),
        ("%m:%r:%u@%d:[%p]:", f"{AT}:2001:db8::1(5432):app@shop:[11]:", "app", "shop", None),
    ],
)
def test_what_people_choose_may_hold_anything(
    ingest: Ingest, prefix: str, head: str, user: str | None, database: str | None, application: str | None
) -> None:
    (_, records, unreadable), [event] = ingest(DEADLOCK.replace(f"{AT} [11] ", head), "stderr", prefix)
    assert (records, unreadable) == (1, 0)
    assert (event["pid"], event["user_name"], event["database_name"]) == (11, user, database)
    assert event["application_name"] == application
    assert event["detail"]["statements"]["11"] == "UPDATE a SET n = 1"


def test_who_stood_in_the_way_of_nowait_is_told(ingest: Ingest) -> None:
    """18's log_lock_failures."""
    text = csv(
        "process 11 could not obtain ShareLock on transaction 753",
        detail="Process holding the lock: 26753, Wait queue: .",
    )
    _, [event] = ingest(text)
    assert (event["kind"], event["lock_mode"], event["transactionid"]) == ("lock_failure", "ShareLock", 753)
    assert event["waited_ms"] is None
    assert event["detail"] == {"holders": ["26753"], "queue": []}


def test_cancelled_autovacuum_and_conflicts_with_recovery_are_taken(ingest: Ingest) -> None:
    text = csv("canceling autovacuum task", code="57014", severity="ERROR", pid=12)
    text += csv("canceling statement due to conflict with recovery", code="40001", severity="ERROR", pid=13)
    text += csv("could not serialize access due to concurrent update", code="40001", severity="ERROR", pid=14)
    _, events = ingest(text)
    assert sorted((row["kind"], row["pid"]) for row in events) == [
        ("autovacuum_cancelled", 12),
        ("recovery_conflict", 13),
    ]


def test_a_good_record_before_a_bad_place_of_a_csvlog_is_kept(ingest: Ingest) -> None:
    """After a crash a block of zero bytes cost the record before it, too."""
    good = csv("deadlock detected", code="40P01", severity="ERROR", detail=DETAIL)
    for between in ("\x00" * 512 + "\n", "Killed\n"):
        (_, records, unreadable), events = ingest(csv("one") + good + between + csv("two"))
        assert (len(events), unreadable) == (1, 1)
    assert records == 0, "the second time it is known"


def test_the_end_of_a_quiet_log_is_taken_with_the_next_call_and_an_old_prefix_is_read_on() -> None:
    with throwaway({"log_destination": "stderr", "log_line_prefix": "%m [%p] "}) as alone:
        name = alone.create_database()
        vaults.install(alone.dsn(name))
        with psycopg.connect(alone.dsn(name), autocommit=True) as monitor:
            monitor.execute("SELECT lock_engine.collect_deadlocks()")
            arena = Arena(alone.dsn(name), 1, 2)
            pid = lock_timeout(monitor, arena)
            poll(lambda: taken(monitor, pid) == 1, 10, "the last record")
            pid = lock_timeout(monitor, arena)
            monitor.execute("ALTER SYSTEM SET log_line_prefix = '%t <%p> %q%u@%d '")
            monitor.execute("SELECT pg_reload_conf()")
            poll(lambda: one(monitor, "SHOW log_line_prefix").startswith("%t"), 10, "the new prefix")
            poll(lambda: taken(monitor, pid) == 2, 10, "the record with the old prefix")
            poll(lambda: lock_timeout(monitor, arena) and taken(monitor, pid) > 2, 20, "one with the new")
            assert one(monitor, "SELECT readable FROM lock_log.status()")
            arena.close()


def test_a_label_right_behind_the_time_is_a_label(ingest: Ingest) -> None:
    """Of a process without a session, where %q stands behind the time."""
    text = f"6921abcd.c:{AT}ERROR:  canceling autovacuum task\n"
    (_, records, unreadable), [event] = ingest(text, "stderr", "%c:%m%q | ")
    assert (records, unreadable, event["kind"], event["pid"]) == (1, 0, "autovacuum_cancelled", 12)


@pytest.mark.parametrize("prefix", ["%m [%p] ", "%m [%p] %q%a"])
def test_labels_of_turkish_lack_the_blanks(ingest: Ingest, prefix: str) -> None:
    """Its catalog has "AYRINTI:" where others have two blanks behind the colon: ring, context and statement
    were lost."""
    text = (
        line("HATA", "ç\u0131kmaz (deadlock) durumu saptand\u0131")
        + line("AYRINTI", DETAIL).replace("AYRINTI:  ", "AYRINTI:")
        + line("İPUCU", "Sorgu").replace("İPUCU:  ", "İPUCU:")
        + line("ORTAM", 'while updating tuple (0,1) in relation "a"').replace("ORTAM:  ", "ORTAM:")
        + line("KOMUT", "UPDATE a SET n = 1").replace("KOMUT:  ", "KOMUT: ")
    )
    (_, records, unreadable), [event] = ingest(text, "stderr", prefix)
    assert (records, unreadable) == (1, 0)
    assert event["context"] == 'while updating tuple (0,1) in relation "a"'
    assert event["statement"] == "UPDATE a SET n = 1"
    assert [(edge["pid"], edge["blocker"]) for edge in event["detail"]["edges"]] == [(11, 12), (12, 11)]
    assert event["excerpt"].startswith("HATA: ç\u0131kmaz")


def test_a_word_within_itself_is_one_word(vault_db: str) -> None:
    """Each was taken out and left the next: one statement kept the reader for minutes."""
    word = "deadlock detected"
    depth = 8_000
    nested = line("LOG", f"statement: SELECT '{word[:9] * depth}{word}{word[9:] * depth}'", 7)
    with psycopg.connect(vault_db, autocommit=True) as connection:
        connection.execute("SET statement_timeout = '30s'")
        question = "SELECT records FROM lock_log.ingest('nested', 'stderr', 0, %s, true, '%%m [%%p] ')"
        assert one(connection, question, nested.encode()) == 0


def test_a_log_may_hold_what_stands_for_a_word(ingest: Ingest) -> None:
    """Characters that nobody types are text like any other, in a record and before one."""
    before = line("LOG", "statement: SELECT '" + "\x02" * 500_000 + "'", 7)
    wait = "process 11 still waiting for ShareLock on transaction 733 after 1000.123 ms"
    text = before + line("LOG", wait) + line("STATEMENT", "SELECT '\x02Share\x02Lock'") + before
    (_, records, unreadable), [event] = ingest(text, "stderr", "%m [%p] ")
    assert (records, unreadable, event["kind"]) == (1, 0, "waiting")
    assert event["statement"] == "SELECT '\x02Share\x02Lock'"
