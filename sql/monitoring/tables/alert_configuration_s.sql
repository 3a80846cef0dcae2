CREATE TABLE IF NOT EXISTS monitoring.alert_configuration_s (
    alert_config_hk         bytea NOT NULL REFERENCES monitoring.alert_configuration_h (alert_config_hk),
    load_date               timestamp with time zone NOT NULL DEFAULT util.current_load_date(),
    load_end_date           timestamp with time zone,
    hash_diff               bytea NOT NULL,
    alert_name              character varying(200) NOT NULL,
    alert_category          character varying(50) NOT NULL,
    alert_query             text NOT NULL,
    warning_threshold       numeric(15,4),
    critical_threshold      numeric(15,4),
    alert_severity          character varying(20) NOT NULL,
    is_active               boolean DEFAULT true,
    notification_recipients text[],
    description             text,
    record_source           character varying(100) NOT NULL,
    PRIMARY KEY (alert_config_hk, load_date)
);

-- Columns of our own come last and are filled by the trigger, so that the guide's INSERT of 14 positional values stays valid.
CALL pg_temp.add_columns('monitoring.alert_configuration_s', ARRAY[
    'satellite_id bigint GENERATED ALWAYS AS IDENTITY',
    'for_at_least_seconds integer CHECK (for_at_least_seconds BETWEEN 0 AND 86400)',
    'clear_after_seconds integer CHECK (clear_after_seconds BETWEEN 0 AND 86400)',
    'repeat_minutes integer CHECK (repeat_minutes BETWEEN 0 AND 10080)',
    'escalate_minutes integer CHECK (escalate_minutes BETWEEN 0 AND 10080)',
    'escalation_recipients text[]',
    'snoozed_until timestamp with time zone',
    'changed_by character varying(150)',
    'change_note text'
]);

COMMENT ON TABLE monitoring.alert_configuration_s IS
    'Satellite: an alert''s query, thresholds, severity and recipients. Insert a row to change an alert: it becomes the next version and closes the previous one; rows are never overwritten.';
COMMENT ON COLUMN monitoring.alert_configuration_s.alert_query IS
    'A query of one row and one column, a finite number; it runs read only in the alert sandbox.';
COMMENT ON COLUMN monitoring.alert_configuration_s.notification_recipients IS
    'E-mail addresses, or channel:name for a URL kept in the environment.';
COMMENT ON COLUMN monitoring.alert_configuration_s.satellite_id IS
    'One number per row, for pages that need a single key.';
COMMENT ON COLUMN monitoring.alert_configuration_s.for_at_least_seconds IS
    'How long a bad value has to last before it counts. Default 0; carried over to the next version.';
COMMENT ON COLUMN monitoring.alert_configuration_s.clear_after_seconds IS
    'How long a better value has to last before it counts, so that a flapping value is one event. Default 30; carried over.';
COMMENT ON COLUMN monitoring.alert_configuration_s.repeat_minutes IS
    'Reminder interval while nobody has acknowledged. 0: never. Default 60; carried over.';
COMMENT ON COLUMN monitoring.alert_configuration_s.escalate_minutes IS
    'Minutes without acknowledgement until a critical event escalates. 0: never. Default 15; carried over.';
COMMENT ON COLUMN monitoring.alert_configuration_s.escalation_recipients IS
    'Who is told besides when it escalates. Carried over.';
COMMENT ON COLUMN monitoring.alert_configuration_s.snoozed_until IS
    'No messages of this alert until then; it is evaluated all the same. Not carried over.';
COMMENT ON COLUMN monitoring.alert_configuration_s.changed_by IS
    'Who made this version: the person named by the application, else the login.';
