CREATE TABLE IF NOT EXISTS monitoring.alert_channel (
    recipient text PRIMARY KEY,
    consecutive_failures integer NOT NULL DEFAULT 0,
    failing_since timestamp with time zone,
    last_failure_at timestamp with time zone,
    last_error text,
    last_success_at timestamp with time zone,
    next_try_at timestamp with time zone,
    reported_at timestamp with time zone
);

COMMENT ON TABLE monitoring.alert_channel IS 'How each recipient has answered lately. Three failures in a row make it dead until one succeeds.';
COMMENT ON COLUMN monitoring.alert_channel.next_try_at IS 'A recipient that fails is left alone until then, so that it delays nobody else.';
COMMENT ON COLUMN monitoring.alert_channel.reported_at IS 'When the other recipients of its alerts were told that it is dead.';
-- Recipients are shown to administrators only.
GRANT SELECT (consecutive_failures, failing_since, last_failure_at, last_success_at, next_try_at, reported_at)
    ON monitoring.alert_channel TO lock_monitoring_role;
GRANT SELECT, INSERT, UPDATE ON monitoring.alert_channel TO lock_admin_role;
GRANT SELECT (consecutive_failures, failing_since) ON monitoring.alert_channel TO lock_alert_sandbox;
