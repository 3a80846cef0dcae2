CREATE INDEX IF NOT EXISTS idx_lock_activity_s_timestamp
    ON lock_monitoring.lock_activity_s (lock_acquired_time DESC, resolution_timestamp DESC)
    WHERE load_end_date IS NULL;
