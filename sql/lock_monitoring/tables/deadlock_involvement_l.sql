CREATE TABLE IF NOT EXISTS lock_monitoring.deadlock_involvement_l (
    link_deadlock_involvement_hk bytea PRIMARY KEY,
    deadlock_event_hk            bytea NOT NULL REFERENCES lock_monitoring.deadlock_event_h (deadlock_event_hk),
    lock_activity_hk             bytea NOT NULL REFERENCES lock_monitoring.lock_activity_h (lock_activity_hk),
    tenant_hk                    bytea NOT NULL REFERENCES auth.tenant_h (tenant_hk),
    load_date                    timestamp with time zone DEFAULT util.current_load_date(),
    record_source                character varying(100) NOT NULL
);

COMMENT ON TABLE lock_monitoring.deadlock_involvement_l IS
    'Link: this lock was part of this deadlock.';
