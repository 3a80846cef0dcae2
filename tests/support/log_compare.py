"""What the log reader stored, compared with what the clients got and with the records in another format."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import psycopg
from psycopg.rows import dict_row

from tests.support.log_play import Fact
from tests.support.log_prefixes import Shape
from tests.support.log_render import Record, Renderer, moment
from tests.support.recordings import Recorded

Row = dict[str, Any]
OBJECT = ("lock_type", "object_text", "database_oid", "relation_oid", "page", "tuple", "transactionid")
COMPARED = (
    "logged_at",
    "session_id",
    "sqlstate",
    "user_name",
    "database_name",
    "application_name",
    "waited_ms",
    "detail",
    "statement",
    "context",
    *OBJECT,
)


def read(
    connection: psycopg.Connection[Any],
    form: str,
    data: bytes,
    prefix: str | None = None,
    cuts: Sequence[int] = (),
) -> tuple[list[Row], int, int]:
    """The events that lock_log.ingest() stores of a file that comes in pieces cut at these bytes; how many of
    its lines it could not read, and how many records it called new.

    What it leaves of a piece is sent again with the next, as the command does it.
    """
    start = new = unreadable = 0
    for end in (*cuts, len(data)):
        if end <= start and end != len(data):
            continue
        taken = connection.execute(
            "SELECT consumed, records, unreadable FROM lock_log.ingest('test', %s, %s, %s, %s, %s, 'UTC')",
            [form, start, data[start:end], end == len(data), prefix],
        ).fetchone()
        assert taken is not None
        start += taken[0]
        new += taken[1]
        unreadable += taken[2]
    rows = connection.cursor(row_factory=dict_row).execute(
        "SELECT * FROM lock_log.event ORDER BY logged_at, event_id"
    )
    found = rows.fetchall()
    for row in found:
        # csvlog tells an empty name from none, jsonlog does not
        row["application_name"] = row["application_name"] or None
    return found, unreadable, new


def keyed(rows: Iterable[Row], problems: list[str]) -> dict[tuple[Any, ...], Row]:
    """Events by what tells them apart in a play: no session does the same twice."""
    found: dict[tuple[Any, ...], Row] = {}
    for row in rows:
        key = (row["kind"], row["pid"], row["lock_mode"])
        if key in found:
            problems.append(f"stored twice: {key}")
        found[key] = row
    return found


def against_clients(rows: list[Row], recorded: Recorded) -> list[str]:
    """What is missing, too much or wrong in the events of a csvlog, by what the clients got."""
    problems: list[str] = []
    found = keyed(rows, problems)
    unclear = _said_of_both(recorded)
    for fact in recorded.facts:
        key = (fact.kind, fact.pid, fact.columns["lock_mode"])
        row = found.pop(key, None)
        if row is None:
            problems.append(f"missing: {key}, {fact.columns['statement']!r}")
            continue
        true = fact.columns | ({"lock_type": None} if fact.pid in unclear else {})
        wrong = {name: (row[name], value) for name, value in true.items() if row[name] != value} | dict(
            _wrong_detail(row, fact)
        )
        if wrong:
            problems.append(f"{key} (stored, true): {wrong}")
    return problems + [f"too much: {key}" for key in found]


def _said_of_both(recorded: Recorded) -> set[int]:
    """Processes refused by NOWAIT in a language that says the same of a table and of a row in it."""
    types = {
        str(fact.pid): fact.columns["lock_type"] for fact in recorded.facts if fact.kind == "not_available"
    }
    said: dict[str, set[str]] = {}
    for record in recorded.records:
        if record.pid in types and record.sqlstate == "55P03":
            said.setdefault(record.message, set()).add(record.pid)
    return {int(pid) for pids in said.values() if len({types[pid] for pid in pids}) > 1 for pid in pids}


def edges_of(row: Row) -> list[list[Any]]:
    """The edges of a stored deadlock as a fact has them: process, mode, process that it waits for."""
    edges = (row["detail"] or {}).get("edges", [])
    return [[edge["pid"], edge["mode"], edge["blocker"]] for edge in edges]


def rings_of(rows: Iterable[Row]) -> dict[int, list[list[Any]]]:
    """The rings of stored deadlocks, by victim."""
    return {row["pid"]: edges_of(row) for row in rows if row["kind"] == "deadlock"}


def true_rings(recorded: Recorded) -> dict[int, list[list[Any]]]:
    """The rings that a recording must hold, by victim."""
    return {fact.pid: fact.edges for fact in recorded.facts if fact.edges is not None}


def _wrong_detail(row: Row, fact: Fact) -> Iterator[tuple[str, Any]]:
    if not fact.began - 0.002 <= row["logged_at"].timestamp() <= fact.ended:
        yield "logged_at", (row["logged_at"], fact.began, fact.ended)
    detail = row["detail"] or {}
    if fact.edges is not None:
        edges = edges_of(row)
        if edges != fact.edges:
            yield "edges", (edges, fact.edges)
        if detail.get("statements") != fact.statements:
            yield "statements", (detail.get("statements"), fact.statements)
    for name in ("holders", "queue"):
        true = getattr(fact, name)
        stored = [pid for pid in detail.get(name) or [] if pid]
        if true is not None and sorted(stored) != sorted(true):
            yield name, (detail.get(name), true)
    told = f"{row['object_text']} {row['context']}".replace('""', '"')
    if fact.relation is not None and fact.relation not in told:
        yield "relation", (row["object_text"], row["context"], fact.relation)


def against_csvlog(rows: list[Row], of_csv: list[Row], recorded: Recorded, shape: Shape | None) -> list[str]:
    """What is missing, too much or different in the events of another format; a shape: it is stderr."""
    problems: list[str] = []
    found = keyed(rows, problems)
    records = {int(record.pid): record for record in recorded.records}
    for key, true in keyed(of_csv, problems).items():
        expected = dict(true) if shape is None else _held(true, of_csv, records[true["pid"]], shape)
        row = found.pop(key, None)
        if expected is None:
            if row is not None:
                problems.append(f"cannot be known: {key}")
        elif row is None:
            problems.append(f"missing: {key}, {true['statement']!r}")
        elif wrong := {
            name: (row[name], expected[name])
            for name in COMPARED
            if name in expected and row[name] != expected[name]
        }:
            problems.append(f"{key} (stored, true): {wrong}")
    return problems + [f"too much: {key}" for key in found]


def _held(true: Row, others: list[Row], record: Record, shape: Shape) -> Row | None:
    """An event as stderr with this prefix and verbosity holds it; None if it does not show that it is one.

    Names whose end the line leaves in doubt are left out.
    """
    held = dict(true)
    shape = shape.of(record)
    if not {"m", "n"} & set(shape.letters):
        held["logged_at"] = true["logged_at"].replace(microsecond=0)
    for letter, column in (
        ("c", "session_id"),
        ("u", "user_name"),
        ("d", "database_name"),
        ("a", "application_name"),
    ):
        if letter not in shape.letters:
            held[column] = None
        elif column not in shape.tells(record):
            del held[column]
        else:
            held[column] = true[column]
    if held.get("application_name", "x") is None and not record.application:
        # PostgreSQL writes the word for "unknown" in its language
        del held["application_name"]
    if not shape.has_code:
        held["sqlstate"] = None
    if shape.has_detail:
        return held
    if true["kind"] == "cancelled" and not any(
        row["kind"] == "waiting" and row["pid"] == true["pid"] for row in others
    ):
        return None
    held["detail"] = held["context"] = None
    if true["kind"] in ("lock_timeout", "cancelled"):
        held |= dict.fromkeys(OBJECT)
    return held


def interleaved(recorded: Recorded, shape: Shape, chance: random.Random) -> bytes:
    """The records as stderr without a collector may have them: lines of processes that write at the same
    moment between each other; what goes on from a line stays behind it."""
    renderer = Renderer(shape.prefix, shape.verbosity, recorded.words)
    text = ""
    waiting: list[tuple[Record, list[str]]] = []
    for record in recorded.records:
        pieces = renderer.record(record)
        if waiting and (
            any(record.pid == other.pid for other, _ in waiting)
            or (moment(record) - moment(waiting[0][0])).total_seconds() > 0.3
            or len(waiting) == 3
        ):
            text += _mixed(waiting, chance)
            waiting = []
        waiting.append((record, pieces))
    return (text + _mixed(waiting, chance)).encode()


def _mixed(waiting: list[tuple[Record, list[str]]], chance: random.Random) -> str:
    left = [list(pieces) for _, pieces in waiting]
    text = ""
    while any(left):
        text += chance.choice([pieces for pieces in left if pieces]).pop(0)
    return text


def kinds(rows: Iterable[Row]) -> Counter[str]:
    """How many of each kind."""
    return Counter(row["kind"] for row in rows)
