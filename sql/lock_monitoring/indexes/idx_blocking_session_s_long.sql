-- As idx_lock_activity_s_long, for blocking episodes.
CREATE INDEX IF NOT EXISTS idx_blocking_session_s_long
    ON lock_monitoring.blocking_session_s (load_end_date)
    WHERE load_end_date - load_date > interval '1 day';
