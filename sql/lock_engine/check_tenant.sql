-- For all tenants nothing of the site's is touched. A tenant that was seen before is known while the table is locked, too.
CREATE OR REPLACE FUNCTION lock_engine.check_tenant(p_tenant_hk bytea)
RETURNS void
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '200ms'
AS $$
DECLARE
  v_known boolean;
BEGIN
  IF p_tenant_hk IS NULL THEN
    RETURN;
  END IF;
  BEGIN
    v_known := EXISTS (SELECT 1 FROM auth.tenant_h t WHERE t.tenant_hk = p_tenant_hk);
    IF NOT v_known AND row_security_active('auth.tenant_h') THEN
      v_known := EXISTS (SELECT 1 FROM lock_engine.tenant_claim c WHERE c.tenant_hk = p_tenant_hk);
    END IF;
  EXCEPTION
    WHEN OTHERS THEN
      IF lock_engine.ends_all(SQLSTATE, false) THEN
        RAISE;
      END IF;
      IF NOT EXISTS (SELECT 1 FROM lock_engine.tenant_claim c WHERE c.tenant_hk = p_tenant_hk)
         AND NOT EXISTS (SELECT 1 FROM lock_engine.tenant_seen n WHERE n.tenant_hk = p_tenant_hk) THEN
        RAISE EXCEPTION 'Whether there is a tenant with tenant_hk % cannot be read now (%); try again, or give NULL for all tenants.',
          encode(p_tenant_hk, 'hex'), SQLERRM USING ERRCODE = 'lock_not_available';
      END IF;
      RETURN;
  END;
  IF NOT v_known THEN
    RAISE EXCEPTION 'There is no tenant with tenant_hk %; give one of auth.tenant_h, or NULL for all tenants.',
      encode(p_tenant_hk, 'hex') USING ERRCODE = 'invalid_parameter_value';
  END IF;
END
$$;
COMMENT ON FUNCTION lock_engine.check_tenant(bytea) IS 'Refuses an unknown tenant with a sentence; NULL stands for all tenants.';
