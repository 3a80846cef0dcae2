"""Logs as collectors, containers and managed services give them: the same records whatever is around."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from rich.console import Console

from lockmon import vault
from lockmon.logfiles import LogFileError, opening
from lockmon.management.commands import lockmon_read_log
from lockmon.monitor import logs
from tests.app.test_log_files import RECORD
from tests.app.test_log_upload import sentences, upload
from tests.support.log_examples import (
    AZURE,
    BARE,
    CNPG,
    DOCKER_TIME,
    FIELDS,
    MESSAGES,
    PREFIX,
    STDERR,
    WAYS,
    WITHOUT_TIME,
    of_cloud,
    syslog,
)
from tests.support.people import browser, use_app_login

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "vault"])


@pytest.fixture
def imported(vault_db: str, tmp_path: Path) -> Callable[..., tuple[str, list[tuple[Any, ...]]]]:
    """Import a file into an empty vault: what the command says, and what is stored."""

    def do(content: str | bytes, *options: str) -> tuple[str, list[tuple[Any, ...]]]:
        path = tmp_path / "server.log"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        out = StringIO()
        with psycopg.connect(vault_db, autocommit=True) as connection:
            connection.execute("TRUNCATE lock_log.event, lock_log.source")
            call_command("lockmon_read_log", *options, str(path), stdout=out)
            rows = connection.execute(
                "SELECT kind, pid, date_trunc('second', logged_at AT TIME ZONE 'UTC')::text,"
                " detail -> 'edges' -> 1 ->> 'pid', statement, standing FROM lock_log.event"
            ).fetchall()
        return out.getvalue(), rows

    return do


def test_whatever_is_around_a_log_of_stderr_its_records_are_the_same(
    imported: Callable[..., tuple[str, list[tuple[Any, ...]]]],
) -> None:
    _, expected = imported(STDERR, "--prefix", PREFIX)
    assert [row[:3] for row in expected] == [("deadlock", 11, "2026-11-22 03:12:41")]
    assert "WHERE id = 1" in expected[0][4]
    for way, content in WAYS.items():
        said, found = imported(content, "--prefix", PREFIX)
        assert found == expected, (way, said)


def test_where_syslog_has_the_time_the_prefix_needs_none(
    imported: Callable[..., tuple[str, list[tuple[Any, ...]]]],
) -> None:
    _, expected = imported(STDERR, "--prefix", PREFIX)
    for way, content in WITHOUT_TIME.items():
        said, found = imported(content, "--time-zone", "UTC")
        assert found == expected, (way, said)
        _, zoned = imported(content, "--time-zone", "Asia/Kolkata")
        hour = "2026-11-21 21:42:41" if way == "syslog" else "2026-11-22 03:12:41"
        assert [row[2] for row in zoned] == [hour], way
    with_names = [line if line[0] == "\t" else f"app@shop {line}" for line in BARE]
    named = syslog("Nov 22 03:12:41 db1 postgres[11]: ", with_names)
    _, found = imported(named, "--time-zone", "UTC", "--prefix", "%q%u@%d ")
    assert found == expected
    with pytest.raises(
        CommandError, match="does not fit: of 6 lines that look like the beginning of a record 1 "
    ):
        imported(named, "--time-zone", "UTC")


def test_what_has_postgresql_s_fields_is_read_by_field(
    imported: Callable[..., tuple[str, list[tuple[Any, ...]]]],
) -> None:
    for way, content in FIELDS.items():
        said, found = imported(content)
        assert [row[:4] for row in found] == [("deadlock", 11, "2026-11-22 03:12:41", "12")], (way, said)
        assert found[0][5] == "proven", way
        if "azure" not in way and "analytics" not in way:
            assert found[0][4] == CNPG["query"], way


def test_an_export_that_lacks_the_context_proves_nothing(
    imported: Callable[..., tuple[str, list[tuple[Any, ...]]]],
) -> None:
    """A RAISE shows in the context alone."""
    said, found = imported(json.dumps({"records": [{"time": "2026-11-22T03:12:41Z", "properties": AZURE}]}))
    assert [(row[0], row[5]) for row in found] == [("deadlock", "claimed")], said


RDS_PREFIX = "%t:%r:%u@%d:[%p]:"
CLOUD_SQL_PREFIX = "%m [%p]: [%l-1] db=%d,user=%u "


def test_each_example_of_the_document_is_read(
    imported: Callable[..., tuple[str, list[tuple[Any, ...]]]],
) -> None:
    text = (Path(__file__).parents[2] / "docs" / "imported-logs.md").read_text()
    examples = re.findall(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert len(examples) == 9
    for kind, example in examples:
        prefix = RDS_PREFIX if ":[11]:" in example else PREFIX
        prefix = CLOUD_SQL_PREFIX if "db=shop" in example else prefix
        given = [] if kind == "syslog" else ["--prefix", prefix]
        said, found = imported(example, "--time-zone", "UTC", *given)
        assert [row[:3] for row in found] == [("waiting", 11, "2026-11-22 03:12:41")], (example, said)
        assert f"from {kind}" in said


def test_newest_first_is_refused(imported: Callable[..., tuple[str, list[tuple[Any, ...]]]]) -> None:
    entries = [of_cloud(text, 9 - n) for n, text in enumerate(MESSAGES)]
    with pytest.raises(CommandError, match="has its newest entries first"):
        imported(json.dumps(entries), "--prefix", PREFIX)


def unwrapped(content: bytes, newest: datetime) -> bytes:
    settings = opening.Settings(None, None, newest, lambda: ZoneInfo("Europe/Berlin"), False)
    return opening.open_log(BytesIO(content), "a test", settings).reread().read(10**6)


def test_the_year_that_syslog_leaves_out() -> None:
    """The last in which the line is not later than the file."""
    line = b"Dec 31 23:59:59 db1 postgres[11]: [3-1] LOG:  hello\n"
    assert unwrapped(line, datetime(2027, 1, 1, tzinfo=UTC)).startswith(
        b"2026-12-31 23:59:59.000 +01:00 [11] "
    )
    leap = b"Feb 29 03:12:41 db1 postgres[11]: [3-1] LOG:  hello\n"
    assert unwrapped(leap, datetime(2024, 3, 1, tzinfo=UTC)).startswith(b"2024-02-29 03:12:41.000 +01:00")


def test_a_line_that_syslog_cuts_in_two_is_one_again() -> None:
    long = "STATEMENT:  SELECT " + "1 + " * 260 + "1"
    cut = long.rfind(" ", 0, 900)
    parts = ["ERROR:  deadlock detected", long[:cut], long[cut:], "CONTEXT:  x"]
    lines = "".join(
        f"Nov 22 03:12:41 db1 postgres[11]: [3-{number}] {part}\n" for number, part in enumerate(parts, 1)
    )
    found = unwrapped(lines.encode(), datetime(2026, 11, 23, tzinfo=UTC)).decode()
    assert [line.split("] ", 1)[1] for line in found.splitlines()] == [parts[0], long, parts[3]]


def test_what_has_grown_is_read_on_whatever_is_around_it(vault_db: str, tmp_path: Path) -> None:
    records = [RECORD.format(second=second, pid=pid) for second, pid in ((1, 11), (2, 21), (3, 31))]

    def cri(text: str) -> bytes:
        return "".join(f"{DOCKER_TIME} stderr F {line}\n" for line in text.splitlines()).encode()

    path = tmp_path / "server.log"

    def read() -> Any:
        out = StringIO()
        call_command("lockmon_read_log", "--json", str(path), stdout=out)
        return json.loads(out.getvalue())[0]

    path.write_bytes(cri(records[0]))
    assert read()["records"] == 1
    path.write_bytes(cri(records[0]) + cri(records[1])[:-200])
    assert read()["records"] == 0
    path.write_bytes(cri(records[0] + records[1]))
    again = read()
    assert (again["records"], again["start"], again["came_as"]) == (1, len(records[0]), ["cri"])
    path.write_bytes(gzip.compress(cri("".join(records))))
    assert (read()["came_as"], read()["records"]) == (["gzip", "cri"], 0)


def test_several_files_in_one_call(vault_db: str, tmp_path: Path) -> None:
    paths = []
    for second in (1, 2, 3):
        path = tmp_path / f"server.{second}.csv.gz"
        path.write_bytes(gzip.compress(RECORD.format(second=second, pid=10 + second).encode()))
        paths.append(str(path))
    out = StringIO()
    call_command("lockmon_read_log", *paths, stdout=out)
    assert [line.split(": ")[1][:20] for line in out.getvalue().splitlines()] == ["1 new records about "] * 3


def test_the_page_takes_them_too(vault_db: str) -> None:
    use_app_login()
    [said] = sentences(upload(browser("dba"), FIELDS["cloudnativepg"].encode(), "cluster-1.json"))
    assert (
        said.startswith("Import of cluster-1.json (csvlog from json): 1 new record")
        and "1 new deadlock" in said
    )


def test_a_kind_can_be_named(vault_db: str, tmp_path: Path) -> None:
    path = tmp_path / "server.log"
    path.write_bytes(str(WAYS["syslog"]).encode())
    out = StringIO()
    call_command("lockmon_read_log", "--format", "syslog", "--prefix", PREFIX, str(path), stdout=out)
    assert "1 new records" in out.getvalue() and "stderr from syslog" in out.getvalue()
    with pytest.raises(CommandError, match="is no cri: it looks like syslog"):
        call_command("lockmon_read_log", "--format", "cri", str(path), stdout=out)


def test_what_nests_without_end_is_no_log() -> None:
    packed = STDERR.encode()
    for _ in range(9):
        packed = gzip.compress(packed)
    with pytest.raises(LogFileError, match="is not a PostgreSQL log"):
        unwrapped(packed, datetime(2026, 11, 23, tzinfo=UTC))


def test_a_bar_is_shown_on_a_terminal_alone(
    vault_db: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "[red]server.csv"
    others = RECORD.format(second=1, pid=11).replace("40P01", "22012").replace("deadlock detected", "x")
    path.write_text(others * (3 * 1024**2 // len(others)) + RECORD.format(second=2, pid=21))
    shown: list[tuple[int, int]] = []
    for terminal in (True, False):
        screen, out = StringIO(), StringIO()
        monkeypatch.setattr(
            lockmon_read_log,
            "Console",
            lambda stderr, file=screen, terminal=terminal: Console(
                file=file, force_terminal=terminal, width=100
            ),
        )
        call_command("lockmon_read_log", str(path), stdout=out)
        assert "[red]server.csv" in screen.getvalue() or not terminal
        assert screen.getvalue() == "" or terminal
        assert "server.csv" not in out.getvalue(), "what a script reads is the same"
    with psycopg.connect(vault_db, autocommit=True) as connection:
        connection.execute("TRUNCATE lock_log.source")
    logs.read_file(
        path,
        lambda: vault.admin_transaction("vault"),
        progress=lambda place, size: shown.append((place, size)),
    )
    assert len(shown) >= 3
    assert [place for place, _ in shown] == sorted(place for place, _ in shown)
    assert shown[-1] == (path.stat().st_size, path.stat().st_size)
