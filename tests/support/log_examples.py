"""One deadlock, as servers, collectors, containers and managed services give it."""

from __future__ import annotations

import gzip
import json
from typing import Any

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
