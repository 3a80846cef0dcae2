CREATE OR REPLACE FUNCTION lock_engine.knows_tenant(p_tenant_hk bytea)
RETURNS boolean
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT p_tenant_hk = lock_engine.system_tenant()
      OR EXISTS (SELECT FROM lock_engine.tenant_seen n WHERE n.tenant_hk = p_tenant_hk)
      OR EXISTS (SELECT FROM lock_engine.tenant_claim c WHERE c.tenant_hk = p_tenant_hk)
$$;
COMMENT ON FUNCTION lock_engine.knows_tenant(bytea) IS 'Whether this is a tenant of the site, as last read from its tables.';
