-- History lists are lists of a time range.
CREATE INDEX IF NOT EXISTS idx_lock_activity_s_load_date
    ON lock_monitoring.lock_activity_s (load_date);
