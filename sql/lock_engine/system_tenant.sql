CREATE OR REPLACE FUNCTION lock_engine.system_tenant()
RETURNS bytea
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN decode(substr(lock_admin.setting('system.tenant_hk') #>> '{}', 3), 'hex');
END
$$;
COMMENT ON FUNCTION lock_engine.system_tenant() IS 'tenant_hk of the system tenant, resolved when the product was installed.';
