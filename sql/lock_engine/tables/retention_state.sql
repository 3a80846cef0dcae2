-- How far the round through the hubs has come that looks for hubs without rows: such as a release before left behind.
CREATE TABLE IF NOT EXISTS lock_engine.retention_state (
    hub_table text PRIMARY KEY,
    swept_to  bytea NOT NULL,
    swept_at  timestamptz NOT NULL
);
COMMENT ON TABLE lock_engine.retention_state IS
    'Where the next cleanup goes on looking for hubs that have no rows, for each hub table; a part of the hubs each time.';
COMMENT ON COLUMN lock_engine.retention_state.swept_to IS 'Key of the last hub looked at; empty: the next round begins.';
GRANT SELECT ON lock_engine.retention_state TO lock_monitoring_role;
GRANT SELECT, INSERT, UPDATE, DELETE ON lock_engine.retention_state TO lock_vault_owner;
