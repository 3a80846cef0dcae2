-- lock_blocking_l: which waiting lock was blocked by which episode. Written for the waiting rows that this cycle wrote,
-- with the blockers they have then; after a failure (p_since) also for the open ones of the cycles before.
CREATE OR REPLACE FUNCTION lock_engine.store_links(
  p_now timestamptz, p_apart bigint[] DEFAULT '{}', p_since timestamptz DEFAULT NULL)
RETURNS integer
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
SET jit = off
SET plan_cache_mode = force_generic_plan
SET enable_nestloop = off
SET enable_mergejoin = off
SET enable_seqscan = off
AS $$
DECLARE
  v_written integer;
  v_moments timestamptz[] := ARRAY[p_now];
BEGIN
  IF p_since IS NOT NULL THEN
    v_moments := v_moments || ARRAY(
      SELECT DISTINCT s.load_date FROM lock_monitoring.lock_activity_s s
       WHERE s.load_end_date IS NULL AND NOT s.lock_granted AND s.load_date BETWEEN p_since - interval '1 second' AND p_now);
  END IF;
  WITH
  a AS MATERIALIZED (
    SELECT s.lock_activity_hk, s.blocking_nodes || s.soft_blocking_nodes AS nodes,
           (SELECT h.tenant_hk FROM lock_monitoring.lock_activity_h h WHERE h.lock_activity_hk = s.lock_activity_hk) AS tenant_hk
      FROM lock_monitoring.lock_activity_s s
     -- a COALESCE, because for a bare IS NULL the indexes of the open rows would be read whole
     WHERE NOT s.lock_granted AND s.load_date = ANY (v_moments) AND coalesce(s.load_end_date, 'infinity') = 'infinity' AND s.lock_pid <> ALL (p_apart)),
  b AS MATERIALIZED (
    SELECT s.node, s.blocking_session_hk FROM lock_monitoring.blocking_session_s s WHERE s.load_end_date IS NULL)
  INSERT INTO lock_monitoring.lock_blocking_l (
    link_lock_blocking_hk, blocking_session_hk, lock_activity_hk, tenant_hk, load_date, record_source)
  SELECT sha256(b.blocking_session_hk || w.lock_activity_hk), b.blocking_session_hk, w.lock_activity_hk, w.tenant_hk, p_now,
         'pg_blocking_pids'
    FROM (SELECT a.lock_activity_hk, a.tenant_hk, unnest(a.nodes) AS node FROM a) w
    JOIN b ON b.node = w.node
  ON CONFLICT DO NOTHING;
  GET DIAGNOSTICS v_written = ROW_COUNT;
  RETURN v_written;
END
$$;
COMMENT ON FUNCTION lock_engine.store_links(timestamptz, bigint[], timestamptz) IS
  'Links the waiting locks written at p_now to the blocking episodes open then; returns the number of new links.';
