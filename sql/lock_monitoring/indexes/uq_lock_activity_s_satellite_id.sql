CALL pg_temp.create_unique_index('lock_monitoring.lock_activity_s', $index$
CREATE UNIQUE INDEX IF NOT EXISTS uq_lock_activity_s_satellite_id
    ON lock_monitoring.lock_activity_s (satellite_id)
$index$);
