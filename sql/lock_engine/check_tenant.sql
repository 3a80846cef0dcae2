CREATE OR REPLACE FUNCTION lock_engine.check_tenant(p_tenant_hk bytea)
RETURNS void
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF p_tenant_hk IS NOT NULL AND NOT EXISTS (SELECT 1 FROM auth.tenant_h t WHERE t.tenant_hk = p_tenant_hk) THEN
    RAISE EXCEPTION 'There is no tenant with tenant_hk %; give one of auth.tenant_h, or NULL for all tenants.',
      encode(p_tenant_hk, 'hex') USING ERRCODE = 'invalid_parameter_value';
  END IF;
END
$$;
COMMENT ON FUNCTION lock_engine.check_tenant(bytea) IS 'Refuses an unknown tenant with a sentence; NULL stands for all tenants.';
