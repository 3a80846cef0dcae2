-- Asked by hubs that are taken back at once: a foreign key reads a tenant's row with the rights of its owner, so no right
-- on the site's table is needed, and what that row, a policy or a trigger there says is what the vault would meet.
CREATE OR REPLACE FUNCTION lock_engine.tenant_state(p_tenants bytea[], OUT state text, OUT reason text)
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '1ms'
AS $$
BEGIN
  BEGIN
    PERFORM lock_engine.plain_tenants();
    INSERT INTO lock_monitoring.lock_wait_analysis_h (lock_wait_analysis_hk, lock_wait_analysis_bk, tenant_hk, load_date, record_source)
    SELECT sha256(convert_to(k.key, 'UTF8')), k.key, k.tenant_hk, clock_timestamp(), 'tenant_state'
      FROM (SELECT format('tenant %s of pid %s', encode(x.tenant_hk, 'hex'), pg_backend_pid()) AS key, x.tenant_hk
              FROM unnest(p_tenants) AS x (tenant_hk)) k;
    RAISE EXCEPTION USING ERRCODE = 'LV001', MESSAGE = 'taken back';
  EXCEPTION
    WHEN SQLSTATE 'LV001' THEN
      state := 'free';
    WHEN lock_not_available THEN
      state := 'locked';
      reason := 'the tenant is locked by another session';
    WHEN foreign_key_violation THEN
      state := 'gone';
      reason := 'there is no such tenant any more';
    WHEN OTHERS THEN
      IF lock_engine.ends_all(SQLSTATE, false) THEN
        RAISE;
      END IF;
      state := 'failed';
      reason := SQLERRM;
  END;
END
$$;
COMMENT ON FUNCTION lock_engine.tenant_state(bytea[]) IS
  'Whether hubs of all these tenants could be stored now: free, locked, gone or failed, with the '
  'reason. Waits 1 ms at most and keeps no lock.';
