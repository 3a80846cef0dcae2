CREATE INDEX IF NOT EXISTS idx_lock_activity_s_duration
    ON lock_monitoring.lock_activity_s (lock_duration_seconds DESC, lock_impact_score DESC)
    WHERE load_end_date IS NULL;
