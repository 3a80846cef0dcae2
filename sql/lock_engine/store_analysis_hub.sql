-- Its key to the tenants is checked at once (see lock_engine.tenant_state): a tenant that cannot be had leaves it aside.
CREATE OR REPLACE FUNCTION lock_engine.store_analysis_hub(p_hk bytea, p_bk text, p_tenant_hk bytea, p_now timestamptz)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '5ms'
AS $$
BEGIN
  IF EXISTS (SELECT FROM lock_monitoring.lock_wait_analysis_h h WHERE h.lock_wait_analysis_hk = p_hk) THEN
    RETURN;
  END IF;
  BEGIN
    PERFORM lock_engine.plain_tenants();
    INSERT INTO lock_monitoring.lock_wait_analysis_h (lock_wait_analysis_hk, lock_wait_analysis_bk, tenant_hk, load_date, record_source)
    VALUES (p_hk, p_bk, p_tenant_hk, p_now, 'analyze_lock_waits') ON CONFLICT DO NOTHING;
  EXCEPTION
    WHEN OTHERS THEN
      IF lock_engine.ends_all(SQLSTATE, false) THEN
        RAISE;
      END IF;
      INSERT INTO lock_engine.aside_lock_wait_analysis_h (lock_wait_analysis_hk, lock_wait_analysis_bk, tenant_hk, load_date, record_source)
      VALUES (p_hk, p_bk, p_tenant_hk, p_now, 'analyze_lock_waits') ON CONFLICT DO NOTHING;
      PERFORM lock_engine.note_aside(SQLERRM);
      -- its row is written next, for a hub that is aside
      PERFORM lock_engine.defer_keys(p_now);
  END;
END
$$;
COMMENT ON FUNCTION lock_engine.store_analysis_hub(bytea, text, bytea, timestamptz) IS
  'Stores the hub of an analysis, aside where its tenant cannot be had within 5 ms.';
