-- One open version per hub, whoever runs cycles and however many at once.
CALL pg_temp.create_unique_index('lock_monitoring.deadlock_event_s', $index$
CREATE UNIQUE INDEX IF NOT EXISTS uq_deadlock_event_s_open
    ON lock_monitoring.deadlock_event_s (deadlock_event_hk)
    WHERE load_end_date IS NULL
$index$);
