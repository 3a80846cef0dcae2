"""The deployment guide's own blocks, in its order, each with what it promises; then our document's.

Where a block is itself wrong, the test says how it fails; docs/deployment.md has what is meant.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from lockmon.install import SQL_FOLDER
from tests.support import sites
from tests.support.documents import Block, blocks, shell
from tests.support.poll import poll
from tests.support.servers import Server, throwaway
from tests.support.sessions import Session

GUIDE = blocks(sites.DATA / "phase4_deployment_guide.md")
OURS = blocks(SQL_FOLDER.parent / "docs" / "deployment.md")


def block(heading: str, number: int = 0) -> Block:
    """The guide's block under a heading that begins like this."""
    found = [one for one in GUIDE if one.heading.startswith(heading)]
    assert len(found) > number, f"the guide has no block {number} under {heading!r}"
    return found[number]


@pytest.fixture(scope="module")
def one_vault() -> Iterator[Server]:
    """A server of its own, as a site has it before the guide's first step."""
    with throwaway() as server:
        server.create_database(name="one_vault")
        yield server


# Several processes may share the tests of this file, each with a server of its own: each takes the steps
# that its tests build upon.
@pytest.fixture(scope="module")
def step_1(one_vault: Server) -> subprocess.CompletedProcess[str]:
    """The guide's step 1, done."""
    return shell(one_vault, block("Step 1").text)


@pytest.fixture(scope="module")
def step_2(one_vault: Server, step_1: subprocess.CompletedProcess[str]) -> subprocess.CompletedProcess[str]:
    """The guide's step 2, done after step 1."""
    assert step_1.returncode == 0, step_1.stderr
    return shell(one_vault, block("Step 2").text)


@pytest.fixture(scope="module")
def deployed(one_vault: Server, step_2: subprocess.CompletedProcess[str]) -> Server:
    """The server after the guide's steps 1 and 2."""
    assert step_2.returncode == 0, step_2.stderr
    return one_vault


@pytest.fixture
def dba(deployed: Server) -> Iterator[psycopg.Connection[Any]]:
    """The DBA in the database one_vault."""
    with psycopg.connect(deployed.dsn("one_vault"), autocommit=True) as connection:
        yield connection


@pytest.fixture
def people(deployed: Server) -> Iterator[list[Session]]:
    """Three sessions of the application in one_vault."""
    opened = [Session(deployed.dsn("one_vault"), application_name=f"session {n}") for n in (1, 2, 3)]
    yield opened
    for one in reversed(opened):
        one.close()


def test_database_permissions(one_vault: Server) -> None:
    *good, last = block("Database Permissions").statements()
    with psycopg.connect(one_vault.dsn("one_vault"), autocommit=True) as dba:
        for statement in good:
            dba.execute(statement)
        assert "pg_terminate_backend(integer)" in last
        if one_vault.version >= 14:
            with pytest.raises(psycopg.errors.UndefinedFunction):
                dba.execute(last)
        else:
            dba.execute(last)


def test_step_1_deploys_the_tables(step_1: subprocess.CompletedProcess[str]) -> None:
    assert step_1.returncode == 0, step_1.stderr
    wanted = re.findall(r"^ lock_monitoring \| (\w+)", block("Step 1", 1).text, re.MULTILINE)
    assert len(wanted) == 10
    assert re.findall(r"^ lock_monitoring \| (\w+) +\| postgres$", step_1.stdout, re.MULTILINE) == wanted
    assert "(10 rows)" in step_1.stdout


def test_step_2_deploys_the_functions(step_2: subprocess.CompletedProcess[str]) -> None:
    assert step_2.returncode == 0, step_2.stderr
    wanted = re.findall(r"^ (\w+) *\| FUNCTION", block("Step 2", 1).text, re.MULTILINE)
    assert len(wanted) == 7
    assert re.findall(r"^ (\w+) *\| FUNCTION", step_2.stdout, re.MULTILINE) == wanted
    assert "(7 rows)" in step_2.stdout


def test_step_3_shows_the_indexes(deployed: Server) -> None:
    done = shell(deployed, block("Step 3").text)
    assert done.returncode == 0, done.stderr
    contract = json.loads((sites.DATA / "contract.json").read_text(encoding="utf-8"))
    wanted = {index["name"] for index in contract["indexes"]}
    assert len(wanted) == 12
    assert wanted <= set(re.findall(r"\| (idx_\w+) ", done.stdout))


def test_step_4_runs_the_functions(deployed: Server) -> None:
    done = shell(deployed, block("Step 4").text)
    assert done.returncode == 0, done.stderr
    assert "locks_captured" in done.stdout
    assert "blocking_session_id" in done.stdout
    assert "deadlock_detected" in done.stdout


def test_steps_5_and_6_run_from_a_script_and_from_cron(deployed: Server, tmp_path: Path) -> None:
    def here(text: str) -> str:
        return text.replace("/opt/one_vault/scripts", str(tmp_path)).replace(
            "/var/log/one_vault", str(tmp_path)
        )

    done = shell(deployed, here(block("Step 5").text))
    assert done.returncode == 0, done.stderr
    script = tmp_path / "lock_monitoring.sh"
    script.write_text(script.read_text().replace('PGUSER="postgres"', 'export PGUSER="postgres"'))
    cron = [
        line.split(maxsplit=5) for line in block("Step 6").text.splitlines() if line.startswith(("*", "0"))
    ]
    assert [words[:5] for words in cron] == [
        ["*/5", "*", "*", "*", "*"],
        ["0", "*", "*", "*", "*"],
        ["0", "2", "*", "*", "*"],
    ]
    for words in cron:
        ran = shell(deployed, here(words[5]))
        assert ran.returncode == 0, ran.stderr
    log = (tmp_path / "lock_monitoring.log").read_text()
    assert "Lock monitoring cycle completed" in log
    assert "monitoring_summary" in log
    assert "ERROR" not in log
    assert "efficiency_score" in (tmp_path / "lock_analysis.log").read_text()
    assert "records_cleaned" in (tmp_path / "lock_cleanup.log").read_text()


def test_test_1_a_lock_is_captured(dba: psycopg.Connection[Any], people: list[Session]) -> None:
    begin, select, capture, look, rollback = block("Test 1").statements()
    assert (begin, rollback) == ("BEGIN", "ROLLBACK")
    people[0].run(select)
    row = dba.execute(capture).fetchone()
    assert row is not None
    assert row[0] >= 1
    captured = dba.execute(look).fetchall()
    assert ("relation", "RowShareLock", "auth.user_h", True) in [tuple(line[:4]) for line in captured]
    people[0].run("ROLLBACK")


def test_test_2_a_blocker_is_detected(dba: psycopg.Connection[Any], people: list[Session]) -> None:
    _begin, first, second, detect, look, _rollback = block("Test 2").statements()
    dba.execute(
        """
        INSERT INTO auth.user_h (user_hk, user_bk, tenant_hk, record_source)
        SELECT 'u', 'test_user', t.tenant_hk, 'TEST' FROM auth.tenant_h AS t LIMIT 1;
        INSERT INTO auth.user_profile_s (user_hk, hash_diff, email, record_source)
        VALUES ('u', 'h', 'test@example.com', 'TEST')
        """
    )
    people[0].run(first)
    people[1].start(second)
    people[1].wait_blocked()
    found = poll(
        lambda: dba.execute(detect).fetchall(), 15, "the wait reaching the 5 seconds that the guide asks for"
    )
    assert [line[:2] for line in found] == [(people[0].pid, 1)]
    assert found[0][2] >= 5
    shown = dba.execute(look).fetchall()
    assert [line[:2] for line in shown] == [(people[0].pid, 1)]
    assert shown[0][2] in ("LOW", "MEDIUM", "HIGH", "CRITICAL")
    assert shown[0][3]
    people[0].run("ROLLBACK")
    people[1].result()


def test_test_3_the_dashboards_answer(dba: psycopg.Connection[Any]) -> None:
    counted = block("Test 3").statements()
    assert len(counted) == 4
    for statement in counted:
        assert dba.execute(statement).fetchone() is not None


def test_test_4_times_a_capture(dba: psycopg.Connection[Any]) -> None:
    # how long a capture takes is the benchmarks' business, tests/bench/bench_cycle.py
    dba.execute("SELECT * FROM lock_monitoring.capture_lock_activity()")
    (statement,) = block("Test 4").statements()
    plan = "\n".join(line for (line,) in dba.execute(statement))
    assert "Function Scan on capture_lock_activity" in plan
    assert re.search(r"Execution Time: [\d.]+ ms", plan)


@pytest.mark.slow
def test_test_5_a_thousand_captures_stay_small(deployed: Server, dba: psycopg.Connection[Any]) -> None:
    done = shell(deployed, f"psql -d one_vault <<'EOF'\n{block('Test 5').text}\nEOF")
    assert done.returncode == 0, done.stderr
    assert "ERROR" not in done.stderr
    assert "lock_activity_s" in done.stdout
    row = dba.execute("SELECT pg_total_relation_size('lock_monitoring.lock_activity_s')").fetchone()
    assert row is not None
    assert row[0] < 2_000_000


@pytest.mark.parametrize("heading", ["Lock Activity Metrics", "Blocking Session Metrics"])
def test_the_metrics_answer(dba: psycopg.Connection[Any], heading: str) -> None:
    (statement,) = block(heading).statements()
    dba.execute(statement).fetchall()


def test_the_alert_is_inserted_word_for_word_and_versioned(dba: psycopg.Connection[Any]) -> None:
    insert = block("Alert Thresholds").text
    key = "SELECT sha256('LOCK_CRITICAL_BLOCKING')"
    dba.execute(insert)
    dba.execute(insert)
    versions = dba.execute(
        f"SELECT load_date, load_end_date FROM monitoring.alert_configuration_s "
        f"WHERE alert_config_hk = ({key}) ORDER BY load_date"
    ).fetchall()
    assert len(versions) >= 2
    assert [end is None for _start, end in versions] == [False] * (len(versions) - 1) + [True]
    assert all(end == versions[n + 1][0] for n, (_start, end) in enumerate(versions[:-1])), (
        "no gap, no overlap"
    )
    hubs = dba.execute(
        f"SELECT alert_config_bk FROM monitoring.alert_configuration_h WHERE alert_config_hk = ({key})"
    ).fetchall()
    assert len(hubs) == 1


def test_two_versions_in_one_transaction(dba: psycopg.Connection[Any]) -> None:
    with dba.transaction(force_rollback=True):
        for _ in range(3):
            dba.execute(block("Alert Thresholds").text)
        row = dba.execute(
            "SELECT count(*) FILTER (WHERE load_end_date IS NULL), count(DISTINCT load_date) >= 3 "
            "FROM monitoring.alert_configuration_s WHERE alert_config_hk = sha256('LOCK_CRITICAL_BLOCKING')"
        ).fetchone()
        assert row == (1, True)


def test_two_editors_at_once_make_two_versions(people: list[Session], dba: psycopg.Connection[Any]) -> None:
    insert = block("Alert Thresholds").text
    people[0].run(insert)
    people[1].start(insert)
    people[1].wait_blocked()
    people[0].run("COMMIT")
    people[1].result()
    people[1].run("COMMIT")
    row = dba.execute(
        "SELECT count(*) FROM monitoring.alert_configuration_s "
        "WHERE alert_config_hk = sha256('LOCK_CRITICAL_BLOCKING') AND load_end_date IS NULL"
    ).fetchone()
    assert row == (1,)


@pytest.mark.parametrize("heading", ["Issue 1", "Issue 2", "Issue 3"])
def test_the_troubleshooting_answers(dba: psycopg.Connection[Any], heading: str) -> None:
    for statement in block(heading).statements():
        dba.execute(statement)


def test_index_optimization(dba: psycopg.Connection[Any]) -> None:
    wrong, create = block("Index Optimization").statements()
    with pytest.raises(psycopg.errors.UndefinedColumn):
        dba.execute(wrong)
    dba.execute(wrong.replace("tablename", "relname").replace("indexname", "indexrelname"))
    dba.execute(create)


def test_data_retention(dba: psycopg.Connection[Any]) -> None:
    (statement,) = block("Data Retention").statements()
    assert dba.execute(statement).fetchall()


def test_the_steps_again_leave_the_sites_extra_index(deployed: Server, dba: psycopg.Connection[Any]) -> None:
    _wrong, create = block("Index Optimization").statements()
    dba.execute(create.replace("CREATE INDEX CONCURRENTLY ", "CREATE INDEX CONCURRENTLY IF NOT EXISTS "))
    for heading in ("Step 1", "Step 2"):
        done = shell(deployed, block(heading).text)
        assert done.returncode == 0, done.stderr
    assert dba.execute(
        "SELECT to_regclass('lock_monitoring.idx_lock_activity_s_user_app') IS NULL"
    ).fetchone() == (False,)


@pytest.mark.parametrize(
    "ours",
    [one for one in OURS if one.language in ("sql", "bash") and "manage.py" not in one.text],
    ids=lambda one: one.heading,
)
def test_our_document_runs_as_written(deployed: Server, ours: Block, tmp_path: Path) -> None:
    script = (
        ours.text
        if ours.language == "bash"
        else f"psql -v ON_ERROR_STOP=1 -d one_vault <<'EOF'\n{ours.text}\nEOF"
    )
    done = shell(deployed, script.replace("sql/step_", "step_"))
    assert done.returncode == 0, f"{ours.text}\n{done.stderr}"


def test_our_documents_commands_have_these_options() -> None:
    from django.core.management import load_command_class

    for one in OURS:
        for line in one.text.splitlines():
            if found := re.search(r"manage\.py (lockmon_\w+)(.*)", line):
                parser = load_command_class("lockmon", found[1]).create_parser("manage.py", found[1])
                known = {option for action in parser._actions for option in action.option_strings}
                assert set(re.findall(r"--[a-z-]+", found[2])) <= known, line
