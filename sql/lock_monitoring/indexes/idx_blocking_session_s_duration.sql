CREATE INDEX IF NOT EXISTS idx_blocking_session_s_duration
    ON lock_monitoring.blocking_session_s (blocking_duration_seconds DESC, escalation_level DESC)
    WHERE load_end_date IS NULL;
