CREATE INDEX IF NOT EXISTS idx_blocking_session_s_severity
    ON lock_monitoring.blocking_session_s (blocking_severity, blocked_sessions_count DESC)
    WHERE load_end_date IS NULL;
