"""The words of a log in all languages: the file that is installed is the one that people read and mend."""

from __future__ import annotations

import tomllib
from pathlib import Path

import psycopg

from tests.support import log_words

LANGUAGES = tomllib.loads(
    (Path(__file__).resolve().parents[1] / "data" / "log_messages.toml").read_text(encoding="utf-8")
)


def test_the_file_of_words_is_what_the_module_writes() -> None:
    assert log_words.FILE.read_text(encoding="utf-8") == log_words.file_text(), (
        "run: python -m tests.support.log_words"
    )


def test_no_word_hides_another() -> None:
    """Kinds that are asked one after the other: the words of none may hold for an earlier one."""
    order = ["deadlock_wait", "rearranged", "failed_wait", "acquired", "waiting"]
    for place, kind in enumerate(order):
        for word in log_words.WORDS[kind]:
            for before in order[:place]:
                assert not any(other in word for other in log_words.WORDS[before]), (word, before)
    labels = [
        w for kind in ("severity", "detail", "context", "statement", "aside") for w in log_words.WORDS[kind]
    ]
    assert len(labels) == len(set(labels)), "a label is of one part only"


def test_messages_of_languages_without_a_recording_are_understood(vault_db: str) -> None:
    with psycopg.connect(vault_db, autocommit=True) as connection:
        found = {
            message["message"]: connection.execute(
                "SELECT kind, lock_mode, object_text FROM lock_log.classify(NULL, %s, NULL, NULL, 11)",
                [message["message"]],
            ).fetchone()
            for messages in LANGUAGES.values()
            for message in messages
        }
    assert found == {
        message["message"]: (message["kind"], message.get("mode"), message.get("object"))
        for messages in LANGUAGES.values()
        for message in messages
    }


def test_an_encoding_is_told_by_the_words_and_utf_8_by_itself(vault_db: str) -> None:
    cases = {
        ("pl", "iso8859-2"): "LATIN2",
        ("pl", "cp1250"): "WIN1250",
        ("tr", "iso8859-9"): "LATIN5",
        ("pt_BR", "latin-1"): "LATIN1",
        ("ja", "euc-jp"): "EUC_JP",
        ("ko", "euc-kr"): "EUC_KR",
        ("pl", "utf-8"): None,
    }
    with psycopg.connect(vault_db, autocommit=True) as connection:
        for (language, codec), encoding in cases.items():
            text = "\n".join(message["message"] for message in LANGUAGES[language])
            found = connection.execute(
                "SELECT lock_log.record_encoding(encode(%s, 'escape'))", [text.encode(codec, "replace")]
            ).fetchone()
            assert found == (encoding,), (language, codec)
