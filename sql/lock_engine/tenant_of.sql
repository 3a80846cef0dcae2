-- The tenant of a session: the one its application name claims (tenant=<tenant_bk>), else that of the One Vault user
-- with the login's name, else the system tenant. Business keys are not unique: the lowest key counts, so that it is the same
-- one each time. Only our own tables are read here; a claim that is not known yet, or was looked up long ago, is written down for
-- lock_engine.ask_site(), and stands for the empty key until then, never for the system tenant.
CREATE OR REPLACE FUNCTION lock_engine.tenant_of(p_user_name text, p_application_name text)
RETURNS bytea
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_tag text := lock_engine.claimed_tenant(p_application_name);
  v_claim text;
  v_known record;
  v_unknown boolean := false;
BEGIN
  FOREACH v_claim IN ARRAY ARRAY['t:' || v_tag, 'u:' || p_user_name] LOOP
    CONTINUE WHEN v_claim IS NULL;
    SELECT c.tenant_hk, c.looked_up_at > clock_timestamp() - interval '10 minutes' AS fresh INTO v_known
      FROM lock_engine.tenant_claim c WHERE c.claim = v_claim;
    IF v_known.fresh IS NOT TRUE THEN
      INSERT INTO lock_engine.tenant_wanted AS w (claim) VALUES (v_claim) ON CONFLICT (claim) DO NOTHING;
    END IF;
    -- where the first is not known yet the second is asked with it
    v_unknown := v_unknown OR v_known.fresh IS NULL;
    IF v_known.tenant_hk IS NOT NULL AND NOT v_unknown THEN
      RETURN v_known.tenant_hk;
    END IF;
  END LOOP;
  IF v_unknown THEN
    RETURN '';
  END IF;
  RETURN lock_engine.system_tenant();
END
$$;
COMMENT ON FUNCTION lock_engine.tenant_of(text, text) IS
  'tenant_hk of a session by its claims (application name, login), never NULL; the empty key while the site has not been asked or '
  'could not be read. A claim, not a proof.';
