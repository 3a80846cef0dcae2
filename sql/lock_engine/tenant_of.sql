-- The tenant of a session: the one its application name claims (tenant=<tenant_bk>), else that of the One Vault user
-- with the login's name, else the system tenant. Business keys are not unique: the lowest key counts, so that it is the same
-- one each time. What could not be read is the empty key, never the system tenant, and is not remembered.
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
  v_found record;
BEGIN
  FOREACH v_claim IN ARRAY ARRAY['t:' || v_tag, 'u:' || p_user_name] LOOP
    CONTINUE WHEN v_claim IS NULL;
    SELECT c.tenant_hk INTO v_tenant FROM lock_engine.tenant_claim c
     WHERE c.claim = v_claim AND c.looked_up_at > clock_timestamp() - interval '10 minutes';
    IF NOT FOUND THEN
      SELECT r.* INTO v_found FROM lock_engine.read_tenant(v_claim) r;
      IF NOT v_found.readable THEN
        RETURN '';
      END IF;
      v_tenant := v_found.tenant_hk;
      INSERT INTO lock_engine.tenant_claim AS c (claim, tenant_hk, looked_up_at)
      VALUES (v_claim, v_tenant, clock_timestamp())
      ON CONFLICT (claim) DO UPDATE SET tenant_hk = EXCLUDED.tenant_hk, looked_up_at = EXCLUDED.looked_up_at;
      INSERT INTO lock_engine.tenant_seen AS n (tenant_hk, tenant_bk, seen_at)
      SELECT v_tenant, v_found.tenant_bk, clock_timestamp() WHERE v_tenant IS NOT NULL
      ON CONFLICT (tenant_hk) DO UPDATE SET tenant_bk = EXCLUDED.tenant_bk, seen_at = EXCLUDED.seen_at
       WHERE n.tenant_bk <> EXCLUDED.tenant_bk;
    END IF;
    IF v_tenant IS NOT NULL THEN
      RETURN v_tenant;
    END IF;
  END LOOP;
  RETURN lock_engine.system_tenant();
END
$$;
COMMENT ON FUNCTION lock_engine.tenant_of(text, text) IS
  'tenant_hk of a session by its claims (application name, login), never NULL; the empty key if the site''s tables could not be '
  'read. A claim, not a proof.';
