CREATE TABLE IF NOT EXISTS lock_engine.aside_tenant (
  tenant_hk bytea PRIMARY KEY,
  since timestamptz NOT NULL,
  tried_at timestamptz NOT NULL,
  tries integer NOT NULL DEFAULT 1,
  reason text NOT NULL,
  movable boolean NOT NULL DEFAULT false
);
-- a vault of an earlier state has the table without it; where it is there nobody is kept waiting
DO $movable$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_attribute a
                  WHERE a.attrelid = 'lock_engine.aside_tenant'::regclass AND a.attname = 'movable') THEN
    ALTER TABLE lock_engine.aside_tenant ADD COLUMN movable boolean NOT NULL DEFAULT false;
  END IF;
END
$movable$;
COMMENT ON TABLE lock_engine.aside_tenant IS
  'Tenants of which rows are kept aside, and why; the empty key: whose they are could not be read.';
COMMENT ON COLUMN lock_engine.aside_tenant.tries IS 'How often its row was asked for in vain since then.';
COMMENT ON COLUMN lock_engine.aside_tenant.movable IS
  'Its row can be had and more rows are aside than one transaction moves: lock_engine.place_rows moves more.';
GRANT SELECT, INSERT, UPDATE, DELETE ON lock_engine.aside_tenant TO lock_vault_owner;
GRANT SELECT ON lock_engine.aside_tenant TO lock_monitoring_role;
