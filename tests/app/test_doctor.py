"""The doctor: what a sound installation gets, and each thing that can be wrong."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from django.core.management import call_command
from django.db import connections
from django_q.models import Schedule

from lockmon import doctor
from lockmon.monitor import state
from lockmon.schedules import ensure_schedules
from tests.support.loops import running_loop, status
from tests.support.poll import poll

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "vault"])


def run(*arguments: str) -> tuple[int, str]:
    out = io.StringIO()
    try:
        call_command("lockmon_check", *arguments, stdout=out)
    except SystemExit as ended:
        return int(ended.code or 0), out.getvalue()
    return 0, out.getvalue()


def find(name: str, found: list[doctor.Finding]) -> doctor.Finding:
    (one,) = [line for line in found if line.name == name]
    return one


@pytest.fixture
def sound(vault_db: str) -> Iterator[str]:
    """A vault that is watched, with a task queue that has just run something."""
    ensure_schedules()
    state.pulse("vault")
    with running_loop():
        poll(lambda: status(vault_db).state == "watching", what="a watching loop")
        yield vault_db


def test_a_sound_installation_has_no_failure(sound: str) -> None:
    failures = [line for line in doctor.examine("vault") if line.state == doctor.FAILURE]
    assert failures == []
    code, text = run()
    assert code == 0
    assert " 0 failures" in text.splitlines()[-1]


def test_json_holds_every_line(sound: str) -> None:
    found: list[dict[str, Any]] = json.loads(run("--json")[1])
    assert {"server", "table", "function", "privileges", "schedule", "heartbeat"} <= {
        line["section"] for line in found
    }
    assert all(line["meaning"] for line in found)
    assert all(line["remedy"] for line in found if line["state"] == "failure")


def test_nobody_watching_is_a_failure(vault_db: str) -> None:
    ensure_schedules()
    found = doctor.examine("vault")
    assert find("watching", found).state == doctor.FAILURE
    assert "never started" in find("watching", found).meaning
    assert run()[0] == 1


def test_a_missing_standby_is_a_warning(sound: str) -> None:
    assert find("standby", doctor.examine("vault")).state == doctor.WARNING
    assert run("--strict")[0] == 1


def test_a_schedule_that_does_not_run_is_a_failure(vault_db: str) -> None:
    ensure_schedules()
    Schedule.objects.update(next_run=datetime.now(UTC) - timedelta(hours=1))
    found = find("lockmon vault: watch", list(doctor.queue("vault")))
    assert (found.state, found.remedy) == (doctor.FAILURE, "manage.py qcluster")
    Schedule.objects.filter(name="lockmon vault: cleanup").delete()
    assert find("lockmon vault: cleanup", list(doctor.queue("vault"))).meaning == "It is missing."


def test_a_function_that_was_changed_by_hand_is_drift(vault_db: str) -> None:
    with psycopg.connect(vault_db, autocommit=True) as connection:
        connection.execute("DROP INDEX lock_monitoring.idx_lock_activity_s_relation")
    found = find("lock_monitoring.idx_lock_activity_s_relation", list(doctor.objects("vault")))
    assert found.state == doctor.FAILURE
    assert "lockmon_deploy" in found.remedy


def test_a_vault_out_of_reach_is_one_failure_not_many(vault_db: str) -> None:
    place = connections["vault"].settings_dict
    name = place["NAME"]
    connections["vault"].close()
    place["NAME"] = "no_such_database"
    try:
        found = doctor.examine("vault")
        assert "does not exist" in find("reachable", found).meaning
        assert not any(line.section in ("table", "privileges", "log") for line in found)
    finally:
        connections["vault"].close()
        place["NAME"] = name


SURPLUS = {
    "ALTER ROLE {} CREATEROLE": "may make roles",
    "ALTER ROLE {} CREATEDB": "may make databases",
    "ALTER ROLE {} REPLICATION": "may replicate",
    "ALTER ROLE {} BYPASSRLS": "may see rows that policies hide",
    "GRANT all_data_of_a_test TO {}": "is a member of all_data_of_a_test",
    "GRANT CREATE ON DATABASE {database} TO {}": "may make schemas in this database",
    "GRANT SELECT ON auth.tenant_h TO {}": "has SELECT on auth.tenant_h",
    "GRANT UPDATE (tenant_bk) ON auth.tenant_h TO {}": "has UPDATE on auth.tenant_h",
    "CREATE TABLE lock_engine.own (); ALTER TABLE lock_engine.own OWNER TO {}": "owns TABLE lock_engine.own",
}


def test_each_right_too_many_has_a_line_that_takes_it_back(vault_db: str) -> None:
    login = str(connections["vault"].settings_dict["USER"])
    (sound,) = list(doctor.surplus("vault"))
    assert sound.state == doctor.OK
    with psycopg.connect(vault_db, autocommit=True) as dba:
        try:
            dba.execute("CREATE ROLE all_data_of_a_test")
            for given, said in SURPLUS.items():
                given = given.format(login, database=dba.info.dbname)
                dba.execute(given)
                (found,) = list(doctor.surplus("vault"))
                assert found.state == doctor.WARNING, given
                assert f"{login} {said}, which the monitor does not need" in found.meaning
                dba.execute(found.remedy.replace("...; (a DBA)", "postgres"))
                assert [one.state for one in doctor.surplus("vault")] == [doctor.OK], given
        finally:
            dba.execute("DROP ROLE all_data_of_a_test")
