CREATE TABLE IF NOT EXISTS lock_monitoring.lock_wait_analysis_h (
    lock_wait_analysis_hk bytea PRIMARY KEY,
    lock_wait_analysis_bk character varying(255) NOT NULL UNIQUE,
    tenant_hk             bytea NOT NULL REFERENCES auth.tenant_h (tenant_hk),
    load_date             timestamp with time zone DEFAULT util.current_load_date(),
    record_source         character varying(100) NOT NULL
);

COMMENT ON TABLE lock_monitoring.lock_wait_analysis_h IS
    'Hub: one analysis, identified by tenant and period.';
