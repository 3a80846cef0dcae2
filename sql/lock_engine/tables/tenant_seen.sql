-- All that lists and pages know of the site's tenants: nobody but lock_engine.read_site() reads auth.tenant_h.
CREATE TABLE IF NOT EXISTS lock_engine.tenant_seen (
  tenant_hk bytea PRIMARY KEY,
  tenant_bk text NOT NULL,
  seen_at timestamptz NOT NULL
);
COMMENT ON TABLE lock_engine.tenant_seen IS 'Names of tenants as lock_engine.ask_site() last read them from auth.tenant_h.';
GRANT SELECT, INSERT, UPDATE, DELETE ON lock_engine.tenant_seen TO lock_vault_owner;
GRANT SELECT ON lock_engine.tenant_seen TO lock_door_owner;
GRANT SELECT ON lock_engine.tenant_seen TO lock_monitoring_role;
