CREATE INDEX IF NOT EXISTS idx_blocking_session_s_user
    ON lock_monitoring.blocking_session_s (user_name, application_name)
    WHERE load_end_date IS NULL;
