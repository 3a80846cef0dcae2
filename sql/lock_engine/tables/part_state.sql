-- The parts of the monitor that can fail by themselves, so that what one of them cannot do never takes the rest with it.
-- One row for each part that has ever failed; the parts are few and named in the code, so the table is bounded.
CREATE TABLE IF NOT EXISTS lock_engine.part_state (
  part text PRIMARY KEY CHECK (part ~ '^[a-z][a-z -]{0,39}$'),
  failures_in_a_row integer NOT NULL DEFAULT 0,
  failures bigint NOT NULL DEFAULT 0,
  set_aside integer NOT NULL DEFAULT 0,
  what text,
  records bigint[],
  last_sqlstate text,
  last_error text,
  failing_since timestamptz,
  last_failed_at timestamptz,
  last_ok_at timestamptz
) WITH (fillfactor = 50);
COMMENT ON TABLE lock_engine.part_state IS
  'Parts of the monitor (episodes, links, tenants, server log, ...) that have failed, one row each: how often, and why last.';
COMMENT ON COLUMN lock_engine.part_state.part IS 'Fits after "watching, without ".';
COMMENT ON COLUMN lock_engine.part_state.failures_in_a_row IS
  'Runs that failed since the last good one; from 2 on the monitor says that it watches without this part.';
COMMENT ON COLUMN lock_engine.part_state.failures IS 'Runs that have failed, ever.';
COMMENT ON COLUMN lock_engine.part_state.set_aside IS
  'Records that the last failed run left out while it did the rest; 0: it did nothing of this part.';
COMMENT ON COLUMN lock_engine.part_state.what IS 'The records set aside, in words, the first few of them.';
COMMENT ON COLUMN lock_engine.part_state.records IS 'The records set aside by number: pids, nodes of the graph, events.';
COMMENT ON COLUMN lock_engine.part_state.last_sqlstate IS 'PostgreSQL''s code of the last failure.';
COMMENT ON COLUMN lock_engine.part_state.last_error IS 'The last failure in PostgreSQL''s words.';
COMMENT ON COLUMN lock_engine.part_state.failing_since IS 'When the first of the failures in a row was; NULL while it works.';
COMMENT ON COLUMN lock_engine.part_state.last_ok_at IS 'The first good run after the last failure.';
GRANT SELECT, INSERT, UPDATE ON lock_engine.part_state TO lock_vault_owner;
GRANT SELECT ON lock_engine.part_state TO lock_monitoring_role;
