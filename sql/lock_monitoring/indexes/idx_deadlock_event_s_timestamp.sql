CREATE INDEX IF NOT EXISTS idx_deadlock_event_s_timestamp
    ON lock_monitoring.deadlock_event_s (deadlock_timestamp DESC, business_impact)
    WHERE load_end_date IS NULL;
