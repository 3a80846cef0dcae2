"""The table of reach: what each function that runs with its owner's rights may touch."""

from __future__ import annotations

import pytest

from tests.support import reach

READERS = {"lock_engine.read_site": "lock_site_reader"}
"""Who touches tables of others, and as whom: a role that has nothing else."""


@pytest.fixture(scope="module")
def found() -> reach.Reach:
    """What the server reads in the bodies of this tree's functions."""
    if not (reach.DEBIAN / "postgres").exists() or not reach.CONTROL.exists():
        pytest.skip("needs Debian's postgresql-15 and postgresql-15-plpgsql-check")
    return reach.of_this_tree()


def test_nothing_of_others_is_touched_but_by_a_role_that_has_nothing(found: reach.Reach) -> None:
    assert len(found.definers) > 40 and not found.unread
    for function, owner in found.definers.items():
        others = {(kind, name) for kind, name in found.of(function) if name.split(".")[0] not in reach.OURS}
        if function in READERS:
            assert owner == READERS[function] and others, function
        else:
            assert not others, function


def test_what_runs_text_was_read_by_a_person(found: reach.Reach) -> None:
    """A new one fails: read it, and add it to BY_HAND with what of others it touches."""
    assert found.runs_text == set(reach.BY_HAND)


def test_the_table_is_as_written_down(found: reach.Reach) -> None:
    """Whoever makes a function reach further sees how far: look at the difference, then write it anew."""
    written = reach.TABLE.read_text(encoding="utf-8").splitlines()
    assert list(found.lines()) == written, "python -m tests.support.reach > tests/data/reach.txt"
