-- Times in which nobody watched: written with the first look afterwards (lock_engine.record_look), from the last one
-- before. Whatever row stands here is cut out of what counts as watched.
CREATE TABLE IF NOT EXISTS lock_engine.coverage_gap (
  coverage_gap_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  gap_start timestamptz NOT NULL,
  gap_end timestamptz NOT NULL,
  reason text NOT NULL,
  recorded_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  CONSTRAINT coverage_gap_order CHECK (gap_end >= gap_start)
);
CREATE INDEX IF NOT EXISTS coverage_gap_end ON lock_engine.coverage_gap (gap_end DESC);
COMMENT ON TABLE lock_engine.coverage_gap IS
  'Times in which the monitor did not watch, each with its reason in words (restart, connection refused, killed ...).';
GRANT SELECT, INSERT, UPDATE, DELETE ON lock_engine.coverage_gap TO lock_vault_owner;
GRANT SELECT ON lock_engine.coverage_gap TO lock_monitoring_role, lock_door_owner;
