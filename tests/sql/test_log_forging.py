"""Nothing that an ordinary user writes into a log proves anything, in any language, verbosity or format."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.conftest import Connect
from tests.support import log_forgery, recordings
from tests.support.log_compare import read
from tests.support.log_play import log_files, settled
from tests.support.log_render import DEFAULT, TERSE, VERBOSE, Renderer, write_csv, write_json
from tests.support.servers import Server

PREFIXES = ("%m [%p] ", "%m [%p] %q%u@%d ", "%t [%p] %e %a ", "%m [%p] %q%a ")
FORGER = "forger"


def counts_nowhere(vault: psycopg.Connection[Any]) -> bool:
    """Whether nothing of what was read is in the vault's history or in a sum."""
    return vault.execute(
        "SELECT (SELECT count(*) FROM lock_monitoring.deadlock_history),"
        " (SELECT count(*) FROM lock_monitoring.deadlock_patterns),"
        " coalesce((SELECT sum(captured) FROM lock_engine.deadlock_ledger_summary()), 0),"
        " coalesce(lock_log.lock_timeouts_between('-infinity', 'infinity'), 0)"
    ).fetchone() == (0, 0, 0, 0)


@pytest.fixture(scope="module")
def forger(server: Server) -> Iterator[str]:
    """An ordinary role, who may do what everybody may."""
    server.execute(f"CREATE ROLE {FORGER} LOGIN")
    yield FORGER
    server.execute(f"DROP OWNED BY {FORGER}")
    server.execute(f"DROP ROLE {FORGER}")


def test_what_a_real_server_logs_for_an_ordinary_user(
    server: Server, vault: psycopg.Connection[Any], vault_db: str, forger: str, connect: Connect
) -> None:
    files = log_files(server)
    before = settled(server, files)
    session = connect(vault_db, user=forger)
    log_forgery.write(session, random.Random(16), 60)
    after = settled(server, files)
    prefix = vault.execute("SHOW log_line_prefix").fetchone()
    assert prefix is not None
    for form, path in files.items():
        data = path.read_bytes()[before[form] : after[form]]
        assert data.count(b"40P01" if form != "stderr" else b"deadlock detected") > 5
        rows, _, _ = read(vault, form, data, prefix[0] if form == "stderr" else None)
        proven = [
            (row["kind"], row["pid"], row["context"])
            for row in rows
            if row["standing"] == "proven" and row["pid"] in (session.info.backend_pid, log_forgery.VICTIM)
        ]
        assert proven == [], form
        assert not any(row["pid"] == log_forgery.VICTIM for row in rows), form
        assert counts_nowhere(vault), form
        vault.rollback()


def forged(count: int) -> list[tuple[str, str, bytes, str | None, str]]:
    """The generated forgeries as files: language, format, text, prefix, verbosity."""
    by_language: dict[str, list[Any]] = {}
    for language, record in log_forgery.generate(random.Random(16), count):
        by_language.setdefault(language, []).append(record)
    files: list[tuple[str, str, bytes, str | None, str]] = []
    for number, (language, records) in enumerate(sorted(by_language.items())):
        third = len(records) // 3
        files.append((language, "csvlog", write_csv(records[:third]), None, ""))
        files.append((language, "jsonlog", write_json(records[third : 2 * third]), None, ""))
        for which, verbosity in enumerate((TERSE, DEFAULT, VERBOSE)):
            prefix = PREFIXES[(number + which) % len(PREFIXES)]
            renderer = Renderer(prefix, verbosity, recordings.load(language).words)
            part = records[2 * third :][which::3]
            files.append((language, "stderr", renderer.text(part).encode(), prefix, verbosity))
    return files


def none_is_proven(vault: psycopg.Connection[Any], count: int) -> None:
    """Read so many forgeries: some are kept as claims, none is proven."""
    claimed = 0
    for language, form, data, prefix, verbosity in forged(count):
        rows, _, _ = read(vault, form, data, prefix)
        wrong = [(row["kind"], row["context"]) for row in rows if row["standing"] != "claimed"]
        assert wrong == [], (language, form, prefix, verbosity)
        claimed += len(rows)
        assert counts_nowhere(vault), (language, form, prefix, verbosity)
        vault.rollback()
    assert claimed > count / 6


def test_generated_forgeries(vault: psycopg.Connection[Any]) -> None:
    none_is_proven(vault, 600)


@pytest.mark.long
def test_ten_thousand_forgeries(vault: psycopg.Connection[Any]) -> None:
    none_is_proven(vault, 10_000)


def test_the_same_records_without_a_raise_are_proven(vault: psycopg.Connection[Any]) -> None:
    """So that the tests above can fail."""
    for language in recordings.LANGUAGES:
        rows, _, _ = read(vault, "csvlog", recordings.load(language).csvlog)
        assert {row["standing"] for row in rows} == {"proven"}, language
        assert not counts_nowhere(vault)
        vault.rollback()
