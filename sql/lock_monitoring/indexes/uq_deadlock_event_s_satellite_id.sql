CALL pg_temp.create_unique_index('lock_monitoring.deadlock_event_s', $index$
CREATE UNIQUE INDEX IF NOT EXISTS uq_deadlock_event_s_satellite_id
    ON lock_monitoring.deadlock_event_s (satellite_id)
$index$);
