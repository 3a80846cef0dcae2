"""The words of a log in all languages: the file that is installed is the one that people read and mend."""

from __future__ import annotations

from tests.support import log_words


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
