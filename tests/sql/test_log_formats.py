"""The same records in csvlog, jsonlog and stderr, of a real server in twelve languages, any prefix.

Each record as it is stored is compared with the other formats and with what the clients got
(tests.support.log_scenes is what was played). tests/sql/test_log_rendering.py proves that the stderr text
made here is what PostgreSQL writes.
"""

from __future__ import annotations

import random
from typing import Any

import psycopg
import pytest

from tests.support import log_compare, recordings
from tests.support.log_compare import against_clients, against_csvlog
from tests.support.log_prefixes import Shape, shapes
from tests.support.log_render import Renderer

SEED = 16
SHAPES = shapes(SEED, 40)
SAMPLE = 1
"""Prefixes for each language in the quick run; all of them with the mark long."""


def languages(what: str, count: int = 3) -> list[Any]:
    """All of them, so many in the quick run and the others with the mark long; others for each test."""
    quick = random.Random(f"{SEED} {what}").sample(recordings.LANGUAGES, count)
    return [
        language if language in quick else pytest.param(language, marks=pytest.mark.long)
        for language in recordings.LANGUAGES
    ]


def rendered(recorded: recordings.Recorded, shape: Shape) -> bytes:
    """The recorded play as stderr of this shape."""
    return Renderer(shape.prefix, shape.verbosity, recorded.words).text(recorded.records).encode()


def sample(language: str, count: int, what: str) -> list[Shape]:
    """The same ones each time, others for each language and test."""
    return random.Random(f"{SEED} {language} {what}").sample(SHAPES, count)


@pytest.mark.parametrize("language", recordings.LANGUAGES)
def test_csvlog_holds_what_the_clients_got(vault: psycopg.Connection[Any], language: str) -> None:
    recorded = recordings.load(language)
    rows, unreadable, _ = log_compare.read(vault, "csvlog", recorded.csvlog)
    assert (against_clients(rows, recorded), unreadable) == ([], 0)


@pytest.mark.parametrize("language", recordings.LANGUAGES)
def test_jsonlog_and_stderr_as_they_were_written(vault: psycopg.Connection[Any], language: str) -> None:
    recorded = recordings.load(language)
    of_csv, _, _ = log_compare.read(vault, "csvlog", recorded.csvlog)
    assert log_compare.read(vault, "jsonlog", recorded.jsonlog)[2] == 0
    assert log_compare.read(vault, "stderr", recorded.stderr, "%m [%p] ")[2] == 0
    vault.rollback()
    rows, unreadable, _ = log_compare.read(vault, "jsonlog", recorded.jsonlog)
    assert (against_csvlog(rows, of_csv, recorded, None), unreadable) == ([], 0)
    vault.rollback()
    rows, unreadable, _ = log_compare.read(vault, "stderr", recorded.stderr, "%m [%p] ")
    assert against_csvlog(rows, of_csv, recorded, Shape("%m [%p] ", "verbose")) == []


def check(vault: psycopg.Connection[Any], language: str, chosen: list[Shape]) -> None:
    """Any stderr: the same events; read after the csvlog nothing is new."""
    recorded = recordings.load(language)
    of_csv, _, _ = log_compare.read(vault, "csvlog", recorded.csvlog)
    problems = {}
    for shape in chosen:
        data = rendered(recorded, shape)
        found = []
        if new := log_compare.read(vault, "stderr", data, shape.prefix)[2]:
            found.append(f"{new} events are stored twice, from csvlog and from stderr")
        vault.rollback()
        rows, unreadable, _ = log_compare.read(vault, "stderr", data, shape.prefix)
        found += against_csvlog(rows, of_csv, recorded, shape)
        if unreadable:
            found.append(f"{unreadable} lines are called unreadable")
        vault.rollback()
        log_compare.read(vault, "csvlog", recorded.csvlog)
        if found:
            problems[shape] = found
    assert problems == {}


@pytest.mark.parametrize("language", recordings.LANGUAGES)
def test_stderr_with_generated_prefixes(vault: psycopg.Connection[Any], language: str) -> None:
    check(vault, language, sample(language, SAMPLE, "prefix"))


@pytest.mark.long
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: f"{shape.prefix} {shape.verbosity}")
@pytest.mark.parametrize("language", recordings.LANGUAGES)
def test_stderr_with_all_prefixes(vault: psycopg.Connection[Any], language: str, shape: Shape) -> None:
    check(vault, language, [shape])


@pytest.mark.parametrize("language", languages("cut"))
@pytest.mark.parametrize("form", ["csvlog", "jsonlog", "stderr"])
def test_pieces_cut_anywhere_are_read_as_one(
    vault: psycopg.Connection[Any], language: str, form: str
) -> None:
    recorded = recordings.load(language)
    shape = sample(language, 1, "cut")[0]
    data = {"csvlog": recorded.csvlog, "jsonlog": recorded.jsonlog}.get(form) or rendered(recorded, shape)
    prefix = shape.prefix if form == "stderr" else None
    whole, _, _ = log_compare.read(vault, form, data, prefix)
    assert len(whole) > 30
    vault.rollback()
    chance = random.Random(f"{SEED} {language} {form}")
    cuts = sorted(chance.sample(range(1, len(data)), 12))
    rows, _, _ = log_compare.read(vault, form, data, prefix, cuts)
    recorded_shape = None if form != "stderr" else shape
    assert [without_ids(row) for row in rows] == [without_ids(row) for row in whole], recorded_shape


def without_ids(row: dict[str, Any]) -> dict[str, Any]:
    """What two readings of one file must agree in."""
    return {k: v for k, v in row.items() if k not in ("event_id", "stored_at", "deadlock_event_hk")}


@pytest.mark.parametrize("language", languages("mixed"))
def test_lines_of_processes_between_each_other(vault: psycopg.Connection[Any], language: str) -> None:
    recorded = recordings.load(language)
    of_csv, _, _ = log_compare.read(vault, "csvlog", recorded.csvlog)
    vault.rollback()
    shape = sample(language, 1, "mixed")[0]
    data = log_compare.interleaved(recorded, shape, random.Random(f"{SEED} {language}"))
    assert sorted(data.splitlines()) != data.splitlines()
    rows, _, _ = log_compare.read(vault, "stderr", data, shape.prefix)
    assert against_csvlog(rows, of_csv, recorded, shape) == []


@pytest.mark.parametrize("language", languages("windows"))
def test_line_ends_of_windows_and_a_byte_order_mark(vault: psycopg.Connection[Any], language: str) -> None:
    recorded = recordings.load(language)
    of_csv, _, _ = log_compare.read(vault, "csvlog", recorded.csvlog)
    vault.rollback()
    shape = sample(language, 1, "windows")[0]
    data = b"\xef\xbb\xbf" + rendered(recorded, shape).replace(b"\n", b"\r\n")
    rows, _, _ = log_compare.read(vault, "stderr", data, shape.prefix)
    assert against_csvlog(rows, of_csv, recorded, shape) == []


@pytest.mark.parametrize("language", languages("ring"))
def test_deadlocks_have_their_participants_and_victims(vault: psycopg.Connection[Any], language: str) -> None:
    recorded = recordings.load(language)
    true = {
        fact.pid: sorted(edge[0] for edge in fact.edges) for fact in recorded.facts if fact.edges is not None
    }
    for form, data in (("csvlog", recorded.csvlog), ("jsonlog", recorded.jsonlog)):
        log_compare.read(vault, form, data)
        rows = vault.execute(
            "SELECT deadlock_victim_pid, involved_pids FROM lock_monitoring.deadlock_history"
        ).fetchall()
        found = {victim: sorted(pids) for victim, pids in rows}
        assert {victim: found.get(victim) for victim in true} == true, form
        vault.rollback()
