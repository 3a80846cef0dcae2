-- The loop's last sign of life that survives everything, one row. Between two beats the leader's own session shows
-- when it looked last (lock_engine.monitor_status), so that a quiet second writes nothing.
CREATE TABLE IF NOT EXISTS lock_engine.heartbeat (
  heartbeat_id smallint PRIMARY KEY DEFAULT 1,
  leader_pid integer NOT NULL,
  leader_host text NOT NULL,
  leader_process integer NOT NULL,
  watching_since timestamptz NOT NULL,
  beat_at timestamptz NOT NULL,
  last_look_at timestamptz,
  last_cycle_at timestamptz,
  look_ms numeric(12,3),
  cycle_ms numeric(12,3),
  look_by text,
  skipping_since timestamptz,
  skipped_because text,
  CONSTRAINT heartbeat_single CHECK (heartbeat_id = 1)
) WITH (fillfactor = 10);
COMMENT ON TABLE lock_engine.heartbeat IS
  'One row: the loop''s last written sign of life. Read lock_engine.monitor_status, which knows more.';
COMMENT ON COLUMN lock_engine.heartbeat.leader_pid IS 'Server process of the loop''s connection.';
COMMENT ON COLUMN lock_engine.heartbeat.leader_process IS 'Process number of the loop on its own host.';
COMMENT ON COLUMN lock_engine.heartbeat.look_ms IS 'What one quiet look takes, smoothed over the last ones.';
COMMENT ON COLUMN lock_engine.heartbeat.look_by IS 'activity or locks: which of the two is cheaper to read here.';
COMMENT ON COLUMN lock_engine.heartbeat.skipped_because IS 
  'Who holds what the full cycle needs, while it is being skipped; with skipping_since NULL: how many looks kept meanwhile wait to be stored.';
GRANT SELECT, INSERT, UPDATE ON lock_engine.heartbeat TO lock_vault_owner;
GRANT SELECT ON lock_engine.heartbeat TO lock_monitoring_role;
