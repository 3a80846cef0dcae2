CREATE INDEX IF NOT EXISTS idx_lock_wait_analysis_s_period
    ON lock_monitoring.lock_wait_analysis_s (analysis_period_start DESC, analysis_period_end DESC)
    WHERE load_end_date IS NULL;
