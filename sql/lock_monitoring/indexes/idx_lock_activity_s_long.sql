-- The few waits whose row stayed the present one for more than a day; all others are found near the moment asked for.
CREATE INDEX IF NOT EXISTS idx_lock_activity_s_long
    ON lock_monitoring.lock_activity_s (load_end_date)
    WHERE NOT lock_granted AND load_end_date - load_date > interval '1 day';
