CREATE INDEX IF NOT EXISTS idx_lock_activity_s_relation
    ON lock_monitoring.lock_activity_s (schema_name, table_name, lock_type)
    WHERE load_end_date IS NULL;
