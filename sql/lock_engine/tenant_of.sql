-- The tenant of a session: the one its application name claims (tenant=<tenant_bk>), else that of the One Vault user
-- with the login's name, else the system tenant. Business keys are not unique: the lowest key counts, so that it is the same one each time.
CREATE OR REPLACE FUNCTION lock_engine.tenant_of(p_user_name text, p_application_name text)
RETURNS bytea
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_tag text := substring(p_application_name FROM '(?:^|[\s;,|])tenant=([^\s;,|]+)');
  v_claim text;
  v_tenant bytea;
BEGIN
  FOREACH v_claim IN ARRAY ARRAY['t:' || v_tag, 'u:' || p_user_name] LOOP
    CONTINUE WHEN v_claim IS NULL;
    SELECT c.tenant_hk INTO v_tenant FROM lock_engine.tenant_claim c
     WHERE c.claim = v_claim AND c.looked_up_at > clock_timestamp() - interval '10 minutes';
    IF NOT FOUND THEN
      IF v_claim LIKE 't:%' THEN
        SELECT t.tenant_hk INTO v_tenant FROM auth.tenant_h t
         WHERE t.tenant_bk = substr(v_claim, 3) ORDER BY t.tenant_hk LIMIT 1;
      ELSE
        SELECT u.tenant_hk INTO v_tenant FROM auth.user_h u JOIN auth.tenant_h t ON t.tenant_hk = u.tenant_hk
         WHERE u.user_bk = substr(v_claim, 3) ORDER BY u.tenant_hk LIMIT 1;
      END IF;
      INSERT INTO lock_engine.tenant_claim AS c (claim, tenant_hk, looked_up_at)
      VALUES (v_claim, v_tenant, clock_timestamp())
      ON CONFLICT (claim) DO UPDATE SET tenant_hk = EXCLUDED.tenant_hk, looked_up_at = EXCLUDED.looked_up_at;
    END IF;
    IF v_tenant IS NOT NULL THEN
      RETURN v_tenant;
    END IF;
  END LOOP;
  RETURN lock_engine.system_tenant();
END
$$;
COMMENT ON FUNCTION lock_engine.tenant_of(text, text) IS
  'tenant_hk of a session by its claims (application name, login), never NULL. A claim, not a proof.';
