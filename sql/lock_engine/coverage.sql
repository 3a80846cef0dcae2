-- What the monitor did and did not see: one row per half minute of watching, written by the loop.
CREATE TABLE IF NOT EXISTS lock_engine.coverage (
  coverage_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  period_start timestamptz NOT NULL,
  period_end timestamptz NOT NULL,
  leader_pid integer NOT NULL,
  leader_host text NOT NULL,
  looks integer NOT NULL,
  cycles_run integer NOT NULL,
  cycles_skipped integer NOT NULL,
  cycles_failed integer NOT NULL,
  deadlock_looks integer NOT NULL,
  largest_gap_ms numeric(12,1) NOT NULL,
  busy_ms numeric(12,1) NOT NULL,
  slowest_cycle_ms numeric(12,1),
  finished_transactions bigint,
  monitor_transactions bigint NOT NULL,
  seen_transactions bigint,
  unsampled_transactions bigint,
  unknown text[] NOT NULL DEFAULT '{}',
  CONSTRAINT coverage_period CHECK (period_end >= period_start)
);
CREATE INDEX IF NOT EXISTS coverage_period_end ON lock_engine.coverage (period_end DESC);
COMMENT ON TABLE lock_engine.coverage IS
  'The monitor''s own coverage, a row each half minute: looks, cycles, gaps, time spent, and what was too short to be sampled.';
COMMENT ON COLUMN lock_engine.coverage.looks IS 'Quiet ticks: is anyone waiting?';
COMMENT ON COLUMN lock_engine.coverage.cycles_skipped IS
  'Full cycles not run because another cycle or a lock on the vault''s tables was in the way. Never queued.';
COMMENT ON COLUMN lock_engine.coverage.largest_gap_ms IS 'Longest time between two looks that succeeded.';
COMMENT ON COLUMN lock_engine.coverage.busy_ms IS 'Time the loop spent in statements, on the clock.';
COMMENT ON COLUMN lock_engine.coverage.finished_transactions IS
  'Commits and rollbacks of all databases by PostgreSQL''s counters, which lag by up to 10 s; NULL if they were reset.';
COMMENT ON COLUMN lock_engine.coverage.monitor_transactions IS 'How many of those were the loop''s own statements.';
COMMENT ON COLUMN lock_engine.coverage.seen_transactions IS
  'Distinct transactions begun in the period of which at least one lock was stored.';
COMMENT ON COLUMN lock_engine.coverage.unsampled_transactions IS
  'finished - monitor - seen: transactions whose locks were too short, or too young, to be sampled. NULL if not knowable.';
COMMENT ON COLUMN lock_engine.coverage.unknown IS 'Which figures are not knowable for this period, and why.';
GRANT SELECT, INSERT, DELETE ON lock_engine.coverage TO lock_vault_owner;
GRANT SELECT ON lock_engine.coverage TO lock_monitoring_role;
