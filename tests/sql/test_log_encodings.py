"""A database logs in its own encoding, its server's messages, too: what they say is understood, what people
wrote is kept as the bytes that it was."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from lockmon.install import SQL_FOLDER
from tests.support import log_compare, recordings, strangers
from tests.support.log_compare import Row, against_csvlog
from tests.support.log_prefixes import Shape
from tests.support.log_record_encodings import RECORDED, files_of
from tests.support.log_render import DEFAULT, VERBOSE, Record, Renderer, write_csv, write_json
from tests.support.servers import Server

ENCODINGS = {
    "de": ("latin-1", "latin2"),
    "en": ("latin-1", "koi8-r"),
    "es": ("latin-1",),
    "fr": ("latin-1", "iso8859-15"),
    "it": ("latin-1",),
    "ja": ("euc-jp",),
    "ko": ("euc-kr",),
    "ru": ("koi8-r", "cp1251", "iso8859-5", "cp866"),
    "sv": ("latin-1",),
    "uk": ("koi8-u", "cp1251", "iso8859-5"),
    "zh_CN": ("gb2312",),
}
"""Python's names of the encodings that a server may have beside UTF8 and that hold the language."""
PAIRS = [(language, codec) for language, codecs_ in ENCODINGS.items() for codec in codecs_]
PREFIX = "%m [%p] "
TEXTS = ("user_name", "database_name", "application_name", "object_text", "statement", "context")
INSTEAD = {"\u2019": "'", "«": "<<", "»": ">>", "„": '"', "“": '"', "”": '"'}
"""What the C library writes where an encoding lacks a letter of a message; else a question mark."""


def _instead(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    return INSTEAD.get(error.object[error.start], "?"), error.start + 1


codecs.register_error("as_iconv", _instead)


def recorded_in(language: str, codec: str) -> list[Record]:
    """What was recorded, with the letters that this encoding has."""
    return [
        Record(**{name: text.encode(codec, "as_iconv").decode(codec) for name, text in vars(record).items()})
        for record in recordings.load(language).records
    ]


def kept(vault: psycopg.Connection[Any], text: str | None, codec: str) -> str | None:
    """What the vault shows of a text whose bytes are no UTF-8."""
    if text is None or text.isascii():
        return text
    found = vault.execute(
        "SELECT lock_catalog.readable_bytes(%s, 'UTF8', false)", [text.encode(codec, "as_iconv")]
    ).fetchone()
    assert found is not None
    return str(found[0])


def expected(vault: psycopg.Connection[Any], rows: list[Row], codec: str) -> list[Row]:
    """The events of a database in UTF8 as those of one in another encoding are stored."""
    return [row | {name: kept(vault, row[name], codec) for name in TEXTS} | {"detail": None} for row in rows]


def compared(
    vault: psycopg.Connection[Any], language: str, codec: str, form: str, data: bytes, shape: Shape | None
) -> None:
    """One reading, against the csvlog in UTF-8; what a detail says beside texts is compared apart."""
    recorded = recordings.load(language)
    of_csv, _, _ = log_compare.read(vault, "csvlog", recorded.csvlog)
    vault.rollback()
    rows, unreadable, _ = log_compare.read(vault, form, data, shape.prefix if shape else None)
    true = expected(vault, of_csv, codec)
    details = [_numbers(row) for row in rows]
    for row in rows:
        row["detail"] = None
    assert against_csvlog(rows, true, recorded, shape) == []
    assert details == [_numbers(row) for row in of_csv]
    assert unreadable == 0


def _numbers(row: Row) -> Any:
    """What a detail says that is no text: processes, modes, objects; and whose statements it has."""
    detail = row["detail"]
    return detail and {k: sorted(v) if k == "statements" else v for k, v in detail.items()}


@pytest.mark.parametrize(("form", "write"), [("csvlog", write_csv), ("jsonlog", write_json)])
@pytest.mark.parametrize(("language", "codec"), PAIRS)
def test_csvlog_and_jsonlog_of_a_database_in_any_encoding(
    vault: psycopg.Connection[Any],
    language: str,
    codec: str,
    form: str,
    write: Callable[[list[Record]], bytes],
) -> None:
    data = write(recorded_in(language, codec)).decode().encode(codec)
    compared(vault, language, codec, form, data, None)


@pytest.mark.parametrize("verbosity", [DEFAULT, VERBOSE])
@pytest.mark.parametrize(("language", "codec"), PAIRS)
def test_stderr_of_a_database_in_any_encoding(
    vault: psycopg.Connection[Any], language: str, codec: str, verbosity: str
) -> None:
    words = recordings.load(language).words
    text = Renderer(PREFIX, verbosity, words).text(recorded_in(language, codec))
    compared(vault, language, codec, "stderr", text.encode(codec, "as_iconv"), Shape(PREFIX, verbosity))


@pytest.mark.parametrize("form", ["csvlog", "stderr"])
@pytest.mark.parametrize(("language", "encoding"), RECORDED)
def test_what_a_real_server_logged_there(
    vault: psycopg.Connection[Any], language: str, encoding: str, form: str
) -> None:
    files = files_of(language, encoding)
    data = files["csv" if form == "csvlog" else "log"].read_bytes()
    with pytest.raises(UnicodeDecodeError):
        data.decode()
    pids = json.loads(files["json"].read_text())
    rows, unreadable, _ = log_compare.read(vault, form, data, PREFIX if form == "stderr" else None)
    assert unreadable == 0 and {row["pid"] for row in rows} == {pids["loser"]}
    found = {row["kind"]: row for row in rows}
    assert sorted(found) == sorted(["deadlock_wait", "deadlock", "not_available", "waiting", "lock_timeout"])
    assert log_compare.edges_of(found["deadlock"]) == [
        [pids["loser"], "ShareLock", pids["holder"]],
        [pids["holder"], "ShareLock", pids["loser"]],
    ]
    assert found["deadlock"]["detail"]["statements"] == {
        str(pids["loser"]): "UPDATE t SET n = n WHERE id = 2",
        str(pids["holder"]): "UPDATE t SET n = n WHERE id = 1",
    }
    for kind in ("deadlock_wait", "waiting"):
        assert (found[kind]["lock_mode"], found[kind]["lock_type"]) == ("ShareLock", "transactionid"), kind
        assert found[kind]["detail"]["holders"] == [str(pids["holder"])], kind
    assert found["lock_timeout"]["object_text"] == 'tuple (0,1) in relation "t"'
    assert '"t"' in found["not_available"]["object_text"]
    assert found["lock_timeout"]["statement"] == "UPDATE t SET n = n WHERE id = 1"


@pytest.mark.parametrize(
    ("encoding", "codec", "language"),
    [
        ("LATIN1", "utf-8", "en"),
        ("LATIN1", "latin-1", "fr"),
        ("LATIN1", "utf-8", "de"),
        ("EUC_JP", "euc-jp", "ja"),
        ("WIN1251", "cp1251", "ru"),
    ],
)
def test_a_vault_in_another_encoding_reads_its_own_languages(
    server: Server, encoding: str, codec: str, language: str
) -> None:
    recorded = recordings.load(language)
    records = recorded_in(language, "latin-1" if encoding == "LATIN1" else codec)
    data = write_csv(records).decode().encode(codec)
    text = Renderer(PREFIX, DEFAULT, recorded.words).text(records)
    with strangers.vault_in(server, encoding) as place, psycopg.connect(place) as vault:
        rows, unreadable, _ = log_compare.read(vault, "csvlog", data)
        assert unreadable == 0
        assert sorted(fact.kind for fact in recorded.facts) == sorted(row["kind"] for row in rows)
        assert log_compare.rings_of(rows) == log_compare.true_rings(recorded)
        of_csv = {(row["kind"], row["pid"], row["object_text"], row["lock_type"]) for row in rows}
        vault.rollback()
        rows, unreadable, _ = log_compare.read(vault, "stderr", text.encode(codec), PREFIX)
        assert unreadable == 0
        assert {(row["kind"], row["pid"], row["object_text"], row["lock_type"]) for row in rows} == of_csv


def test_a_vault_in_latin1_says_what_it_cannot_read(server: Server) -> None:
    recorded = recordings.load("ja")
    waits = [fact for fact in recorded.facts if fact.columns["lock_mode"]]
    with strangers.vault_in(server, "LATIN1") as place, psycopg.connect(place) as vault:
        rows, unreadable, _ = log_compare.read(vault, "csvlog", recorded.csvlog)
        assert {row["kind"] for row in rows} >= {"deadlock", "not_available", "lock_timeout"}
        assert len(waits) > 5 and unreadable == len(waits)
        assert log_compare.rings_of(rows) == log_compare.true_rings(recorded)


def test_no_file_asks_for_a_letter_that_an_encoding_may_lack() -> None:
    """PostgreSQL works chr() of a constant out while it plans, in a branch that is not taken, too."""
    found = [
        path.name
        for path in SQL_FOLDER.rglob("*.sql")
        if re.search(r"\bchr\((?:1[3-9]\d|12[89]|[2-9]\d\d|\d{4,})\)", path.read_text(encoding="utf-8"))
    ]
    assert found == []
