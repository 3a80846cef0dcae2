-- A tenant that the site has deleted: what is aside for it is looked up again, and so is whoever claimed it.
CREATE OR REPLACE FUNCTION lock_engine.forget_tenant(p_tenant_hk bytea)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_name text;
BEGIN
  WITH gone AS (DELETE FROM lock_engine.tenant_claim c WHERE c.tenant_hk = p_tenant_hk RETURNING c.claim)
  INSERT INTO lock_engine.tenant_wanted AS w (claim) SELECT g.claim FROM gone g ON CONFLICT (claim) DO NOTHING;
  FOREACH v_name IN ARRAY ARRAY['lock_activity_h', 'blocking_session_h', 'deadlock_event_h', 'lock_wait_analysis_h',
                                'lock_blocking_l', 'deadlock_involvement_l'] LOOP
    EXECUTE format('UPDATE lock_engine.aside_%s t SET tenant_hk = '''' WHERE t.tenant_hk = $1', v_name) USING p_tenant_hk;
  END LOOP;
END
$$;
COMMENT ON FUNCTION lock_engine.forget_tenant(bytea) IS 'Rows aside of a tenant that is gone become rows of nobody known yet.';
