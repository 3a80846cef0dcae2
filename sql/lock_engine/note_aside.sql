-- Which tenants have rows aside; of each one its reason as first given.
CREATE OR REPLACE FUNCTION lock_engine.note_aside(p_reason text)
RETURNS void
LANGUAGE sql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
  WITH aside AS MATERIALIZED (
    SELECT h.tenant_hk FROM lock_engine.aside_lock_activity_h h
    UNION SELECT h.tenant_hk FROM lock_engine.aside_blocking_session_h h
    UNION SELECT h.tenant_hk FROM lock_engine.aside_deadlock_event_h h
    UNION SELECT h.tenant_hk FROM lock_engine.aside_lock_wait_analysis_h h
    UNION SELECT l.tenant_hk FROM lock_engine.aside_lock_blocking_l l
    UNION SELECT l.tenant_hk FROM lock_engine.aside_deadlock_involvement_l l),
  gone AS (
    DELETE FROM lock_engine.aside_tenant t WHERE NOT EXISTS (SELECT FROM aside a WHERE a.tenant_hk = t.tenant_hk)
    RETURNING 1)
  INSERT INTO lock_engine.aside_tenant (tenant_hk, since, tried_at, reason)
  SELECT a.tenant_hk, clock_timestamp(), clock_timestamp(),
         CASE WHEN a.tenant_hk = '' THEN 'whose they are could not be read' ELSE coalesce(p_reason, 'what they hang on is kept aside') END
    FROM aside a
   WHERE NOT EXISTS (SELECT FROM lock_engine.aside_tenant t WHERE t.tenant_hk = a.tenant_hk)
  ON CONFLICT DO NOTHING
$$;
COMMENT ON FUNCTION lock_engine.note_aside(text) IS 'Brings lock_engine.aside_tenant up to date with the rows that are aside.';
