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

from lockmon.logfiles import LogFileError, opening
from tests.app.test_log_files import RECORD
from tests.app.test_log_upload import sentences, upload
from tests.support.people import browser, use_app_login

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "vault"])

PREFIX = "%m [%p] "
HEAD = "2026-11-22 03:12:41.500 UTC [11] "
STDERR = """\
HEADERROR:  deadlock detected
HEADDETAIL:  Process 11 waits for ShareLock on transaction 5; blocked by process 12.
\tProcess 12 waits for ShareLock on transaction 6; blocked by process 11.
\tProcess 11: UPDATE a SET n = 1
\t  WHERE id = 1
\tProcess 12: UPDATE b SET n = 2
HEADHINT:  See server log for query details.
HEADCONTEXT:  while updating tuple (0,1) in relation "a"
HEADSTATEMENT:  UPDATE a SET n = 1
\t  WHERE id = 1
""".replace("HEAD", HEAD)
LINES = STDERR.splitlines()
MESSAGES = [LINES[0], "\n".join(LINES[1:6]), LINES[6], LINES[7], "\n".join(LINES[8:])]
BARE = [line.replace(HEAD, "") for line in LINES]
OTHERS = "2026-11-22 03:12:41.200 UTC [77] LOG:  checkpoint starting: time"
DOCKER_TIME = "2026-11-22T03:12:41.500123456Z"
RFC5424 = "<134>1 2026-11-22T03:12:41.500Z db1 postgres 11 - - "
CNPG: dict[str, Any] = {
    "log_time": "2026-11-22 03:12:41.500 UTC",
    "user_name": "app",
    "database_name": "shop",
    "process_id": "11",
    "connection_from": "10.0.0.7:5000",
    "session_id": "6921.b",
    "session_line_num": "3",
    "command_tag": "UPDATE",
    "session_start_time": "2026-11-22 03:00:00 UTC",
    "virtual_transaction_id": "3/4",
    "transaction_id": "6",
    "error_severity": "ERROR",
    "sql_state_code": "40P01",
    "message": "deadlock detected",
    "detail": "\n".join(line.removeprefix("DETAIL:  ").removeprefix("\t") for line in BARE[1:6]),
    "hint": "See server log for query details.",
    "internal_query": "",
    "internal_query_pos": "",
    "context": 'while updating tuple (0,1) in relation "a"',
    "query": "UPDATE a SET n = 1\n  WHERE id = 1",
    "query_pos": "",
    "location": "",
    "application_name": "api",
    "backend_type": "client backend",
    "query_id": "0",
}
JSONLOG = {
    "timestamp": CNPG["log_time"],
    "user": "app",
    "dbname": "shop",
    "pid": 11,
    "error_severity": "ERROR",
    "state_code": "40P01",
    "message": "deadlock detected",
    "detail": CNPG["detail"],
    "context": CNPG["context"],
    "statement": CNPG["query"],
    "backend_type": "client backend",
}
AZURE = {
    "processId": 11,
    "errorLevel": "ERROR",
    "sqlerrcode": "40P01",
    "message": "2026-11-22 03:12:41 UTC-69210a.b-ERROR:  deadlock detected",
    "detail": CNPG["detail"],
}


def many(*entries: Any) -> str:
    return "".join(json.dumps(entry) + "\n" for entry in entries)


def of_cloud(text: str, number: int = 0) -> dict[str, Any]:
    return {
        "insertId": f"s=1;i={number}",
        "textPayload": text,
        "timestamp": f"2026-11-22T03:12:41.5000{number:02}Z",
        "severity": "ERROR",
        "logName": "projects/shop/logs/cloudsql.googleapis.com%2Fpostgres.log",
        "resource": {"type": "cloudsql_database", "labels": {"database_id": "shop:db1"}},
    }


def of_cloudwatch(text: str, number: int = 0) -> dict[str, Any]:
    return {"timestamp": 1795317161500 + number, "message": text, "eventId": str(number)}


def export(entries: list[dict[bytes, bytes]]) -> bytes:
    """As journalctl -o export writes them."""
    found = b""
    for number, entry in enumerate(entries):
        found += b"__CURSOR=s=%d\n__REALTIME_TIMESTAMP=1795317161500000\n" % number
        for name, value in entry.items():
            if b"\n" in value:
                found += name + b"\n" + len(value).to_bytes(8, "little") + value + b"\n"
            else:
                found += name + b"=" + value + b"\n"
        found += b"\n"
    return found


def journal(texts: list[str]) -> bytes:
    mine = {b"_PID": b"11", b"SYSLOG_IDENTIFIER": b"postgres"}
    other: dict[bytes, bytes] = {
        b"MESSAGE": b"Started x.",
        b"_PID": b"1",
        b"SYSLOG_IDENTIFIER": b"systemd",
    }
    return export([other, *({b"MESSAGE": text.encode(), **mine} for text in texts)])


def syslog(head: str, lines: list[str]) -> str:
    """As PostgreSQL gives a record to syslog, with other processes' lines before and within."""
    found = [f"{head}[3-{number}] {line}".replace("\t", "#011") for number, line in enumerate(lines, start=1)]
    own = "" if lines == BARE or "@" in lines[0] else "2026-11-22 03:12:41.200 UTC [12] "
    found.insert(
        2, f"{head.replace('postgres[11]', 'postgres[12]').replace(' 11 ', ' 12 ')}[9-1] {own}LOG:  x"
    )
    return "\n".join([head.replace("postgres", "systemd") + "Started x.", *found, ""])


WAYS: dict[str, str | bytes] = {
    "as it is": STDERR,
    "gzip": gzip.compress(STDERR.encode()),
    "two gzip members": gzip.compress(STDERR[:300].encode()) + gzip.compress(STDERR[300:].encode()),
    "compose": "".join(f"db_1   | {line}\nweb_1  | hello, world\n" for line in LINES),
    "compose, coloured": "".join(f"\x1b[36mdb-1  | \x1b[0m{line}\n" for line in LINES),
    "cri": "".join(f"{DOCKER_TIME} stderr F {line}\n" for line in LINES),
    "cri, in parts": "".join(
        f"{DOCKER_TIME} stderr P {line[:40]}\n{DOCKER_TIME} stderr F {line[40:]}\n" for line in LINES
    ),
    "docker logs -t": "".join(f"{DOCKER_TIME} {line}\n" for line in LINES),
    "docker's files": many(
        *({"log": line + "\n", "stream": "stderr", "time": DOCKER_TIME} for line in LINES)
    ),
    "s3": "".join(f"2026-11-22T03:12:41.500Z {message}\n" for message in MESSAGES),
    "syslog": syslog("Nov 22 03:12:41 db1 postgres[11]: ", LINES),
    "syslog, iso": syslog("2026-11-22T03:12:41.500000+00:00 db1 postgres[11]: ", LINES),
    "journal": journal(LINES),
    "journal, whole messages": journal(MESSAGES),
    "journal as json": many(
        *({"MESSAGE": line, "_PID": "11", "__REALTIME_TIMESTAMP": "1795317161500000"} for line in LINES)
    ),
    "journal as text": "-- Logs begin at Sun 2026-11-22. --\n"
    + "".join(f"Nov 22 03:12:41 db1 postgres[11]: {line}\n" for line in LINES),
    "cloud logging": json.dumps([of_cloud(text, n) for n, text in enumerate(MESSAGES)], indent=2),
    "cloud logging, lines": many(*(of_cloud(text, n) for n, text in enumerate(MESSAGES))),
    "cloudwatch": json.dumps(
        {
            "events": [of_cloudwatch(text, n) for n, text in enumerate(MESSAGES)],
            "searchedLogStreams": [{"logStreamName": "db1.0", "searchedCompletely": True}],
            "nextToken": "x",
        },
        indent=4,
    ),
    "cloudwatch, batches": many(
        *(
            {"messageType": "DATA_MESSAGE", "owner": "1", "logEvents": [of_cloudwatch(text, n)]}
            for n, text in enumerate(MESSAGES)
        )
    ),
    "insights": json.dumps(
        {
            "results": [
                [
                    {"field": "@timestamp", "value": f"2026-11-22 03:12:41.50{n}"},
                    {"field": "@message", "value": text},
                    {"field": "@ptr", "value": "x"},
                ]
                for n, text in enumerate(MESSAGES)
            ],
            "statistics": {"recordsMatched": 5.0},
            "status": "Complete",
        }
    ),
    "rds": json.dumps({"LogFileData": STDERR, "Marker": "1:2", "AdditionalDataPending": False}),
    "compose in gzip in cri": gzip.compress(
        "".join(f"{DOCKER_TIME} stderr F db_1  | {line}\n" for line in LINES).encode()
    ),
}
WITHOUT_TIME: dict[str, str | bytes] = {
    "syslog": syslog("Nov 22 03:12:41 db1 postgres[11]: ", BARE),
    "syslog, iso": syslog("2026-11-22T03:12:41.500000+00:00 db1 postgres[11]: ", BARE),
    "syslog, rfc5424": syslog(RFC5424, BARE),
    "journal": journal(BARE),
}
FIELDS: dict[str, str] = {
    "cloudnativepg": many(
        {"level": "info", "ts": "2026-11-22T03:12:41Z", "logger": "instance-manager", "msg": "Ready"},
        {
            "level": "info",
            "ts": "2026-11-22T03:12:41Z",
            "logger": "postgres",
            "msg": "record",
            "record": CNPG,
        },
    ),
    "cloudnativepg in cri": "".join(
        f"{DOCKER_TIME} stdout F {line}\n"
        for line in many(
            {"level": "info", "logger": "postgres", "msg": "record", "record": CNPG}
        ).splitlines()
    ),
    "jsonlog": many(JSONLOG),
    "jsonlog in cloud logging": json.dumps([{"jsonPayload": JSONLOG, "insertId": "1", "logName": "x"}]),
    "azure": many(
        {
            "time": "2026-11-22T03:12:41.5Z",
            "resourceId": "/SUBSCRIPTIONS/1/DB1",
            "category": "PostgreSQLLogs",
            "operationName": "LogEvent",
            "properties": {**AZURE, "timestamp": "2026-11-22 03:12:41.500 UTC", "context": CNPG["context"]},
        }
    ),
    "azure, a list": json.dumps(
        {"records": [{"time": "2026-11-22T03:12:41.5Z", "properties": {**AZURE, "context": ""}}]}
    ),
    "log analytics": json.dumps(
        [
            {
                "TimeGenerated": "2026-11-22T03:12:41.5000000Z",
                "errorLevel_s": "ERROR",
                "processId_d": 11,
                "sqlerrcode_s": "40P01",
                "Message": "deadlock detected",
                "Detail": CNPG["detail"],
                "Context": "",
            }
        ]
    ),
}


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
    assert said.startswith("cluster-1.json (csvlog from json): 1 new record") and "1 new deadlock" in said


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
