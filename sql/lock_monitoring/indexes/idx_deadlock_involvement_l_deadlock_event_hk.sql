-- Retention deletes hubs; without this each deleted hub would read the whole link table.
CREATE INDEX IF NOT EXISTS idx_deadlock_involvement_l_deadlock_event_hk
    ON lock_monitoring.deadlock_involvement_l (deadlock_event_hk);
