"""The mutations of `make mutants`: what is changed, and what is said to be equivalent."""

from __future__ import annotations

from tests.support.mutants import ROOT, SUBJECTS, chosen, known, mutations


def test_numbers_and_comparisons_are_changed_and_nothing_else() -> None:
    found = {one.after.strip() for one in mutations("severity", ROOT / "sql/lock_engine/severity.sql")}
    line = "WHEN p_longest_seconds >= 60 OR p_blocked >= 10 AND p_longest_seconds >= 2 THEN 'HIGH'"
    for before, after in (
        (">= 60", "> 60"),
        ("60", "61"),
        ("60", "30"),
        (">= 10", "> 10"),
        ("10", "5"),
        ("2 ", "1 "),
    ):
        assert line.replace(before, after, 1) in found
    assert not any(one.startswith(("--", "'CRITICAL")) for one in found)
    python = {one.after.strip() for one in mutations("sandbox", ROOT / "lockmon/vault.py")}
    assert '"tcp_user_timeout": 20001,' in python


def test_bits_of_modes_stay_bits() -> None:
    found = [
        one
        for one in mutations("graph", ROOT / "sql/lock_catalog/graph_of_groups.sql")
        if "& 4 " in one.before
    ]
    assert found and not any("& 5 " in one.after for one in found)


def test_each_subject_has_files_and_tests() -> None:
    for subject, (patterns, tests) in SUBJECTS.items():
        for pattern in patterns:
            assert list(ROOT.glob(pattern)), (subject, pattern)
        for test in tests:
            assert (ROOT / test).exists(), (subject, test)
    assert chosen(7, 16) == chosen(7, 16) != chosen(8, 16)


def test_what_is_said_to_be_equivalent_is_still_a_mutation() -> None:
    for path, after in known():
        made = {one.after.strip() for one in mutations("any", ROOT / path)}
        assert after in made, (path, after)
