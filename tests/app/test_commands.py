"""The commands over the vault: what they print, their JSON, their exit codes, their sentences."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connections

from tests.conftest import OpenSession
from tests.support.loops import rows

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "vault"])


def run(command: str, *arguments: str) -> tuple[int, str]:
    """The exit code and what was printed."""
    out = io.StringIO()
    try:
        call_command(command, *arguments, stdout=out)
    except SystemExit as ended:
        return int(ended.code or 0), out.getvalue()
    return 0, out.getvalue()


def refused(command: str, *arguments: str) -> str:
    """The sentence of a command that is refused."""
    with pytest.raises(CommandError) as error:
        call_command(command, *arguments, stdout=io.StringIO())
    assert error.value.returncode != 0
    text = str(error.value)
    assert text.endswith(".")
    assert "\n" not in text
    return text


@pytest.fixture
def blocked(vault_db: str, session: OpenSession) -> int:
    """The pid of a session that another one waits for."""
    holder, waiter = session(vault_db), session(vault_db)
    holder.run("SELECT pg_advisory_xact_lock(31, 1)")
    waiter.start("SELECT pg_advisory_xact_lock(31, 1)")
    waiter.wait_blocked()
    return holder.pid


def test_capture_counts_locks(vault_db: str, blocked: int) -> None:
    code, text = run("lockmon_capture")
    assert code == 0
    assert "captured" in text
    found: list[dict[str, Any]] = json.loads(run("lockmon_capture", "--json")[1])
    assert found[0]["locks_captured"] > 0


def test_blocking_names_the_session(vault_db: str, blocked: int) -> None:
    code, text = run("lockmon_blocking")
    assert code == 0
    assert f"pid {blocked}: 1 session behind it" in text
    (row,) = json.loads(run("lockmon_blocking", "--json")[1])
    assert row["blocking_session_id"] == blocked
    assert run("lockmon_blocking", "--fail-on", "LOW")[0] == 3
    assert run("lockmon_blocking", "--fail-on", "CRITICAL")[0] == 0


def test_nobody_blocking_is_said(vault_db: str) -> None:
    assert run("lockmon_blocking") == (0, "Nobody is blocking anybody.\n")
    assert json.loads(run("lockmon_blocking", "--json")[1]) == []


def test_a_cycle_says_what_it_found(vault_db: str, blocked: int) -> None:
    code, text = run("lockmon_cycle")
    assert code == 0
    assert "waits behind" in text
    assert rows(vault_db, "SELECT 1 FROM lock_monitoring.blocking_session_s")


def test_a_skipped_cycle_has_an_exit_code_of_its_own(vault_db: str, session: OpenSession) -> None:
    session(vault_db).run("SELECT pg_advisory_xact_lock(460, 1)")
    code, text = run("lockmon_cycle")
    assert code == 2
    assert text.startswith("skipped")


def test_deadlocks_of_a_quiet_database(vault_db: str) -> None:
    assert run("lockmon_deadlocks", "--last", "0") == (0, "No deadlock now.\n")


def test_analysis_and_cleanup(vault_db: str) -> None:
    assert run("lockmon_analyze", "--hours", "1")[0] == 0
    code, text = run("lockmon_cleanup", "--days", "7")
    assert code == 0
    assert "coverage of the monitor itself: 0" in text
    assert json.loads(run("lockmon_cleanup", "--json")[1])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("lockmon_cleanup", "--days", "-1"), "--days must be at least 1"),
        (("lockmon_analyze", "--hours", "0"), "--hours must be at least 1"),
        (("lockmon_cycle", "--tenant", "nobody"), "There is no tenant 'nobody'"),
        (("lockmon_cycle", "--tenant", "\\xzz"), "is not a key"),
        (("lockmon_cycle", "--tenant", "\\x00ff"), "There is no tenant"),
        (("lockmon_capture", "--vault", "elsewhere"), "There is no vault 'elsewhere'"),
    ],
)
def test_bad_input_gives_one_sentence(vault_db: str, arguments: tuple[str, ...], words: str) -> None:
    assert words in refused(*arguments)


def test_a_database_without_the_vault_gives_one_sentence(vault_db: str) -> None:
    place = connections["vault"].settings_dict
    name = place["NAME"]
    connections["vault"].close()
    place["NAME"] = "postgres"
    try:
        assert "lockmon_deploy" in refused("lockmon_cycle")
        assert "lockmon_deploy" in refused("lockmon_monitor", "--seconds", "1")
    finally:
        connections["vault"].close()
        place["NAME"] = name


def test_a_database_out_of_reach_gives_one_sentence(vault_db: str) -> None:
    place = connections["vault"].settings_dict
    name = place["NAME"]
    connections["vault"].close()
    place["NAME"] = "no_such_database"
    try:
        assert "does not exist" in refused("lockmon_cycle")
    finally:
        connections["vault"].close()
        place["NAME"] = name
