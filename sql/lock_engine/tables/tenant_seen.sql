-- Names that were read once: shown while auth.tenant_h is locked.
CREATE TABLE IF NOT EXISTS lock_engine.tenant_seen (
  tenant_hk bytea PRIMARY KEY,
  tenant_bk text NOT NULL,
  seen_at timestamptz NOT NULL
);
COMMENT ON TABLE lock_engine.tenant_seen IS 'Names of tenants as last read from auth.tenant_h, for when it cannot be read.';
GRANT SELECT, INSERT, UPDATE, DELETE ON lock_engine.tenant_seen TO lock_vault_owner;
GRANT SELECT, INSERT, UPDATE ON lock_engine.tenant_seen TO lock_door_owner;
GRANT SELECT ON lock_engine.tenant_seen TO lock_monitoring_role;
INSERT INTO lock_engine.tenant_seen (tenant_hk, tenant_bk, seen_at)
SELECT t.tenant_hk, t.tenant_bk, clock_timestamp() FROM auth.tenant_h AS t ORDER BY t.tenant_bk LIMIT 1000
ON CONFLICT (tenant_hk) DO NOTHING;
