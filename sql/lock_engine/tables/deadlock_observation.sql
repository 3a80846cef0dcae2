CREATE TABLE IF NOT EXISTS lock_engine.deadlock_observation (
    observation_key   text PRIMARY KEY,
    first_seen        timestamptz NOT NULL,
    last_seen         timestamptz NOT NULL,
    looks             integer NOT NULL DEFAULT 1,
    gone_at           timestamptz,
    pids              integer[] NOT NULL,
    all_pids          integer[] NOT NULL,
    database_name     text,
    members           jsonb NOT NULL,
    evidence          jsonb,
    outcome           text,
    settled_at        timestamptz,
    deadlock_event_hk bytea
);
CREATE INDEX IF NOT EXISTS idx_deadlock_observation_open ON lock_engine.deadlock_observation (first_seen) WHERE outcome IS NULL;
CREATE INDEX IF NOT EXISTS idx_deadlock_observation_last_seen ON lock_engine.deadlock_observation (last_seen);

COMMENT ON TABLE lock_engine.deadlock_observation IS
    'Deadlock cycles seen alive by a look at the waits-for graph, and what became of each.';
COMMENT ON COLUMN lock_engine.deadlock_observation.outcome IS
    'NULL: alive, or gone and not yet confirmed. deadlock: the log or the counter confirmed it. resolved otherwise: it went without '
    'a deadlock being counted (a timeout, a cancel, a queue rearranged).';
COMMENT ON COLUMN lock_engine.deadlock_observation.evidence IS
    'What each member was doing at the first look at which the cycle was gone; tells the victim.';
GRANT SELECT ON lock_engine.deadlock_observation TO lock_monitoring_role;
GRANT SELECT, INSERT, UPDATE, DELETE ON lock_engine.deadlock_observation TO lock_vault_owner;
