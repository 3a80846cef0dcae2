-- The records of which a part of a cycle consists, for what sets some of them apart: sessions by their pids (0: prepared
-- transactions), for episodes the nodes of the graph.
CREATE OR REPLACE FUNCTION lock_engine.records_of(p_part text, p_blockers lock_catalog.graph[], p_seen jsonb)
RETURNS bigint[]
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF p_part = 'episodes' THEN
    RETURN ARRAY(
      SELECT b.node FROM unnest(p_blockers) b
      UNION SELECT o.node FROM lock_monitoring.blocking_session_s o WHERE o.load_end_date IS NULL AND o.node IS NOT NULL);
  END IF;
  RETURN ARRAY(
    SELECT a.pid FROM lock_catalog.alive a UNION SELECT 0
    UNION SELECT (x.session ->> 'pid')::integer FROM jsonb_array_elements(p_seen -> 'sessions') x (session)
    UNION SELECT o.lock_pid FROM lock_monitoring.lock_activity_s o
           WHERE o.load_end_date IS NULL AND o.lock_pid IS NOT NULL AND p_part = 'locks');
END
$$;
COMMENT ON FUNCTION lock_engine.records_of(text, lock_catalog.graph[], jsonb) IS
  'All records of a part (locks, links, episodes) of this look, with those of its open rows.';
