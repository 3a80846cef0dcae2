-- One open version per hub, whoever runs cycles and however many at once.
CALL pg_temp.create_unique_index('lock_monitoring.blocking_session_s', $index$
CREATE UNIQUE INDEX IF NOT EXISTS uq_blocking_session_s_open
    ON lock_monitoring.blocking_session_s (blocking_session_hk)
    WHERE load_end_date IS NULL
$index$);
