CREATE TABLE IF NOT EXISTS lock_monitoring.lock_blocking_l (
    link_lock_blocking_hk bytea PRIMARY KEY,
    blocking_session_hk   bytea NOT NULL REFERENCES lock_monitoring.blocking_session_h (blocking_session_hk),
    lock_activity_hk      bytea NOT NULL REFERENCES lock_monitoring.lock_activity_h (lock_activity_hk),
    tenant_hk             bytea NOT NULL REFERENCES auth.tenant_h (tenant_hk),
    load_date             timestamp with time zone DEFAULT util.current_load_date(),
    record_source         character varying(100) NOT NULL
);

COMMENT ON TABLE lock_monitoring.lock_blocking_l IS
    'Link: this blocking episode held up this lock request.';
