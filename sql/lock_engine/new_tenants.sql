CREATE OR REPLACE FUNCTION lock_engine.new_tenants(p_since timestamptz)
RETURNS SETOF bytea
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
  WITH s AS MATERIALIZED (
    SELECT DISTINCT a.lock_activity_hk FROM ONLY lock_monitoring.lock_activity_s a WHERE a.load_date >= p_since)
  SELECT h.tenant_hk FROM ONLY lock_monitoring.lock_activity_h h
   WHERE h.load_date >= p_since AND h.lock_activity_hk IN (SELECT s.lock_activity_hk FROM s)
  UNION
  SELECT l.tenant_hk FROM ONLY lock_monitoring.lock_blocking_l l
   WHERE l.load_date >= p_since AND l.lock_activity_hk IN (SELECT s.lock_activity_hk FROM s)
  UNION
  SELECT h.tenant_hk FROM ONLY lock_monitoring.blocking_session_h h
   WHERE h.load_date >= p_since
     AND h.blocking_session_hk IN (SELECT b.blocking_session_hk FROM ONLY lock_monitoring.blocking_session_s b WHERE b.load_date >= p_since)
  UNION
  SELECT h.tenant_hk FROM ONLY lock_monitoring.deadlock_event_h h WHERE h.load_date >= p_since
  UNION
  SELECT l.tenant_hk FROM ONLY lock_monitoring.deadlock_involvement_l l WHERE l.load_date >= p_since
$$;
COMMENT ON FUNCTION lock_engine.new_tenants(timestamptz) IS 'Tenants of the hubs and links written since then.';
