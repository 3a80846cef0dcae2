-- The time machine, the insight pages and the history lists read episodes by when they began and ended.
CREATE INDEX IF NOT EXISTS idx_blocking_session_s_load_date
    ON lock_monitoring.blocking_session_s (load_date, load_end_date);
