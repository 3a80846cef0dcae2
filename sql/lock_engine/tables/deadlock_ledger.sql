CREATE TABLE IF NOT EXISTS lock_engine.deadlock_ledger (
    ledger_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    database_name text NOT NULL,
    window_start  timestamptz NOT NULL,
    window_end    timestamptz NOT NULL,
    counted       integer NOT NULL CHECK (counted > 0),
    captured      integer NOT NULL DEFAULT 0,
    by_sampling   integer NOT NULL DEFAULT 0,
    by_log        integer NOT NULL DEFAULT 0,
    missed        integer NOT NULL DEFAULT 0,
    settled       boolean NOT NULL DEFAULT false,
    CHECK (captured + missed <= counted)
);
CREATE INDEX IF NOT EXISTS idx_deadlock_ledger_window ON lock_engine.deadlock_ledger (window_end);
CREATE INDEX IF NOT EXISTS idx_deadlock_ledger_open ON lock_engine.deadlock_ledger (database_name, window_end) WHERE NOT settled;

COMMENT ON TABLE lock_engine.deadlock_ledger IS
    'Each rise of pg_stat_database.deadlocks: how many PostgreSQL counted in the window, how many of them are events of ours.';
COMMENT ON COLUMN lock_engine.deadlock_ledger.by_sampling IS 'Captured ones that a look saw alive; one event may count here and in by_log.';
COMMENT ON COLUMN lock_engine.deadlock_ledger.missed IS 'Counted, and 15 s later still without an event. A log imported later lowers it.';
GRANT SELECT ON lock_engine.deadlock_ledger TO lock_monitoring_role;
GRANT SELECT, INSERT, UPDATE, DELETE ON lock_engine.deadlock_ledger TO lock_vault_owner;
