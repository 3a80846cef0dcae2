CREATE TABLE IF NOT EXISTS lock_monitoring.lock_activity_h (
    lock_activity_hk bytea PRIMARY KEY,
    lock_activity_bk character varying(255) NOT NULL UNIQUE,
    tenant_hk        bytea NOT NULL REFERENCES auth.tenant_h (tenant_hk),
    load_date        timestamp with time zone DEFAULT util.current_load_date(),
    record_source    character varying(100) NOT NULL
);

COMMENT ON TABLE lock_monitoring.lock_activity_h IS
    'Hub: one lock, identified by (pid, backend_start, object, mode). The same lock seen many times is one row.';
