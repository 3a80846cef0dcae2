-- lock_blocking_l: which waiting lock was blocked by which episode. Written for the waiting rows that this cycle wrote,
-- with the blockers they have then.
CREATE OR REPLACE FUNCTION lock_engine.store_links(p_now timestamptz)
RETURNS integer
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_written integer;
BEGIN
  INSERT INTO lock_monitoring.lock_blocking_l (
    link_lock_blocking_hk, blocking_session_hk, lock_activity_hk, tenant_hk, load_date, record_source)
  SELECT sha256(b.blocking_session_hk || a.lock_activity_hk), b.blocking_session_hk, a.lock_activity_hk, h.tenant_hk, p_now,
         'pg_blocking_pids'
    FROM lock_monitoring.lock_activity_s a
    JOIN lock_monitoring.lock_activity_h h ON h.lock_activity_hk = a.lock_activity_hk
    JOIN lock_monitoring.blocking_session_s b
      ON b.load_end_date IS NULL AND (b.node = ANY (a.blocking_nodes) OR b.node = ANY (a.soft_blocking_nodes))
   WHERE a.load_end_date IS NULL AND NOT a.lock_granted AND a.load_date = p_now
  ON CONFLICT DO NOTHING;
  GET DIAGNOSTICS v_written = ROW_COUNT;
  RETURN v_written;
END
$$;
COMMENT ON FUNCTION lock_engine.store_links(timestamptz) IS
  'Links the waiting locks written at p_now to the blocking episodes open then; returns the number of new links.';
