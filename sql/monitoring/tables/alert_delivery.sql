CREATE TABLE IF NOT EXISTS monitoring.alert_delivery (
    delivery_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    message_id bigint NOT NULL REFERENCES monitoring.alert_message (message_id),
    attempt integer NOT NULL,
    started_at timestamp with time zone NOT NULL,
    finished_at timestamp with time zone NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    outcome character varying(20) NOT NULL CHECK (outcome IN ('sent', 'failed', 'unknown')),
    sentence text
);

CREATE INDEX IF NOT EXISTS idx_alert_delivery_message ON monitoring.alert_delivery (message_id, delivery_id);

COMMENT ON TABLE monitoring.alert_delivery IS 'Every attempt to hand a message over. Append only.';
COMMENT ON COLUMN monitoring.alert_delivery.outcome IS 'sent, failed, or unknown: the sender ended before it could say, so the message is sent again.';
COMMENT ON COLUMN monitoring.alert_delivery.sentence IS 'What went wrong, without addresses, URLs or passwords.';
GRANT SELECT ON monitoring.alert_delivery TO lock_monitoring_role;
GRANT INSERT ON monitoring.alert_delivery TO lock_admin_role;
GRANT SELECT ON monitoring.alert_delivery TO lock_vault_owner;
