CREATE INDEX IF NOT EXISTS idx_deadlock_event_s_frequency
    ON lock_monitoring.deadlock_event_s (deadlock_frequency_score DESC, similar_deadlocks_count DESC)
    WHERE load_end_date IS NULL;
