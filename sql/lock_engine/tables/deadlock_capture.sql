CREATE TABLE IF NOT EXISTS lock_engine.deadlock_capture (
    deadlock_event_hk bytea PRIMARY KEY,
    database_name     text,
    happened_at       timestamptz NOT NULL,
    sampled           boolean NOT NULL,
    logged            boolean NOT NULL,
    ledger_id         bigint
);
CREATE INDEX IF NOT EXISTS idx_deadlock_capture_open ON lock_engine.deadlock_capture (happened_at) WHERE ledger_id IS NULL;

COMMENT ON TABLE lock_engine.deadlock_capture IS
    'Each stored deadlock and the rise of the counter it answers for; ledger_id NULL: not counted yet, or before the ledger began.';
GRANT SELECT ON lock_engine.deadlock_capture TO lock_monitoring_role;
GRANT SELECT, INSERT, UPDATE, DELETE ON lock_engine.deadlock_capture TO lock_vault_owner;
