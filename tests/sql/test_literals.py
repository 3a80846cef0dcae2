"""hide_literals: one table of cases for both languages, and both the same for whatever they are given."""

from __future__ import annotations

import random
from collections.abc import Iterator

import psycopg
import pytest

from lockmon import literals
from tests.support.literals import HIDDEN, NAME, NUMBERS, PIECES, SHOWN, statement
from tests.support.servers import Server


@pytest.fixture(scope="module")
def vault(server: Server, template_vault: str) -> Iterator[psycopg.Connection[tuple[str]]]:
    """One database for all tests of this file."""
    name = server.create_database(template=template_vault)
    with psycopg.connect(server.dsn(name), autocommit=True) as connection:
        yield connection
    server.drop_database(name)


def by_sql(vault: psycopg.Connection[tuple[str]], text: str) -> str:
    row = vault.execute("SELECT lock_engine.hide_literals(%s)", [text]).fetchone()
    assert row is not None
    return str(row[0])


def by_python(text: str) -> str:
    shown = literals.hide_literals(text)
    assert shown is not None
    return shown


@pytest.mark.parametrize(("text", "shown"), SHOWN)
def test_what_is_shown(vault: psycopg.Connection[tuple[str]], text: str, shown: str) -> None:
    assert " ".join(by_sql(vault, text).split()) == shown
    assert " ".join(by_python(text).split()) == shown


@pytest.mark.parametrize("text", HIDDEN)
def test_what_is_never_shown(vault: psycopg.Connection[tuple[str]], text: str) -> None:
    for secret in (NAME, *NUMBERS):
        written = text.replace("{}", secret)
        for cut in (len(written), written.rfind(secret[-4:]) + 2):
            for found in (by_sql(vault, written[:cut]), by_python(written[:cut])):
                left = [piece for piece in ("4111", "jane", "doe", "example") if piece in found]
                assert not left, (written[:cut], found)


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize(
    "around", ["SELECT {}", "a={}", "({})", "t.{}", "x[{}]", "'a'{}", '"a"{}', "+{}", "$1{}"]
)
def test_no_number_is_shown(vault: psycopg.Connection[tuple[str]], number: str, around: str) -> None:
    if around == "$1{}" and not number.startswith("-"):
        pytest.skip("that is a parameter with more digits")
    text = around.replace("{}", number)
    assert "4111" not in by_sql(vault, text) and "4111" not in by_python(text)


def test_both_languages_say_the_same_of_anything(vault: psycopg.Connection[tuple[str]]) -> None:
    made = random.Random(15)
    texts = ["".join(made.choices(PIECES, k=made.randint(1, 14))) for _ in range(6000)]
    with vault.cursor() as cursor:
        cursor.execute("SELECT array_agg(lock_engine.hide_literals(t) ORDER BY n) FROM unnest(%s::text[])"
                       " WITH ORDINALITY AS u (t, n)", [texts])  # fmt: skip
        row = cursor.fetchone()
    assert row is not None
    different = [
        (text, ours, by_python(text))
        for text, ours in zip(texts, row[0], strict=True)
        if ours != by_python(text)
    ]
    assert different == []


def test_no_constant_of_a_statement_is_shown_whatever_stands_around_it(
    vault: psycopg.Connection[tuple[str]],
) -> None:
    """By construction: what is a constant or a comment for PostgreSQL is known here without reading it."""
    made = random.Random(29)
    texts = [statement(made) for _ in range(4000)]
    row = vault.execute(
        "SELECT array_agg(lock_engine.hide_literals(t) ORDER BY n) FROM unnest(%s::text[])"
        " WITH ORDINALITY AS u (t, n)",
        [texts],
    ).fetchone()
    assert row is not None
    for text, by_them in zip(texts, row[0], strict=True):
        for shown in (by_them, by_python(text)):
            left = [piece for piece in ("4111", "jane", "doe", "example") if piece in shown]
            assert not left, (text, shown)


def test_hiding_twice_shows_no_more_and_long_texts_are_quick(vault: psycopg.Connection[tuple[str]]) -> None:
    vault.execute("SET statement_timeout = '5s'")
    for text in (
        "/* " * 7000, "/* " + "/* x */" * 3000, "/" * 20000, "*" * 20000, "/*" + "*" * 20000,
        "set a " * 4000, "set " + "a" * 20000, "1." * 10000, "1e-" * 7000, "'\\" * 10000,
        "alter options(" * 2000, ";set " * 4000,
    ):  # fmt: skip
        shown = by_sql(vault, text)
        assert len(shown) <= 2 * len(text)
    vault.execute("RESET statement_timeout")
