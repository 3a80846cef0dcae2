-- The time machine and the pictures read waits by when they began and ended, and nothing else of them.
CREATE INDEX IF NOT EXISTS idx_lock_activity_s_waits
    ON lock_monitoring.lock_activity_s (load_date, load_end_date)
    WHERE NOT lock_granted;
