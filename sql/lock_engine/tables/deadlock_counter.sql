CREATE TABLE IF NOT EXISTS lock_engine.deadlock_counter (
    database_oid  oid PRIMARY KEY,
    database_name text NOT NULL,
    counter       bigint NOT NULL,
    began_at      timestamptz NOT NULL,
    looked_at     timestamptz NOT NULL
);

COMMENT ON TABLE lock_engine.deadlock_counter IS 'pg_stat_database.deadlocks of each database when it was last looked at.';
COMMENT ON COLUMN lock_engine.deadlock_counter.looked_at IS 'When the counter was last known to have this value; written at most once a minute.';
GRANT SELECT ON lock_engine.deadlock_counter TO lock_monitoring_role;
GRANT SELECT, INSERT, UPDATE, DELETE ON lock_engine.deadlock_counter TO lock_vault_owner;
