CREATE INDEX IF NOT EXISTS idx_lock_activity_s_type_mode
    ON lock_monitoring.lock_activity_s (lock_type, lock_mode, lock_granted)
    WHERE load_end_date IS NULL;
