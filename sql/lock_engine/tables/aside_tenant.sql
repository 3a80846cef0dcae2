CREATE TABLE IF NOT EXISTS lock_engine.aside_tenant (
  tenant_hk bytea PRIMARY KEY,
  since timestamptz NOT NULL,
  tried_at timestamptz NOT NULL,
  tries integer NOT NULL DEFAULT 1,
  reason text NOT NULL
);
-- a vault of an earlier state has the table without it
ALTER TABLE lock_engine.aside_tenant ADD COLUMN IF NOT EXISTS movable boolean NOT NULL DEFAULT false;
COMMENT ON TABLE lock_engine.aside_tenant IS
  'Tenants of which rows are kept aside, and why; the empty key: whose they are could not be read.';
COMMENT ON COLUMN lock_engine.aside_tenant.tries IS 'How often its row was asked for in vain since then.';
COMMENT ON COLUMN lock_engine.aside_tenant.movable IS
  'Its row can be had and more rows are aside than one transaction moves: lock_engine.place_rows moves more.';
GRANT SELECT, INSERT, UPDATE, DELETE ON lock_engine.aside_tenant TO lock_vault_owner;
GRANT SELECT ON lock_engine.aside_tenant TO lock_monitoring_role;
