CREATE INDEX IF NOT EXISTS idx_lock_wait_analysis_s_efficiency
    ON lock_monitoring.lock_wait_analysis_s (lock_efficiency_score, performance_impact_score DESC)
    WHERE load_end_date IS NULL;
