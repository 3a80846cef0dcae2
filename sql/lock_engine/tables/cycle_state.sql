-- What the last cycle saw, so that the next one can tell at the price of reading that nothing has changed.
CREATE TABLE IF NOT EXISTS lock_engine.cycle_state (
  cycle_state_id smallint PRIMARY KEY DEFAULT 1,
  digest numeric,
  everything boolean,
  stored_at timestamptz,
  checked_at timestamptz,
  refresh_at timestamptz,
  server_started timestamptz,
  locks_captured integer,
  blocking_locks integer,
  critical_locks integer,
  waiting_sessions integer,
  blocking_sessions integer,
  root_blockers integer,
  critical_blockers integer,
  recommendations text[],
  CONSTRAINT cycle_state_single CHECK (cycle_state_id = 1)
) WITH (fillfactor = 10);
INSERT INTO lock_engine.cycle_state (cycle_state_id) VALUES (1) ON CONFLICT (cycle_state_id) DO NOTHING;
COMMENT ON TABLE lock_engine.cycle_state IS 'One row: what the last cycle saw and stored.';
COMMENT ON COLUMN lock_engine.cycle_state.digest IS 'lock_catalog.digest() of what was stored.';
COMMENT ON COLUMN lock_engine.cycle_state.everything IS 'true: also locks of transactions too young for a scheduled cycle.';
COMMENT ON COLUMN lock_engine.cycle_state.stored_at IS 'When the vault was last compared with PostgreSQL in full.';
COMMENT ON COLUMN lock_engine.cycle_state.checked_at IS 'The last good cycle, written at most every 5 s while nothing changes.';
COMMENT ON COLUMN lock_engine.cycle_state.refresh_at IS 'When the next duration of an open row reaches a new step.';
GRANT SELECT, INSERT, UPDATE ON lock_engine.cycle_state TO lock_vault_owner;
GRANT SELECT ON lock_engine.cycle_state TO lock_monitoring_role;
