"""The one parser: csvlog, jsonlog, stderr; many lines, other languages, texts made to look like log."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC
from typing import Any

import psycopg
import pytest

DETAIL = (
    "Process 11 waits for ShareLock on transaction 733; blocked by process 12.\n"
    "Process 12 waits for ShareLock on transaction 734; blocked by process 11.\n"
    "Process 11: UPDATE a SET n = 1\nProcess 12: UPDATE b SET n = 2"
)


def csv(
    message: str,
    *,
    at: str = "2026-11-22 03:12:41.123 UTC",
    pid: int = 11,
    code: str = "00000",
    severity: str = "LOG",
    detail: str = "",
    context: str = "",
    statement: str = "",
) -> str:
    """One csvlog record as PostgreSQL writes it."""

    def quoted(text: str) -> str:
        return '"' + text.replace('"', '""') + '"' if text else ""

    fields = [
        at,
        quoted("app"),
        quoted("shop"),
        str(pid),
        quoted("10.0.0.7:5000"),
        "6921.b",
        "3",
        quoted("UPDATE"),
    ]
    fields += [
        "2026-11-22 03:00:00 UTC",
        "3/4",
        "734",
        severity,
        code,
        quoted(message),
        quoted(detail),
        "",
        "",
        "",
    ]
    fields += [quoted(context), quoted(statement), "", "", quoted("api"), quoted("client backend"), "", "0"]
    return ",".join(fields) + "\n"


@pytest.fixture
def ingest(vault_db: str) -> Any:
    """Feed text to lock_log.ingest() and return what is stored in lock_log.event."""
    connection = psycopg.connect(vault_db, autocommit=True)

    def feed(
        text: str | bytes,
        form: str = "csvlog",
        prefix: str | None = None,
        at_end: bool = True,
        zone: str | None = None,
    ) -> tuple[tuple[int, int, int], list[dict[str, Any]]]:
        data = text.encode() if isinstance(text, str) else text
        taken = connection.execute(
            "SELECT consumed, records, unreadable FROM lock_log.ingest('test', %s, 0, %s, %s, %s, %s)",
            [form, data, at_end, prefix, zone],
        ).fetchone()
        assert taken is not None
        cursor = connection.cursor(row_factory=psycopg.rows.dict_row)
        rows = cursor.execute("SELECT * FROM lock_log.event ORDER BY logged_at, event_id").fetchall()
        return (taken[0], taken[1], taken[2]), rows

    yield feed
    connection.close()


Ingest = Callable[..., tuple[tuple[int, int, int], list[dict[str, Any]]]]


def test_a_deadlock_of_csvlog_is_taken_whole(ingest: Ingest) -> None:
    record = csv(
        "deadlock detected", code="40P01", severity="ERROR", detail=DETAIL, statement="UPDATE a SET n = 1"
    )
    (consumed, records, unreadable), [event] = ingest(csv("checkpoint starting") + record)
    assert (records, unreadable) == (1, 0)
    assert consumed == len(csv("checkpoint starting") + record)
    assert (event["kind"], event["pid"], event["database_name"]) == ("deadlock", 11, "shop")
    edges = event["detail"]["edges"]
    assert [(e["pid"], e["blocker"], e["object"]) for e in edges] == [
        (11, 12, "transaction 733"),
        (12, 11, "transaction 734"),
    ]
    assert event["detail"]["statements"] == {"11": "UPDATE a SET n = 1", "12": "UPDATE b SET n = 2"}


def test_the_same_record_is_never_taken_twice_in_whatever_form(ingest: Ingest) -> None:
    record = csv("deadlock detected", code="40P01", severity="ERROR", detail=DETAIL)
    ingest(record)
    as_json = {
        "timestamp": "2026-11-22 03:12:41.123 UTC", "user": "app", "dbname": "shop", "pid": 11,
        "session_id": "6921.b", "error_severity": "ERROR", "state_code": "40P01",
        "message": "deadlock detected", "detail": DETAIL,
    }  # fmt: skip
    assert ingest(record)[0][1] == 0
    taken, events = ingest(json.dumps(as_json) + "\n", "jsonlog")
    assert taken[1:] == (0, 0)
    assert len(events) == 1


def test_stderr_needs_only_its_prefix(ingest: Ingest) -> None:
    tabbed = DETAIL.replace("\n", "\n\t")
    text = (
        "2026-11-22 03:12:41.123 UTC [11] app@shop api ERROR:  deadlock detected\n"
        f"2026-11-22 03:12:41.123 UTC [11] app@shop api DETAIL:  {tabbed}\n"
        "2026-11-22 03:12:41.123 UTC [11] app@shop api HINT:  See server log for query details.\n"
        '2026-11-22 03:12:41.123 UTC [11] app@shop api CONTEXT:  while updating tuple (0,1) in relation "a"\n'
        "2026-11-22 03:12:41.123 UTC [11] app@shop api STATEMENT:  UPDATE a SET n = 1\n"
        "2026-11-22 03:12:41.200 UTC [12] app@shop api LOG:  process 12 acquired ShareLock on transaction 733"
        " after 1012.345 ms\n"
    )
    taken, events = ingest(text, "stderr", "%m [%p] %q%u@%d %a ")
    assert taken[1:] == (2, 0)
    deadlock, acquired = events
    assert deadlock["detail"]["statements"]["12"] == "UPDATE b SET n = 2"
    assert (deadlock["user_name"], deadlock["database_name"], deadlock["application_name"]) == (
        "app",
        "shop",
        "api",
    )
    assert deadlock["context"] == 'while updating tuple (0,1) in relation "a"'
    assert (acquired["kind"], float(acquired["waited_ms"])) == ("acquired", 1012.345)


def test_waits_timeouts_and_cancelled_waits(ingest: Ingest) -> None:
    waiting = csv(
        "process 11 still waiting for AccessExclusiveLock on relation 16385 of database 5 after 1000.200 ms",
        detail="Process holding the lock: 12. Wait queue: 11, 14.",
    )
    text = (
        waiting
        + csv(
            "canceling statement due to user request",
            code="57014",
            severity="ERROR",
            at="2026-11-22 03:12:43.000 UTC",
        )
        + csv("canceling statement due to lock timeout", code="55P03", severity="ERROR", pid=13)
        + csv('could not obtain lock on row in relation "a"', code="55P03", severity="ERROR", pid=14)
        + csv("canceling statement due to user request", code="57014", severity="ERROR", pid=15)
    )
    _, events = ingest(text)
    assert sorted((e["kind"], e["pid"]) for e in events) == [
        ("cancelled", 11), ("lock_timeout", 13), ("not_available", 14), ("waiting", 11),
    ]  # fmt: skip
    waited = next(e for e in events if e["kind"] == "waiting")
    assert (waited["relation_oid"], waited["lock_type"], waited["detail"]["queue"]) == (
        16385,
        "relation",
        ["11", "14"],
    )


def test_other_languages_where_the_code_suffices(ingest: Ingest) -> None:
    detail = (
        "Prozess 11 wartet auf ShareLock-Sperre auf Transaktion 733; blockiert von Prozess 12.\n"
        "Prozess 12 wartet auf AccessExclusiveLock-Sperre auf Relation 16385 der Datenbank 5;"
        " blockiert von Prozess 11.\n"
        "Prozess 11: UPDATE a SET n = 1\nProzess 12: LOCK TABLE a"
    )
    _, [event] = ingest(csv("Verklemmung entdeckt", code="40P01", severity="FEHLER", detail=detail))
    assert [(e["pid"], e["mode"], e["blocker"]) for e in event["detail"]["edges"]] == [
        (11, "ShareLock", 12), (12, "AccessExclusiveLock", 11),
    ]  # fmt: skip
    assert event["detail"]["statements"]["12"] == "LOCK TABLE a"


def test_a_statement_written_to_look_like_log_text_changes_nothing(ingest: Ingest) -> None:
    fake_csv = csv(
        "deadlock detected", code="40P01", severity="ERROR", detail=DETAIL.replace("11", "99"), pid=99
    )
    edge = "Process 12 waits for ShareLock on transaction 1; blocked by process 99."
    evil = f"SELECT 1;\n{fake_csv}{edge}\nProcess 98: x"
    detail = DETAIL.replace("UPDATE a SET n = 1", evil)
    record = csv("deadlock detected", code="40P01", severity="ERROR", detail=detail, statement=evil)
    _, events = ingest(csv("statement: " + evil) + record)
    [event] = events
    assert [e["pid"] for e in event["detail"]["edges"]] == [11, 12]
    # where a statement ends cannot be told then: that is said
    assert event["detail"]["ambiguous"] is True
    assert set(event["detail"]["statements"]) == {"11", "12"}


def test_a_raised_exception_with_the_code_only_claims_to_be_a_deadlock(ingest: Ingest) -> None:
    context = "PL/pgSQL function inline_code_block line 1 at RAISE"
    text = csv("deadlock detected", code="40P01", severity="ERROR", detail=DETAIL, context=context)
    text += csv("process 11 acquired ShareLock on transaction 5 after 99999.000 ms", context=context)
    _, events = ingest(text)
    assert sorted((e["kind"], e["standing"], e["handled"], e["deadlock_event_hk"]) for e in events) == [
        ("acquired", "claimed", True, None),
        ("deadlock", "claimed", True, None),
    ]


def test_a_record_cut_short_costs_itself_and_is_counted(ingest: Ingest) -> None:
    whole = csv("deadlock detected", code="40P01", severity="ERROR", detail=DETAIL)
    cut = csv("statement: SELECT 'something'", pid=77)[:70] + "\n"
    assert cut.count('"') % 2 == 1
    (_, records, unreadable), events = ingest(csv("one") + cut + csv("two") + whole + csv("three"))
    assert records == 1
    assert unreadable >= 1
    assert events[0]["detail"]["edges"][0]["pid"] == 11


def test_the_end_of_a_piece_may_be_anywhere(ingest: Ingest, vault_db: str) -> None:
    whole = (
        csv("one") + csv("deadlock detected", code="40P01", severity="ERROR", detail=DETAIL + "é")
    ).encode()
    with psycopg.connect(vault_db, autocommit=True) as connection:
        for cut in range(len(csv("one")), len(whole), 37):
            row = connection.execute(
                "SELECT consumed, records FROM lock_log.ingest('piece', 'csvlog', 0, %s, false)",
                [whole[:cut]],
            ).fetchone()
            assert row == (len(csv("one")), 0)
    (consumed, records, _), _ = ingest(whole)
    assert (consumed, records) == (len(whole), 1)


@pytest.mark.parametrize(
    "rubbish",
    [
        b"\x00" * 300,
        b"\xff\xfe\x80" * 50 + b"\n",
        b"hello\nworld\n40P01 \\000 deadlock\n",
        b'{"timestamp": "40P01',
    ],
    ids=["nulls", "bytes", "text", "half json"],
)
@pytest.mark.parametrize("form", ["csvlog", "jsonlog", "stderr"])
def test_rubbish_is_never_a_crash(ingest: Ingest, rubbish: bytes, form: str) -> None:
    assert ingest(rubbish, form, "%m [%p] ")[1] == []


def test_nulls_inside_a_record_do_not_hide_it(ingest: Ingest) -> None:
    record = csv("deadlock detected", code="40P01", severity="ERROR", detail=DETAIL, statement="SELECT 'x'")
    _, events = ingest(record.encode().replace(b"'x'", b"'\x00\x00'"))
    assert [e["kind"] for e in events] == ["deadlock"]


def test_an_unknown_format_and_a_bad_prefix_are_one_sentence(vault_db: str) -> None:
    with psycopg.connect(vault_db, autocommit=True) as connection:
        with pytest.raises(psycopg.Error, match='Log format "syslog" is unknown'):
            connection.execute("SELECT lock_log.ingest('x', 'syslog', 0, 'a', true)")
        with pytest.raises(psycopg.Error, match="lacks the time"):
            connection.execute("SELECT lock_log.ingest('x', 'stderr', 0, 'a', true, '%u ')")


def test_terse_logs_give_the_victim_and_say_what_is_unknown(ingest: Ingest, vault_db: str) -> None:
    ingest(csv("deadlock detected", code="40P01", severity="ERROR", statement="UPDATE a SET n = 1"))
    with psycopg.connect(vault_db) as connection:
        row = connection.execute(
            "SELECT involved_pids, deadlock_victim_pid, array_to_string(unknown, ' '), prevention_suggestion"
            " FROM lock_monitoring.deadlock_history"
        ).fetchone()
    assert row is not None
    assert row[:2] == ([11], 11)
    assert "log_error_verbosity" in row[2]
    assert row[3].startswith("Nothing can be concluded")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("relation 16385 of database 5", ("relation", 16385, None)),
        ("tuple (3,9) of relation 16385 of database 5", ("tuple", 16385, 9)),
        ("transaction 733", ("transactionid", None, None)),
        ("virtual transaction 3/45", ("virtualxid", None, None)),
        ("advisory lock [5,0,1,1]", ("advisory", None, None)),
        ("extension of relation 7 of database 5", ("extend", 7, None)),
        ("Transaktion 733", ("transactionid", None, None)),
        ("", (None, None, None)),
    ],
)
def test_objects_by_their_shape(vault_db: str, text: str, expected: tuple[Any, ...]) -> None:
    with psycopg.connect(vault_db) as connection:
        row = connection.execute(
            "SELECT lock_type, relation_oid, tuple FROM lock_log.parse_object(%s)", [text]
        ).fetchone()
    assert row == expected


def test_records_taken_together_are_stored_as_one_at_a_time(ingest: Ingest, vault_db: str) -> None:
    """A byte that is no UTF-8 in one record makes the reader take all of them one at a time."""
    waits = [
        csv(
            f"process {pid} {what} ShareLock on {thing} after {pid}.120 ms",
            pid=pid,
            at=f"2026-10-25 0{pid % 4}:59:41.{pid:03} CET",
            detail="Processes holding the lock: 7, 8. Wait queue: 11, 12." if pid % 2 else "",
            statement='SELECT "a,b", \'{"x": 1}\',\n"c"' * (pid % 3),
        )
        for pid, (what, thing) in enumerate(
            (
                ("still waiting for", "transaction 733"),
                ("acquired", "tuple (0,1) of relation 16385 of database 5"),
                ("failed to acquire", "advisory lock [5,1,2,1]"),
                ("detected deadlock while waiting for", "relation 16385 of database 5"),
                ("avoided deadlock for", "relation 16385 of database 5 by rearranging queue order"),
                ("forgot", "transaction 733"),
                ("acquired", ""),
            ),
            start=11,
        )
    ]
    others = [
        csv("process 99 acquired ShareLock on transaction 5 after 1.0 ms", pid=21),
        csv("canceling statement due to lock timeout", code="55P03", pid=22, severity="ERROR"),
        csv('could not obtain lock on relation "a"', code="55P03", pid=23, severity="ERROR"),
        csv("canceling statement", code="57014", pid=24, context='while locking tuple (0,1) in relation "a"'),
        csv("canceling statement", code="57014", pid=25),
        csv("nothing", code="55P03", pid=26, context="PL/pgSQL function f() line 1 at RAISE"),
        csv("deadlock detected", code="40P01", detail=DETAIL),
        csv("canceling statement due to lock timeout Ä\\n", code="55P03", pid=27),
    ]
    text = "".join(waits + others)
    taken, together = ingest(text, zone="Africa/Algiers")
    with psycopg.connect(vault_db, autocommit=True) as connection:
        connection.execute("TRUNCATE lock_log.event, lock_log.source")
    marked = csv("canceling statement due to lock timeout MARK", code="55P03", pid=28)
    _, singly = ingest(text.encode() + marked.encode().replace(b"MARK", b"\xff"), zone="Africa/Algiers")

    def facts(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        volatile = {"event_id", "stored_at", "deadlock_event_hk"}
        return sorted(
            ({k: v for k, v in row.items() if k not in volatile} for row in rows if row["pid"] != 28),
            key=lambda row: (row["pid"], row["kind"]),
        )

    assert facts(together) == facts(singly)
    assert [row["pid"] for row in facts(together)] == [11, 11, 12, 13, 14, 15, 22, 23, 24, 26, 27]
    assert (taken[1], taken[2], len(singly)) == (11, 0, 12)


def test_cancels_count_by_what_their_session_said_before(ingest: Ingest, vault_db: str) -> None:
    """The statement for all records at once decides about a cancel as the reader of single records does."""

    def wait(pid: int, second: int, happened: str = "still waiting for") -> str:
        return csv(
            f"process {pid} {happened} ShareLock on transaction 7 after 1000.{second:03} ms",
            pid=pid,
            at=f"2026-11-22 03:12:{second:02}.000 UTC",
        )

    def cancel(pid: int, second: int) -> str:
        return csv("canceling", code="57014", pid=pid, at=f"2026-11-22 03:12:{second:02}.000 UTC")

    def gone_wrong(pid: int, second: int) -> str:
        return csv(
            "deadlock detected",
            code="40P01",
            detail=DETAIL.replace("11", str(pid)),
            pid=pid,
            at=f"2026-11-22 03:12:{second:02}.000 UTC",
        )

    before = wait(31, 1) + wait(32, 1) + wait(33, 1)
    text = (
        cancel(31, 10)  # waited, as an earlier piece of log said
        + cancel(31, 11)  # and this one did not
        + wait(32, 10, "acquired")
        + cancel(32, 11)  # no longer waited
        + wait(34, 10)
        + cancel(34, 11)
        + cancel(35, 11)  # waits afterwards only
        + wait(35, 12)
        + gone_wrong(33, 10)
        + cancel(33, 11)  # its wait ended in the deadlock
        + wait(36, 10).replace("6921.b", "6921.c")
        + cancel(36, 11)  # another session of that pid waited
        + wait(37, 10)
        + cancel(37, 10)  # in the same millisecond
        + gone_wrong(38, 13)
        + wait(38, 14)
        + cancel(38, 15)
    )
    ingest(before)
    _, together = ingest(text)
    with psycopg.connect(vault_db, autocommit=True) as connection:
        connection.execute("TRUNCATE lock_log.event, lock_log.source")
    ingest(before)
    marked = csv("canceling statement due to lock timeout MARK", code="55P03", pid=99)
    _, singly = ingest(text.encode() + marked.encode().replace(b"MARK", b"\xff"))

    def cancelled(rows: list[dict[str, Any]]) -> list[tuple[int, int]]:
        return sorted((row["pid"], row["logged_at"].second) for row in rows if row["kind"] == "cancelled")

    assert cancelled(together) == cancelled(singly) == [(31, 10), (34, 11), (37, 10), (38, 15)]
    assert len(together) + 1 == len(singly)


def test_lines_of_every_encoding_are_taken(ingest: Ingest) -> None:
    """A log holds records of all databases, each in its own encoding; what is no text is marked."""
    message = "process 11 still waiting for ShareLock on transaction 733 after 1000.1 ms"
    statement = "UPDATE caf# SET n = '\\xE9'"
    record = csv(message, statement=statement).encode().replace(b"#", b"\xe9")
    other = csv(message, pid=12, statement="UPDATE caf\u00e9").encode().replace(b"process 11", b"process 12")
    (_, records, unreadable), events = ingest(record + other)
    assert (records, unreadable) == (2, 0)
    assert [event["statement"] for event in events] == [
        r"UPDATE caf\xE9 SET n = '\x5CxE9'",
        "UPDATE caf\u00e9",
    ]


@pytest.mark.parametrize("form", ["csvlog", "jsonlog", "stderr"])
def test_a_deadlock_of_another_encoding_is_taken_whole(ingest: Ingest, form: str) -> None:
    detail = DETAIL.replace("UPDATE a", "UPDATE #t# \\xE9")
    marked = r"UPDATE \xE9t\xE9 \x5CxE9 SET n = 1"
    if form == "csvlog":
        text = csv("deadlock detected", code="40P01", severity="ERROR", detail=detail)
    elif form == "jsonlog":
        as_json = {
            "timestamp": "2026-11-22 03:12:41.123 UTC",
            "user": "app#",
            "pid": 11,
            "error_severity": "ERROR",
            "state_code": "40P01",
            "message": "deadlock detected",
            "detail": detail,
        }
        text = json.dumps(as_json) + "\n"
    else:
        lines = "\n\t".join(detail.split("\n"))
        head = "2026-11-22 03:12:41.123 UTC [11] "
        text = f"{head}ERROR:  40P01: deadlock detected\n{head}DETAIL:  {lines}\n"
    (_, records, unreadable), [event] = ingest(text.encode().replace(b"#", b"\xe9"), form, "%m [%p] ")
    assert (records, unreadable) == (1, 0)
    assert event["detail"]["statements"]["11"] == marked


WAIT = "process 11 still waiting for RowExclusiveLock on relation 20079 of database 5 after 200.205 ms"
"""Of a statement that meets a table's lock while it is parsed: in stderr its place follows."""


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("prefix", ["%m [%p] ", "%m [%p] %q%u@%d "])
def test_stderr_tells_a_place_in_the_statement_and_ends_lines_as_its_system_does(
    ingest: Ingest, prefix: str, end: str
) -> None:
    head = "2026-11-22 03:12:41.123 UTC [11] " + ("app@shop " if "%u" in prefix else "")
    text = (
        f"{head}LOG:  {WAIT} at character 13{end}"
        f"{head}STATEMENT:  INSERT INTO b VALUES (1){end}"
        f"{head}ERROR:  deadlock detected at character 13{end}"
        f"{head}DETAIL:  {DETAIL.replace(chr(10), end + chr(9))}{end}"
        f"{head}STATEMENT:  INSERT INTO b{end}\tVALUES (1){end}"
    )
    (_, records, unreadable), events = ingest(text, "stderr", prefix)
    assert (records, unreadable) == (2, 0)
    by_kind = {event["kind"]: event for event in events}
    assert set(by_kind) == {"waiting", "deadlock"}
    wait, deadlock = by_kind["waiting"], by_kind["deadlock"]
    assert (wait["relation_oid"], float(wait["waited_ms"])) == (20079, 200.205)
    assert [edge["pid"] for edge in deadlock["detail"]["edges"]] == [11, 12]
    assert deadlock["detail"]["statements"]["12"] == "UPDATE b SET n = 2"
    assert deadlock["statement"] == "INSERT INTO b\nVALUES (1)"
    assert "\r" not in deadlock["excerpt"] and "at character" not in deadlock["excerpt"]


@pytest.mark.parametrize("form", ["csvlog", "stderr"])
def test_a_byte_order_mark_costs_no_record(ingest: Ingest, form: str) -> None:
    text = csv(WAIT) if form == "csvlog" else f"2026-11-22 03:12:41.123 UTC [11] LOG:  {WAIT}\n"
    (_, records, unreadable), [event] = ingest(b"\xef\xbb\xbf" + text.encode(), form, "%m [%p] ")
    assert (records, unreadable, event["pid"]) == (1, 0, 11)


@pytest.mark.parametrize(
    ("wanted", "kind"),
    [
        ('relation "part_2024_01"', "relation"),
        ('relation "orders_2024"', "relation"),
        ('relation "p_1_2_3"', "relation"),
        ('relation "a"b 1 2"', "relation"),
        ('row in relation "orders_2024"', "tuple"),
        ("Relation »orders_2024«", None),
    ],
)
def test_digits_of_a_name_are_no_number(ingest: Ingest, wanted: str, kind: str | None) -> None:
    _, [event] = ingest(csv(f"could not obtain lock on {wanted}", code="55P03", severity="ERROR"))
    assert (event["object_text"], event["lock_type"]) == (wanted, kind)
    assert [event[name] for name in ("relation_oid", "database_oid", "transactionid", "page", "tuple")] == [
        None
    ] * 5


@pytest.mark.parametrize("database", ["[unknown]", "", "elsewhere"])
def test_a_number_of_another_database_is_no_table_of_this_one(
    ingest: Ingest, vault_db: str, database: str
) -> None:
    """A small oid is a table's of every database: the line says whose, stderr's prefix often does not."""
    with psycopg.connect(vault_db, autocommit=True) as connection:
        connection.execute("CREATE TABLE public.iso (n int)")
        row = connection.execute(
            "SELECT 'public.iso'::regclass::oid, oid FROM pg_database WHERE datname = current_database()"
        ).fetchone()
        assert row is not None
        relation, here = row

        def named(of: int, prefix: str, head: str, pid: int) -> list[str]:
            detail = (
                f"Process {pid} waits for RowExclusiveLock on relation {relation} of database {of}; "
                f"blocked by process 12.\n"
                f"\tProcess 12 waits for ShareLock on transaction 734; blocked by process {pid}."
            )
            text = f"{head}ERROR:  deadlock detected\n{head}DETAIL:  {detail}\n{head}CONTEXT:  "
            text += 'while updating tuple (0,1) in relation "iso"\n'
            ingest(text, "stderr", prefix)
            # as if something had proved it: a file from elsewhere is only claimed
            connection.execute(
                "UPDATE lock_log.event SET standing = 'proven', handled = false WHERE pid = %s", [pid]
            )
            connection.execute("SELECT lock_engine.collect_deadlocks()")
            found = connection.execute(
                "SELECT affected_tables FROM lock_monitoring.deadlock_event_s "
                "WHERE load_end_date IS NULL AND %s = ANY (involved_pids)",
                [pid],
            ).fetchone()
            assert found is not None
            return list(found[0] or [])

        if database == "elsewhere":
            prefix, of = "%m [%p] %d ", here
        else:
            prefix, of = ("%m [%p] %d " if database else "%m [%p] "), 99999
        head = f"2026-11-22 03:12:41.123 UTC [11] {database + ' ' if database else ''}"
        assert "public.iso" not in named(of, prefix, head, 11)
        if not database:
            head = head.replace("[11]", "[21]")
            assert "public.iso" in named(here, prefix, head, 21)


# zone of the server, the time and its abbreviation in the log, the moment in UTC
ZONES = [
    ("Asia/Kolkata", "2026-11-22 08:42:41.123 IST", "2026-11-22 03:12:41.123"),
    ("Asia/Shanghai", "2026-11-22 11:12:41.123 CST", "2026-11-22 03:12:41.123"),
    ("Asia/Manila", "2026-11-22 11:12:41.123 PST", "2026-11-22 03:12:41.123"),
    ("Asia/Jakarta", "2026-11-22 10:12:41.123 WIB", "2026-11-22 03:12:41.123"),
    ("Pacific/Guam", "2026-11-22 13:12:41.123 ChST", "2026-11-22 03:12:41.123"),
    ("Europe/Dublin", "2026-07-22 04:12:41.123 IST", "2026-07-22 03:12:41.123"),
    ("America/Havana", "2026-11-21 22:12:41.123 CST", "2026-11-22 03:12:41.123"),
    ("America/Havana", "2026-07-21 23:12:41.123 CDT", "2026-07-22 03:12:41.123"),
    ("Asia/Tehran", "2026-11-22 06:42:41.123 +0330", "2026-11-22 03:12:41.123"),
    ("Europe/Istanbul", "2026-11-22 06:12:41.123 +03", "2026-11-22 03:12:41.123"),
    # the hour that comes twice
    ("Europe/Berlin", "2026-10-25 02:30:00.000 CEST", "2026-10-25 00:30:00.000"),
    ("Europe/Berlin", "2026-10-25 02:30:00.000 CET", "2026-10-25 01:30:00.000"),
    ("America/Havana", "2026-11-01 00:30:00.000 CDT", "2026-11-01 04:30:00.000"),
    ("America/Havana", "2026-11-01 00:30:00.000 CST", "2026-11-01 05:30:00.000"),
    ("Australia/Lord_Howe", "2026-04-05 01:45:00.000 +11", "2026-04-04 14:45:00.000"),
    ("Australia/Lord_Howe", "2026-04-05 01:45:00.000 +1030", "2026-04-04 15:15:00.000"),
    # written in UTC, whatever was said
    ("Asia/Kolkata", "2026-11-22 03:12:41.123 UTC", "2026-11-22 03:12:41.123"),
]


@pytest.mark.parametrize("form", ["csvlog", "stderr"])
def test_an_abbreviation_is_the_zones_own(ingest: Ingest, form: str) -> None:
    for pid, (zone, at, moment) in enumerate(ZONES, 1):
        wait = WAIT.replace("process 11", f"process {pid}")
        record = csv(wait, at=at, pid=pid) if form == "csvlog" else f"{at} [{pid}] LOG:  {wait}\n"
        (_, records, unreadable), events = ingest(record, form, "%m [%p] ", zone=zone)
        assert (records, unreadable) == (1, 0), (zone, at)
        (event,) = [event for event in events if event["pid"] == pid]
        assert f"{event['logged_at'].astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}"[:-3] == moment, (zone, at)


@pytest.mark.parametrize("form", ["csvlog", "stderr"])
@pytest.mark.parametrize("at", ["2026-11-22 11:12:41.123 CST", "2026-07-22 11:12:41.123 CET"])
def test_a_time_of_another_zone_is_not_known(ingest: Ingest, vault_db: str, form: str, at: str) -> None:
    """No guess: it was wrong by up to sixteen hours, and the same deadlock became two."""
    record = csv(WAIT, at=at) if form == "csvlog" else f"{at} [11] LOG:  {WAIT}\n"
    good = csv(WAIT.replace("11", "12"), at="2026-07-22 11:12:42.123 CEST", pid=12)
    text = record + good if form == "csvlog" else record
    (_, records, unreadable), events = ingest(text, form, "%m [%p] ", zone="Europe/Berlin")
    assert (records, unreadable) == (len(events), 1)
    assert [event["pid"] for event in events] == ([12] if form == "csvlog" else [])
    with psycopg.connect(vault_db, autocommit=True) as connection:
        told = connection.execute(
            "SELECT foreign_zone FROM lock_log.ingest('x', %s, 0, %s, true, '%%m [%%p] ', 'Europe/Berlin')",
            [form, record.encode()],
        ).fetchone()
        assert told == (at[-3:],)
        with pytest.raises(psycopg.errors.InvalidParameterValue, match='Time zone "Mars/Olympus" is unknown'):
            connection.execute(
                "SELECT lock_log.ingest('x', 'csvlog', 0, %s, true, NULL, 'Mars/Olympus')", [b"x"]
            )


def test_a_time_that_is_none_costs_its_record_alone(ingest: Ingest) -> None:
    bad = csv(WAIT, at="2026-19-22 93:12:41.123 UTC")
    (_, records, unreadable), [event] = ingest(bad + csv(WAIT.replace("11", "12"), pid=12))
    assert (records, unreadable, event["pid"]) == (1, 1, 12)


DEBIAN = "%m [%p] %q%u@%d "


def test_a_process_without_a_session_has_the_short_prefix(ingest: Ingest) -> None:
    """Debian's own prefix: lines of background processes were glued into the statement before them."""
    session, background = (f"2026-11-22 03:12:4{n} UTC [{pid}] " for n, pid in (("1.123", 11), ("2.000", 7)))
    text = (
        f"{session}app@shop ERROR:  deadlock detected at character 8\n"
        f"{session}app@shop DETAIL:  {DETAIL.replace(chr(10), chr(10) + chr(9))}\n"
        f"{session}app@shop STATEMENT:  UPDATE iso\n\tSET n = 2\n"
        f"{background}LOG:  checkpoint starting: immediate force wait\n"
        f"{background}LOG:  {WAIT.replace('process 11', 'process 7')}\n"
        "cp: cannot stat 'password=hunter2': No such file\n"
        "\tand more of it\n"
        f"{session.replace('11', '12', 2)}app@shop LOG:  {WAIT.replace('process 11', 'process 12')}\n"
    )
    (_, records, unreadable), events = ingest(text, "stderr", DEBIAN)
    assert (records, unreadable) == (3, 0)
    by_pid = {event["pid"]: event for event in events}
    assert by_pid[11]["statement"] == "UPDATE iso\nSET n = 2"
    assert (by_pid[11]["user_name"], by_pid[11]["database_name"]) == ("app", "shop")
    assert (by_pid[7]["kind"], by_pid[7]["user_name"]) == ("waiting", None)
    assert by_pid[12]["kind"] == "waiting"
    assert not any(word in str(by_pid) for word in ("checkpoint", "hunter2", "more of it"))


@pytest.mark.parametrize(
    "prefix", ["%m [%p] %Q %P %b ", "%t [%p] ", "%m %p ", "db_1  | %m [%p] ", "%m [%p] [user=%u,db=%d] "]
)
def test_a_prefix_that_does_not_fit_is_not_nothing_new(ingest: Ingest, vault_db: str, prefix: str) -> None:
    head = "2026-11-22 03:12:41.123 UTC [11] "
    text = f"{head}ERROR:  deadlock detected\n{head}DETAIL:  {DETAIL.replace(chr(10), chr(10) + chr(9))}\n"
    (_, records, unreadable), events = ingest(text, "stderr", prefix)
    assert (records, unreadable, events) == (0, 2, [])
