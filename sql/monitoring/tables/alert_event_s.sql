CREATE TABLE IF NOT EXISTS monitoring.alert_event_s (
    alert_event_hk bytea NOT NULL REFERENCES monitoring.alert_event_h (alert_event_hk),
    load_date timestamp with time zone NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    load_end_date timestamp with time zone,
    hash_diff bytea NOT NULL,
    alert_config_hk bytea NOT NULL,
    event_state character varying(20) NOT NULL
        CHECK (event_state IN ('warning', 'critical', 'error', 'escalated', 'acknowledged', 'snoozed', 'resolved')),
    level character varying(20) NOT NULL CHECK (level IN ('ok', 'warning', 'error', 'critical')),
    worst_level character varying(20) NOT NULL CHECK (worst_level IN ('warning', 'error', 'critical')),
    value numeric,
    worst_value numeric,
    sentence text,
    started_at timestamp with time zone NOT NULL,
    raised_at timestamp with time zone NOT NULL,
    notified_levels text[] NOT NULL DEFAULT '{}',
    last_notified_at timestamp with time zone,
    notification_count integer NOT NULL DEFAULT 0,
    escalated_at timestamp with time zone,
    acknowledged_at timestamp with time zone,
    acknowledged_by character varying(150),
    snoozed_until timestamp with time zone,
    resolved_at timestamp with time zone,
    resolved_by character varying(150),
    note text,
    changed_by character varying(150) NOT NULL,
    record_source character varying(100) NOT NULL,
    satellite_id bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    PRIMARY KEY (alert_event_hk, load_date)
);

CREATE UNIQUE INDEX IF NOT EXISTS uq_alert_event_s_open
    ON monitoring.alert_event_s (alert_event_hk) WHERE load_end_date IS NULL;
CREATE UNIQUE INDEX IF NOT EXISTS uq_alert_event_s_one_per_alert
    ON monitoring.alert_event_s (alert_config_hk) WHERE load_end_date IS NULL AND event_state <> 'resolved';
CREATE INDEX IF NOT EXISTS idx_alert_event_s_config
    ON monitoring.alert_event_s (alert_config_hk, raised_at DESC) WHERE load_end_date IS NULL;

COMMENT ON TABLE monitoring.alert_event_s IS
    'Versioned life of an alert event. One open version per event; an alert has at most one event that is not resolved.';
COMMENT ON COLUMN monitoring.alert_event_s.level IS 'What the last confirmed evaluation said, whatever people did about it.';
COMMENT ON COLUMN monitoring.alert_event_s.started_at IS 'When the condition was first seen; raised_at is when it had held for long enough.';
COMMENT ON COLUMN monitoring.alert_event_s.notified_levels IS 'Levels that were told; each is told once per event.';
COMMENT ON COLUMN monitoring.alert_event_s.snoozed_until IS 'Reminders and escalation are silent until then; a worse level still speaks.';
COMMENT ON COLUMN monitoring.alert_event_s.changed_by IS 'Who wrote this version: evaluator, or the person.';
-- History cannot be rewritten: a version may only be end-dated.
GRANT SELECT ON monitoring.alert_event_s TO lock_monitoring_role;
GRANT INSERT, UPDATE (load_end_date) ON monitoring.alert_event_s TO lock_admin_role;
GRANT SELECT ON monitoring.alert_event_s TO lock_vault_owner;
