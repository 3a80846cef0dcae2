"""The standing of a log record: proven, or only claimed because an ordinary user could have written it."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from lockmon.install import install
from tests.conftest import Connect
from tests.sql.test_log_parser import DETAIL, Ingest, csv, ingest

__all__ = ["ingest"]

PREFIX = "%m [%p] "


@pytest.fixture
def dba(vault_db: str, connect: Connect) -> psycopg.Connection[Any]:
    return connect(vault_db)


@pytest.mark.parametrize(
    ("log_format", "code", "context", "standing"),
    [
        ("csvlog", "40P01", None, "proven"),
        ("jsonlog", "00000", "", "proven"),
        ("csvlog", "40P01", 'while updating tuple (0,1) in relation "accounts"', "proven"),
        ("csvlog", "40P01", 'SQL statement "a"\nPL/pgSQL function f() line 3 at SQL statement', "proven"),
        ("csvlog", "40P01", "PL/pgSQL function raise_price() line 3 at SQL statement", "proven"),
        ("csvlog", None, None, "claimed"),
        ("stderr", None, None, "claimed"),
        ("stderr", "40P01", None, "claimed"),
        ("csvlog", "40P01", "PL/pgSQL function inline_code_block line 1 at RAISE", "claimed"),
        ("jsonlog", "40P01", "fonction PL/pgSQL inline_code_block, ligne 1 à RAISE", "claimed"),
        ("csvlog", "40P01", "在RAISE的第1行的PL/pgSQL函数inline_code_block", "claimed"),
        ("csvlog", "00000", 'PL/pgSQL function "x\ny"() line 1 at RAISE', "claimed"),
        ("csvlog", "00000", "PL/pgSQL function a() line 1 at RAISE\nSQL statement \"SELECT a()\"", "claimed"),
        ("csvlog", "00000", 'PL/Perl function "x"', "claimed"),
        ("csvlog", "00000", '"x\ny" PL/Perl 함수', "claimed"),
        ("csvlog", "40P01", "Traceback (most recent call last):\nPL/Python function \"x\"", "claimed"),
        ("csvlog", "40P01", "remote SQL command: SELECT 1", "claimed"),
        ("csvlog", "40P01", 'while executing query on unnamed dblink connection', "claimed"),
    ],
)  # fmt: skip
def test_what_proves_a_record(
    dba: psycopg.Connection[Any], log_format: str, code: str | None, context: str | None, standing: str
) -> None:
    row = dba.execute("SELECT lock_log.standing_of(%s, %s, %s)", [log_format, code, context]).fetchone()
    assert row == (standing,)


WAIT = "process 11 still waiting for ShareLock on transaction 733 after 1000.123 ms"
AT = "2026-11-22 03:12:41.123 UTC"


def as_stderr(severity: str, message: str, detail: str = "", statement: str = "") -> str:
    """The record that csv() makes of the same, as stderr has it with PREFIX."""
    lines = [f"{AT} [11] {severity}:  {message}"]
    for name, text in (("DETAIL", detail), ("STATEMENT", statement)):
        if text:
            lines.append(f"{AT} [11] {name}:  " + text.replace("\n", "\n\t"))
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    ("severity", "message", "code", "detail"),
    [("LOG", WAIT, "00000", ""), ("ERROR", "deadlock detected", "40P01", DETAIL)],
)
def test_a_claimed_record_is_as_the_proven_one_says_once_that_is_read(
    ingest: Ingest, severity: str, message: str, code: str, detail: str
) -> None:
    _, [claimed] = ingest(as_stderr(severity, message, detail, "UPDATE forged"), "stderr", PREFIX)
    assert (claimed["standing"], claimed["proof"]) == ("claimed", None)
    record = csv(message, severity=severity, code=code, detail=detail, statement="UPDATE a SET n = 1")
    _, [proven] = ingest(record + record)
    assert (proven["standing"], proven["proof"], proven["statement"]) == (
        "proven", "code", "UPDATE a SET n = 1",
    )  # fmt: skip
    _, [still] = ingest(as_stderr(severity, message, detail, "UPDATE forged"), "stderr", PREFIX)
    assert {k: v for k, v in still.items() if k != "stored_at"} == {
        k: v for k, v in proven.items() if k != "stored_at"
    }


def test_rows_of_an_earlier_release_count_unless_a_user_wrote_them(vault_db: str, connect: Connect) -> None:
    dba = connect(vault_db)
    brought = ("standing", "proof", "there_at", "ledger_id", "whole_seconds", "at_byte")
    dba.execute(f"ALTER TABLE lock_log.event {', '.join(f'DROP COLUMN {name} CASCADE' for name in brought)}")
    for number, context in enumerate([None, "PL/pgSQL function f() line 1 at RAISE"]):
        dba.execute(
            "INSERT INTO lock_log.event (record_hash, kind, logged_at, pid, context, source, stored_at)"
            " VALUES (%s, 'lock_timeout', '2026-11-22 03:12:41Z', %s, %s, 'server', now())",
            [str(number), number, context],
        )
    install(vault_db, again=True)
    rows = dba.execute("SELECT pid, standing, proof FROM lock_log.event ORDER BY pid").fetchall()
    assert rows == [(0, None, None), (1, "claimed", None)]
    dba.execute(
        "INSERT INTO lock_log.state (state_id, state, readable, since, last_read_at)"
        " VALUES (1, 'log readable', true, now(), now()) ON CONFLICT DO NOTHING"
    )
    between = "SELECT lock_log.lock_timeouts_between('2026-11-22', '2026-11-23')"
    assert dba.execute(between).fetchone() == (1,)
    dba.execute("DELETE FROM lock_log.event WHERE pid = 0")
    assert dba.execute(between).fetchone() == (None,), "there is one, perhaps: that is not none"
    assert dba.execute(
        "SELECT lock_log.claimed_between('lock_timeout', '2026-11-22', '2026-11-23')"
    ).fetchone() == (1,)
    dba.execute("DELETE FROM lock_log.event")
    assert dba.execute(between).fetchone() == (0,)
