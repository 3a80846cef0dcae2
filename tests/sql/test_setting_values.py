"""A setting takes what can be used; what cannot is refused in a sentence, an older release's is put right."""

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest

from lockmon.install.apply import install
from tests.conftest import Connect
from tests.support.stored import Stored

NONSENSE = ("null", "true", '"soon"', "[1]", "{}", "-1", "1e40", '{"days": "all"}', '["a", 1]', '""')


def names(dba: psycopg.Connection[Any]) -> list[str]:
    return [name for (name,) in dba.execute("SELECT name FROM lock_admin.setting ORDER BY 1")]


def change(dba: psycopg.Connection[Any], name: str, value: str) -> str:
    """What is said of a change: empty if it was taken."""
    try:
        dba.execute("UPDATE lock_admin.setting SET value = %s::jsonb WHERE name = %s", [value, name])
    except psycopg.errors.InvalidParameterValue as error:
        return str(error.diag.message_primary)
    return ""


def test_each_setting_refuses_what_nothing_can_use(vault_db: str, connect: Connect) -> None:
    dba = connect(vault_db)
    before = dba.execute("SELECT name, value FROM lock_admin.setting ORDER BY 1").fetchall()
    for name in names(dba):
        refused = [said for value in NONSENSE if (said := change(dba, name, value))]
        assert len(refused) >= 7, (name, refused)
        assert all(said.startswith(f"The setting {name} ") for said in refused)
        assert all(said.endswith("nothing was changed.") for said in refused)
        # whatever was taken can be used: a cycle, an analysis and a cleanup run with it
        for question in (
            "SELECT * FROM lock_monitoring.run_lock_monitoring()",
            "SELECT * FROM lock_monitoring.analyze_lock_waits()",
            "SELECT * FROM lock_monitoring.lock_wait_analysis_dashboard",
        ):
            dba.execute(question)
    for name, value in before:
        assert change(dba, name, json.dumps(value)) == ""


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("analysis.business_hours", '{"days": [1, 8], "from": "08:00", "to": "18:00"}'),
        ("analysis.business_hours", '{"days": [1], "from": "8", "to": "18:00"}'),
        ("analysis.maintenance_hours", '{"days": [1], "from": "08:00", "to": "25:00"}'),
        ("analysis.maintenance_hours", '{"days": [1], "from": "08:00", "to": "09:00", "zone": "Mars"}'),
        ("analysis.business_hours", '{"days": [1], "from": "08:00", "to": "09:00", "zone": 5}'),
        ("door.protected_applications", '[{"application": "pg_dump"}]'),
        ("door.protected_applications", '["pg_dump"]'),
        ("door.enabled", '"maybe"'),
        ("door.enabled", '"true"'),
        ("door.enabled", "1"),
        ("auto_resolve.min_severity", '["LOW"]'),
        ("auto_resolve.min_severity", '"high"'),
        ("policy.second_person", "true"),
        ("door.protected_users", '[["postgres"]]'),
        ("monitor.own_logins", "[null]"),
        ("policy.backtest_valid_days", "1.5"),
        ("system.tenant_hk", '"\\\\xabc"'),
    ],
)
def test_what_only_looks_right_is_refused(vault_db: str, connect: Connect, name: str, value: str) -> None:
    assert "nothing was changed" in change(connect(vault_db), name, value)


def test_a_value_of_an_older_release_that_nothing_could_use_is_the_default_again(
    vault_db: str, connect: Connect
) -> None:
    dba = connect(vault_db)
    dba.execute("ALTER TABLE lock_admin.setting DISABLE TRIGGER ALL")
    dba.execute(
        "UPDATE lock_admin.setting SET value = '\"soon\"' WHERE name = 'capture.min_transaction_age_seconds'"
    )
    dba.execute("ALTER TABLE lock_admin.setting ENABLE TRIGGER ALL")
    with pytest.raises(psycopg.Error):
        Stored(dba).cycle()
    install(vault_db, again=True)
    assert not Stored(dba).cycle()["monitoring_summary"].startswith("skipped")
    history = dba.execute(
        "SELECT old_value #>> '{}', new_value #>> '{}' FROM lock_admin.setting_history"
        " WHERE name = 'capture.min_transaction_age_seconds' ORDER BY setting_history_id DESC LIMIT 2"
    ).fetchall()
    assert history == [(None, "1"), ("soon", None)]
