CREATE INDEX IF NOT EXISTS idx_lock_activity_s_blocking
    ON lock_monitoring.lock_activity_s (blocking_pid, blocked_by_count DESC)
    WHERE load_end_date IS NULL AND blocking_pid IS NOT NULL;
