CREATE TABLE IF NOT EXISTS lock_monitoring.deadlock_event_h (
    deadlock_event_hk bytea PRIMARY KEY,
    deadlock_event_bk character varying(255) NOT NULL UNIQUE,
    tenant_hk         bytea NOT NULL REFERENCES auth.tenant_h (tenant_hk),
    load_date         timestamp with time zone DEFAULT util.current_load_date(),
    record_source     character varying(100) NOT NULL
);

COMMENT ON TABLE lock_monitoring.deadlock_event_h IS
    'Hub: one deadlock, identified by its cycle and its moment.';
