-- One open version per hub, whoever runs cycles and however many at once.
CALL pg_temp.create_unique_index('lock_monitoring.lock_activity_s', $index$
CREATE UNIQUE INDEX IF NOT EXISTS uq_lock_activity_s_open
    ON lock_monitoring.lock_activity_s (lock_activity_hk)
    WHERE load_end_date IS NULL
$index$);
