CREATE TABLE IF NOT EXISTS lock_admin.policy_h (
    policy_hk     bytea PRIMARY KEY,
    policy_bk     text NOT NULL UNIQUE CHECK (policy_bk ~ '^[A-Za-z0-9][A-Za-z0-9 _.-]{0,99}$'),
    load_date     timestamptz NOT NULL DEFAULT clock_timestamp(),
    record_source text NOT NULL
);
COMMENT ON TABLE lock_admin.policy_h IS 'Hub: policies that stop blocking sessions by rule.';
