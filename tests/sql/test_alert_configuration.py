"""monitoring.alert_configuration_*: versions, who may see and edit what, and the default alerts."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from lockmon.calls import alerts as calls
from tests.conftest import Connect, OpenSession

GUIDE = """
INSERT INTO monitoring.alert_configuration_s VALUES (
    util.hash_binary('LOCK_CRITICAL_BLOCKING'),
    util.current_load_date(),
    NULL,
    util.hash_binary('LOCK_CRITICAL_BLOCKING_CONFIG'),
    'Critical Blocking Sessions',
    'LOCK_MONITORING',
    'SELECT COUNT(*) FROM lock_monitoring.blocking_sessions_dashboard WHERE blocking_severity =
    ''CRITICAL''',
    0, -- warning_threshold
    1, -- critical_threshold (any critical blocking)
    'CRITICAL',
    true, -- is_active
    ARRAY['dba@onevault.com', 'ops@onevault.com'],
    'Immediate intervention required for critical blocking sessions',
    util.get_record_source()
)
"""
HK = b"test alert"


def values(**changes: Any) -> dict[str, Any]:
    return {
        "alert_name": "Test",
        "alert_category": "TEST",
        "alert_query": "SELECT 1",
        "warning_threshold": 1,
        "critical_threshold": 2,
        "alert_severity": "HIGH",
        "notification_recipients": ["dba@example.org"],
    } | changes


def test_the_guides_insert_becomes_the_next_version_of_the_installed_alert(
    vault_db: str, connect: Connect
) -> None:
    connection = connect(vault_db)
    connection.execute(GUIDE)
    rows = connection.execute(
        "SELECT load_end_date IS NULL, cardinality(notification_recipients), repeat_minutes, changed_by"
        " FROM monitoring.alert_configuration_s WHERE alert_config_hk ="
        " util.hash_binary('LOCK_CRITICAL_BLOCKING')"
        " ORDER BY load_date"
    ).fetchall()
    assert rows == [(False, 0, 60, "installation"), (True, 2, 60, "postgres")]


def test_a_plain_insert_keeps_what_its_14_values_do_not_say(vault_db: str, connect: Connect) -> None:
    connection = connect(vault_db)
    calls.save_alert_configuration(
        connection.cursor(), HK, None, values(repeat_minutes=7, for_at_least_seconds=9), "anna", None
    )
    connection.execute(
        "INSERT INTO monitoring.alert_configuration_s SELECT %s, now(), NULL, 'x', 'Test', 'TEST',"
        " 'SELECT 2', 1, 2, 'LOW',"
        " true, '{}', NULL, 'psql'",
        [HK],
    )
    version = calls.alert_version(connection.cursor(), HK)
    assert version is not None
    assert (version.repeat_minutes, version.for_at_least_seconds, version.alert_query) == (7, 9, "SELECT 2")


def test_an_edit_over_somebody_elses_edit_is_refused(vault_db: str, connect: Connect) -> None:
    cursor = connect(vault_db).cursor()
    first = calls.save_alert_configuration(cursor, HK, None, values(), "anna", "new")
    second = calls.save_alert_configuration(cursor, HK, first, values(alert_severity="LOW"), "ben", "calmer")
    with pytest.raises(psycopg.errors.SerializationFailure, match="Not saved: ben changed this alert at"):
        calls.save_alert_configuration(cursor, HK, first, values(alert_severity="CRITICAL"), "anna", "louder")
    history = calls.alert_versions(cursor, HK)
    assert [(one.satellite_id, one.changed_by, one.change_note) for one in history] == [
        (second, "ben", "calmer"),
        (first, "anna", "new"),
    ]
    assert history[1].load_end_date == history[0].load_date


def test_two_editors_at_the_same_moment_are_noticed(
    vault_db: str, connect: Connect, session: OpenSession
) -> None:
    cursor = connect(vault_db).cursor()
    first = calls.save_alert_configuration(cursor, HK, None, values(), "anna", None)
    save = 'SELECT monitoring.save_alert_configuration(%s, %s, \'{"alert_severity": "LOW"}\', %s)'
    one, other = session(vault_db), session(vault_db)
    one.run(save, [HK, first, "ben"])
    other.start(save, [HK, first, "carla"])
    one.run("COMMIT")
    with pytest.raises(psycopg.errors.SerializationFailure, match="ben changed"):
        other.result()


def test_a_new_alert_does_not_replace_one_of_the_same_key(vault_db: str, connect: Connect) -> None:
    cursor = connect(vault_db).cursor()
    calls.save_alert_configuration(cursor, HK, None, values(), "anna", None)
    with pytest.raises(psycopg.errors.UniqueViolation, match="already an alert"):
        calls.save_alert_configuration(cursor, HK, None, values(), "ben", None)


@pytest.mark.parametrize(
    "recipient",
    ["https://hooks.example.org/T0/SECRET", "slack://token", "nobody", "a b@c", "channel:", "a@b,c@d"],
)
def test_a_recipient_that_could_hold_a_secret_is_refused(
    vault_db: str, connect: Connect, recipient: str
) -> None:
    cursor = connect(vault_db).cursor()
    with pytest.raises(psycopg.errors.CheckViolation, match="e-mail address or channel:name") as refused:
        calls.save_alert_configuration(
            cursor, HK, None, values(notification_recipients=[recipient]), "anna", None
        )
    assert "SECRET" not in str(refused.value)


def test_readers_read_all_but_recipients_and_edit_nothing(vault_db: str, connect: Connect) -> None:
    connection = connect(vault_db)
    connection.execute("SET ROLE lock_monitoring_role")
    assert connection.execute("SELECT count(*) > 5 FROM monitoring.alert_overview").fetchone() == (True,)
    for view in (
        "alert_configuration_history",
        "alert_event_list",
        "alert_event_history",
        "alert_message_list",
        "alert_outbox",
        "convoy_forecast",
    ):
        connection.execute(f"SELECT * FROM monitoring.{view}")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("SELECT notification_recipients FROM monitoring.alert_configuration_s")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        calls.save_alert_configuration(connection.cursor(), HK, None, values(), "anna", None)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        calls.act_on_alert_event(connection.cursor(), HK, "resolve", "anna")


def test_administrators_write_versions_and_cannot_rewrite_history(vault_db: str, connect: Connect) -> None:
    connection = connect(vault_db)
    connection.execute("SET ROLE lock_admin_role")
    cursor = connection.cursor()
    calls.save_alert_configuration(cursor, HK, None, values(), "anna", None)
    fields = {
        "event_state": "warning",
        "level": "warning",
        "worst_level": "warning",
        "started_at": "now",
        "raised_at": "now",
    }
    assert calls.write_alert_event(cursor, HK, None, None, fields, "test") is not None
    for forbidden in (
        "UPDATE monitoring.alert_configuration_s SET alert_name = 'x'",
        "DELETE FROM monitoring.alert_configuration_s",
        "UPDATE monitoring.alert_event_s SET note = 'it was nothing'",
        "DELETE FROM monitoring.alert_event_s",
        "UPDATE monitoring.alert_delivery SET outcome = 'sent'",
        "DELETE FROM monitoring.alert_message",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(forbidden)


def test_every_default_alert_gives_a_number_in_the_sandbox(vault_db: str, connect: Connect) -> None:
    connection = connect(vault_db)
    alerts = connection.execute(
        "SELECT alert_name, alert_query, is_active FROM monitoring.alert_configuration_s WHERE"
        " changed_by = 'installation'"
    ).fetchall()
    assert len(alerts) >= 11
    connection.autocommit = False
    connection.read_only = True
    for name, query, _ in alerts:
        connection.execute("SET LOCAL ROLE lock_monitoring_role")
        value = calls.evaluate_alert_query(connection.cursor(), query, 2000, 500)
        connection.rollback()
        assert value.is_finite(), name


def test_installing_again_changes_no_alert(vault_db: str, connect: Connect, install_vault: Any) -> None:
    connection = connect(vault_db)
    code = "SELECT satellite_id, load_date, load_end_date FROM monitoring.alert_configuration_s ORDER BY 1"
    calls.save_alert_configuration(connection.cursor(), HK, None, values(), "anna", None)
    before = connection.execute(code).fetchall()
    install_vault(vault_db)
    assert connection.execute(code).fetchall() == before
