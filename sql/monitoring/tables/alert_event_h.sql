CREATE TABLE IF NOT EXISTS monitoring.alert_event_h (
    alert_event_hk bytea PRIMARY KEY,
    alert_event_bk character varying(255) NOT NULL UNIQUE,
    alert_config_hk bytea NOT NULL,
    tenant_hk bytea,
    load_date timestamp with time zone NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    record_source character varying(100) NOT NULL
);

CREATE INDEX IF NOT EXISTS idx_alert_event_h_alert_config_hk ON monitoring.alert_event_h (alert_config_hk, load_date DESC);

COMMENT ON TABLE monitoring.alert_event_h IS
    'Hub: one time that an alert was not well, from its first bad value to its end. Key: the alert and that moment.';
GRANT SELECT ON monitoring.alert_event_h TO lock_monitoring_role;
GRANT INSERT ON monitoring.alert_event_h TO lock_admin_role;
GRANT SELECT ON monitoring.alert_event_h TO lock_vault_owner;
