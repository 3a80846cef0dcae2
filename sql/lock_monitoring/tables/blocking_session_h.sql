CREATE TABLE IF NOT EXISTS lock_monitoring.blocking_session_h (
    blocking_session_hk bytea PRIMARY KEY,
    blocking_session_bk character varying(255) NOT NULL UNIQUE,
    tenant_hk           bytea NOT NULL REFERENCES auth.tenant_h (tenant_hk),
    load_date           timestamp with time zone DEFAULT util.current_load_date(),
    record_source       character varying(100) NOT NULL
);

COMMENT ON TABLE lock_monitoring.blocking_session_h IS
    'Hub: one blocking episode, identified by (pid, backend_start, start of the episode).';
