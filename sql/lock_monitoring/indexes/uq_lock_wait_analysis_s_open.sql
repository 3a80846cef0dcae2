-- One open version per hub, whoever runs cycles and however many at once.
CALL pg_temp.create_unique_index('lock_monitoring.lock_wait_analysis_s', $index$
CREATE UNIQUE INDEX IF NOT EXISTS uq_lock_wait_analysis_s_open
    ON lock_monitoring.lock_wait_analysis_s (lock_wait_analysis_hk)
    WHERE load_end_date IS NULL
$index$);
