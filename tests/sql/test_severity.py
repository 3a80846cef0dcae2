"""Severity: the table of docs/severity.md by line, the order within a level, and one word in all places."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lockmon.calls import catalog, metrics
from tests.conftest import Connect, OpenSession
from tests.support import scenes
from tests.support.loops import ROOT
from tests.support.poll import poll
from tests.support.stored import Stored

RANKS = {"LOW": 1, "MEDIUM": 2, "HIGH": 3, "CRITICAL": 4}
Rule = tuple[str, int, float]


def rules() -> list[Rule]:
    """The lines of the document's table."""
    text = (Path(ROOT) / "docs" / "severity.md").read_text(encoding="utf-8")
    return [
        (severity, int(blocked), float(seconds))
        for severity, blocked, seconds in re.findall(
            r"^\| ([A-Z]+) \| (\d+) \| (\d+) \|$", text, re.MULTILINE
        )
    ]


def by_the_table(blocked: int, seconds: float) -> str | None:
    """The worst line that fits."""
    fits = [name for name, least, longest in rules() if blocked >= least and seconds >= longest]
    return max(fits, key=RANKS.__getitem__, default=None)


@pytest.fixture
def stored(vault_db: str, connect: Connect) -> Stored:
    """The vault, as the DBA reads it."""
    return Stored(connect(vault_db))


def score(stored: Stored, severity: str, blocked: int, longest: float, seconds: float) -> float:
    """The order of a blocker."""
    found = stored.value(
        "SELECT lock_engine.severity_score(%s, %s::int, %s::numeric, %s::numeric)",
        severity, blocked, longest, seconds,
    )  # fmt: skip
    return float(found)


def test_the_table_has_its_lines() -> None:
    assert len(rules()) == 8 and {name for name, _, _ in rules()} == set(RANKS)


@pytest.mark.parametrize("rule", rules())
def test_each_line_of_the_table_holds_at_its_edges(stored: Stored, rule: Rule) -> None:
    name, blocked, seconds = rule
    assert stored.value("SELECT lock_engine.severity(%s::int, %s::numeric)", blocked, seconds) == name
    for many in (blocked - 1, blocked, blocked + 1):
        for long in (seconds - 0.1, seconds, seconds + 0.1):
            found = stored.value("SELECT lock_engine.severity(%s::int, %s::numeric)", many, long)
            assert found == (by_the_table(many, long) if long >= 0 else found), (many, long)


def test_two_waiters_are_never_level_with_three_hundred_after_five_minutes(stored: Stored) -> None:
    for seconds in (300, 600, 3600, 86400):
        two, many = (
            stored.value("SELECT lock_engine.severity(%s::int, %s::numeric)", number, seconds)
            for number in (2, 300)
        )
        assert (two, many) == ("HIGH", "CRITICAL"), seconds


def test_a_crowd_stands_above_a_few_who_wait_a_little_longer(stored: Stored) -> None:
    crowd = stored.value("SELECT lock_engine.severity(89, 1.9)")
    few = stored.value("SELECT lock_engine.severity(3, 2)")
    assert score(stored, crowd, 89, 1.9, 100) > score(stored, few, 3, 2, 6)


def test_a_blocker_that_waits_itself_is_high_at_most(stored: Stored) -> None:
    question = "SELECT lock_engine.blocker_severity(%s::int, %s::numeric, %s)"
    for name, blocked, seconds in rules():
        assert stored.value(question, blocked, seconds, True) == name
        assert stored.value(question, blocked, seconds, False) == ("HIGH" if name == "CRITICAL" else name)
    assert stored.value(question, 0, 5, False) is None


def test_the_score_orders_within_a_level_and_never_leaves_it(stored: Stored) -> None:
    base = score(stored, "HIGH", 10, 100, 500)
    assert 300 < base < 400
    assert score(stored, "HIGH", 11, 100, 500) > base, "more wait"
    assert score(stored, "HIGH", 10, 100, 800) > base, "more time lost"
    assert score(stored, "HIGH", 10, 50, 500) > base, "they came faster"
    assert score(stored, "HIGH", 10**9, 1, 10**12) < 400 < score(stored, "CRITICAL", 3, 300, 300)
    assert stored.value("SELECT lock_engine.severity_score(NULL, 0, 10, 10)") is None
    # a beginning or a sum that is not known adds nothing
    assert stored.value("SELECT lock_engine.severity_score('LOW', 4, NULL, NULL)") > 100


def test_every_place_counts_one_incident_once(vault_db: str, stored: Stored, session: OpenSession) -> None:
    """A reader, DDL behind it, and a crowd behind the DDL: one CRITICAL root, and the DDL is HIGH."""
    scenes.make_tables(vault_db)
    root = session(vault_db, application_name="reader")
    root.run("SELECT count(*) FROM app.accounts")
    ddl = session(vault_db, application_name="migrate")
    ddl.start("ALTER TABLE app.accounts ADD COLUMN note text")
    ddl.wait_blocked()
    for _ in range(20):
        one = session(vault_db)
        one.start("SELECT count(*) FROM app.accounts")
        one.wait_blocked()

    def severities() -> dict[int, str | None]:
        with stored.connection.cursor() as cursor:
            return {node.pid: node.severity for node in catalog.waits_for(cursor) if node.blocked_total}

    poll(lambda: severities().get(root.pid) == "CRITICAL", deadline=60)
    assert severities() == {root.pid: "CRITICAL", ddl.pid: "HIGH"}
    run = stored.rows("SELECT * FROM lock_monitoring.run_lock_monitoring()")[0]
    assert "CRITICAL (1)" in run["monitoring_summary"]
    shown = stored.rows("SELECT * FROM lock_monitoring.blocking_sessions_dashboard")
    assert [(row["session_pid"], row["blocking_severity"]) for row in shown] == [
        (root.pid, "CRITICAL"),
        (ddl.pid, "HIGH"),
    ]
    assert [row["severity_score"] for row in shown] == sorted(
        (row["severity_score"] for row in shown), reverse=True
    )
    found = stored.rows("SELECT * FROM lock_monitoring.detect_blocking_sessions(NULL, 0)")
    assert [row["blocking_severity"] for row in found] == ["CRITICAL", "HIGH"]
    kept = stored.rows(
        "SELECT blocking_severity FROM lock_monitoring.blocking_session_s WHERE load_end_date IS NULL"
    )
    assert sorted(row["blocking_severity"] for row in kept) == ["CRITICAL", "HIGH"]
    with stored.connection.cursor() as cursor:
        assert metrics.roots(cursor) == [(("CRITICAL",), 1.0)]


def test_a_ring_is_its_own_root_in_the_dashboard_and_the_past(
    vault_db: str, stored: Stored, session: OpenSession
) -> None:
    """Its members may be CRITICAL; whoever merely waits in a queue is HIGH at most."""
    scenes.make_tables(vault_db)
    wanted = "UPDATE app.accounts SET balance = 0 WHERE id = %s"
    one, other, middle = (session(vault_db) for _ in range(3))
    for number, member in enumerate((one, other, middle), 1):
        member.run("SET deadlock_timeout = '10min'")
        member.run(wanted, [number])
    one.start(wanted, [2])
    one.wait_blocked()
    other.start(wanted, [1])
    other.wait_blocked()
    middle.start(wanted, [1])
    middle.wait_blocked()
    for _ in range(3):
        last = session(vault_db)
        last.start(wanted, [3])
        last.wait_blocked()
    stored.rows("SELECT * FROM lock_monitoring.run_lock_monitoring()")
    for table, column in (("lock_activity_s", "wait_start"), ("blocking_session_s", "blocking_since")):
        stored.connection.execute(
            f"UPDATE lock_monitoring.{table} SET {column} = {column} - interval '10 minutes'"
        )
    shown = stored.rows(
        "SELECT session_pid, blocking_severity FROM lock_monitoring.blocking_sessions_dashboard"
    )
    severity = {row["session_pid"]: row["blocking_severity"] for row in shown}
    ring = {one.pid: "CRITICAL", other.pid: "CRITICAL", middle.pid: "HIGH"}
    assert {pid: severity[pid] for pid in ring} == ring
    for at in ("NULL", "(SELECT max(load_date) FROM lock_monitoring.lock_activity_s)"):
        then = stored.rows(f"SELECT node, severity FROM lock_engine.behind_at({at})")
        found = {row["node"]: row["severity"] for row in then}
        assert {pid: found[pid] for pid in ring} == ring, at


@pytest.mark.parametrize(
    ("severity", "blocked", "longest", "seconds", "wanted"),
    [
        # sessions: the waiters, the minutes lost, those who came in a minute; 100 * n / (n + 1000) of them
        ("LOW", 4, None, None, 100.79),
        ("LOW", 4, 60, 0, 100.79),
        ("LOW", 4, 30, -60, 100.79),
        ("HIGH", 10, 120, 600, 302.44),
        ("MEDIUM", 1, 61, 60, 200.30),
        ("CRITICAL", 300, 300, 90_000, 465.03),
        ("CRITICAL", 10**9, 300, 10**12, 499.99),
        ("NEW", 4, 60, 0, 0.79),
        ("LOW", 0, 60, 0, None),
        ("LOW", None, 60, 0, None),
    ],
)
def test_the_score_is_what_its_document_says(
    stored: Stored,
    severity: str,
    blocked: int | None,
    longest: float | None,
    seconds: float | None,
    wanted: float | None,
) -> None:
    found = stored.value(
        "SELECT lock_engine.severity_score(%s, %s::int, %s::numeric, %s::numeric)",
        severity, blocked, longest, seconds,
    )  # fmt: skip
    assert (None if found is None else float(found)) == wanted
