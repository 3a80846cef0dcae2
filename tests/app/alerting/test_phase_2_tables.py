"""Events in the alert tables of phase 2, where a site has them."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from django.db import connections

from lockmon import vault
from lockmon.alerts.evaluate import AlertEvaluator
from lockmon.calls import alerts as calls
from lockmon.install import install
from tests.support.alerting import alert, outbox

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "vault"])


PHASE_2 = """
CREATE TABLE monitoring.alert_definition_h (alert_definition_hk bytea PRIMARY KEY, alert_definition_bk
varchar(255) NOT NULL UNIQUE,
    tenant_hk bytea, load_date timestamptz DEFAULT util.current_load_date(), record_source varchar(100) NOT
    NULL DEFAULT 'ALERTING_SYSTEM');
CREATE TABLE monitoring.alert_definition_s (alert_definition_hk bytea NOT NULL REFERENCES
monitoring.alert_definition_h,
    load_date timestamptz DEFAULT util.current_load_date(), load_end_date timestamptz, hash_diff bytea NOT
    NULL,
    alert_name varchar(200) NOT NULL, alert_description text, alert_category varchar(50) NOT NULL,
    alert_severity varchar(20) NOT NULL,
    metric_source varchar(100), condition_logic text NOT NULL, threshold_value numeric(15,4),
    threshold_operator varchar(10),
    evaluation_frequency_minutes int DEFAULT 5, is_enabled boolean DEFAULT true, auto_resolve boolean
    DEFAULT false,
    escalation_enabled boolean DEFAULT false, escalation_delay_minutes int DEFAULT 30,
    suppression_window_minutes int DEFAULT 60,
    notification_channels text[], created_by varchar(100) DEFAULT SESSION_USER, last_modified_by
    varchar(100) DEFAULT SESSION_USER,
    record_source varchar(100) NOT NULL DEFAULT 'ALERTING_SYSTEM', PRIMARY KEY (alert_definition_hk,
    load_date));
CREATE TABLE monitoring.alert_instance_h (alert_instance_hk bytea PRIMARY KEY, alert_instance_bk
varchar(255) NOT NULL UNIQUE,
    alert_definition_hk bytea NOT NULL REFERENCES monitoring.alert_definition_h, tenant_hk bytea,
    load_date timestamptz DEFAULT util.current_load_date(), record_source varchar(100) NOT NULL DEFAULT
    'ALERT_ENGINE');
CREATE TABLE monitoring.alert_instance_s (alert_instance_hk bytea NOT NULL REFERENCES
monitoring.alert_instance_h,
    load_date timestamptz DEFAULT util.current_load_date(), load_end_date timestamptz, hash_diff bytea NOT
    NULL,
    alert_status varchar(20) NOT NULL, triggered_timestamp timestamptz NOT NULL, acknowledged_timestamp
    timestamptz,
    resolved_timestamp timestamptz, trigger_value numeric(15,4), trigger_details jsonb, impact_assessment
    text,
    urgency_level varchar(20), affected_systems text[], estimated_affected_users int,
    business_impact_description text,
    acknowledged_by varchar(100), resolved_by varchar(100), resolution_notes text, false_positive boolean
    DEFAULT false,
    suppression_reason text, escalation_level int DEFAULT 0, last_notification_sent timestamptz,
    notification_count int DEFAULT 0,
    record_source varchar(100) NOT NULL DEFAULT 'ALERT_ENGINE', PRIMARY KEY (alert_instance_hk, load_date));
"""


def test_events_are_copied_to_the_alert_tables_of_phase_2(
    vault_db: str, admin: psycopg.Connection[Any], evaluator: AlertEvaluator
) -> None:
    admin.execute(PHASE_2)
    install(vault_db, again=True)
    alert(admin, "SELECT 50")
    evaluator.run_once()
    (key,) = admin.execute("SELECT alert_event_hk FROM monitoring.alert_event_h").fetchone() or (b"",)
    with vault.admin_transaction("vault") as cursor:
        calls.act_on_alert_event(cursor, key, "acknowledge", "anna")
        calls.mirror_alert_events(cursor)
    alert(admin, "SELECT 0", alert_severity="LOW")
    evaluator.run_once()
    seen_there = admin.execute(
        "SELECT alert_status, load_end_date IS NULL, acknowledged_by, trigger_value FROM"
        " monitoring.alert_instance_s ORDER BY load_date"
    ).fetchall()
    assert [row[:3] for row in seen_there] == [
        ("OPEN", False, None),
        ("ACKNOWLEDGED", False, "anna"),
        ("RESOLVED", True, "anna"),
    ]
    definitions = admin.execute(
        "SELECT alert_severity, load_end_date IS NULL FROM monitoring.alert_definition_s ORDER BY load_date"
    ).fetchall()
    assert definitions == [("HIGH", False), ("LOW", True)]
    joined = admin.execute(
        "SELECT count(*) FROM monitoring.alert_instance_h JOIN monitoring.alert_definition_h USING"
        " (alert_definition_hk)"
    ).fetchone()
    assert joined == (1,)
    connections["vault"].close()


def test_a_sites_broken_alert_tables_do_not_stop_alerts(
    vault_db: str,
    admin: psycopg.Connection[Any],
    evaluator: AlertEvaluator,
    caplog: pytest.LogCaptureFixture,
) -> None:
    admin.execute(PHASE_2)
    install(vault_db, again=True)
    admin.execute("ALTER TABLE monitoring.alert_instance_s ADD COLUMN surprise int NOT NULL")
    alert(admin, "SELECT 50")
    assert len(evaluator.run_once()) == 1
    assert "could not be copied" in caplog.text
    assert outbox(admin) == [("raised", "dba@example.org")]
