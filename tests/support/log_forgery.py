"""What an ordinary user can write into a log to look like PostgreSQL's own records about locks."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import psycopg
from psycopg import sql

from tests.support import recordings
from tests.support.log_render import Record

VICTIM = 4242
"""A process that has nothing to do with it."""
NAMES = (
    "forge",
    'f"() line 1 at SQL statement\nwhile updating tuple (0,1) in relation "accounts',
    "f\n\tERROR:  deadlock detected",
    'x() line 3 at assignment\nSQL statement "UPDATE accounts',
    "2026-11-30 01:48:15.744 UTC [4242] ERROR:  40P01: deadlock detected",
)
"""Names of functions; each comes into CONTEXT."""
_WAYS = (
    "BEGIN RAISE {level} USING MESSAGE = {message}, DETAIL = {detail}, ERRCODE = {code}; END",
    "BEGIN PERFORM 1 / 0; EXCEPTION WHEN division_by_zero THEN"
    " RAISE {level} USING MESSAGE = {message}, DETAIL = {detail}, ERRCODE = {code}; END",
    "BEGIN BEGIN RAISE EXCEPTION USING MESSAGE = {message}, DETAIL = {detail}, ERRCODE = {code};"
    " EXCEPTION WHEN OTHERS THEN RAISE; END; END",
)


def _about_locks() -> list[Record]:
    return [
        record
        for language in recordings.LANGUAGES
        for record in recordings.load(language).records
        if ("Lock" in record.message and record.context.find("RAISE") < 0)
        or record.sqlstate in ("40P01", "55P03", "57014")
    ]


def write(connection: psycopg.Connection[Any], chance: random.Random, count: int) -> None:
    """Write so many forgeries into the log of a real server, as whoever the connection is; it has to be in
    autocommit mode. Each tells of the connection's own process, and of VICTIM."""
    pid = str(connection.info.backend_pid)
    genuine = _about_locks()
    for number in range(count):
        record = chance.choice(genuine)
        texts = [text.replace(record.pid, pid) for text in (record.message, record.detail)]
        level = "LOG" if record.sqlstate == "00000" else chance.choice(("EXCEPTION", "LOG"))
        body = sql.SQL(_WAYS[number % len(_WAYS)]).format(
            level=sql.SQL(level),
            message=sql.Literal(texts[0]),
            detail=sql.Literal(texts[1]),
            code=sql.Literal(record.sqlstate if level == "EXCEPTION" else "00000"),
        )
        name = sql.Identifier(f"{NAMES[number % len(NAMES)]} {number}"[:60])
        looks = f"{record.at} [{VICTIM}] {record.severity}:  {record.message}"
        statements = (
            sql.SQL("SET application_name = {}").format(sql.Literal(looks)),
            sql.SQL("CREATE FUNCTION pg_temp.{}() RETURNS void LANGUAGE plpgsql AS {}").format(
                name, sql.Literal(body.as_string())
            ),
            sql.SQL("SELECT pg_temp.{}()").format(name) + sql.SQL(f" /* {looks} */"),
            sql.SQL("SELECT {}::int").format(sql.Literal(f"{looks}\n\t{record.detail}")),
        )
        for statement in statements:
            try:
                connection.execute(statement.as_string())
            except psycopg.Error:
                continue


def generate(chance: random.Random, count: int) -> Iterator[tuple[str, Record]]:
    """So many forged records, each with its language: what was really logged about locks, with the CONTEXT
    that the same server writes in that language for a RAISE, in functions of hostile names."""
    by_language = []
    for language in recordings.LANGUAGES:
        records = recordings.load(language).records
        raised = next(record for record in records if "RAISE" in record.context)
        genuine = [r for r in records if "Lock" in r.message or r.sqlstate in ("40P01", "55P03", "57014")]
        by_language.append((language, raised, [r for r in genuine if "RAISE" not in r.context]))
    for number in range(count):
        language, raised, genuine = chance.choice(by_language)
        record = chance.choice(genuine)
        name = f"{chance.choice(NAMES)}{number}"
        context = raised.context.replace("inline_code_block", f'"{name}"()')
        outside = chance.choice(("", record.context, f'SQL statement "SELECT {name}"'))
        pid = str(100_000 + number)
        yield (
            language,
            replace(
                record,
                pid=pid,
                message=record.message.replace(record.pid, pid),
                detail=record.detail.replace(record.pid, pid),
                context="\n".join(filter(None, (context, outside))),
                statement=f"SELECT {name}",
            ),
        )
