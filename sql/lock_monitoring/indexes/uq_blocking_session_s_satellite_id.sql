CALL pg_temp.create_unique_index('lock_monitoring.blocking_session_s', $index$
CREATE UNIQUE INDEX IF NOT EXISTS uq_blocking_session_s_satellite_id
    ON lock_monitoring.blocking_session_s (satellite_id)
$index$);
