-- A cycle does not touch the site's tables: it writes down here whose tenant it wants to know, and lock_engine.ask_site() asks.
CREATE TABLE IF NOT EXISTS lock_engine.tenant_wanted (
  claim text PRIMARY KEY,
  asked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  tries integer NOT NULL DEFAULT 0,
  try_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE lock_engine.tenant_wanted IS
  'Claims (t: a tenant''s business key, u: a user''s) that lock_engine.ask_site() is to look up in the site''s tables.';
COMMENT ON COLUMN lock_engine.tenant_wanted.try_at IS 'Not before this moment; later each time that the site''s tables could not be read.';
GRANT SELECT, INSERT, UPDATE, DELETE ON lock_engine.tenant_wanted TO lock_vault_owner;
GRANT SELECT, INSERT ON lock_engine.tenant_wanted TO lock_door_owner;
GRANT SELECT ON lock_engine.tenant_wanted TO lock_monitoring_role;
