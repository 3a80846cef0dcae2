-- Goes round through the hubs, some at a time, for those that nothing points at. A cleanup of this release leaves none;
-- those before did wherever a cycle was running.
CREATE OR REPLACE FUNCTION lock_engine.sweep_hubs(
  p_is text, p_before timestamptz, p_rows integer, p_living text[], OUT looked_at integer, OUT deleted bigint)
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
SET jit = off
SET enable_seqscan = off
SET enable_bitmapscan = off
AS $$
DECLARE
  v_hubs bytea[];
BEGIN
  EXECUTE format('SELECT coalesce(array_agg(x.hk), ''{}'') FROM ('
                 'SELECT h.%1$s_hk AS hk FROM lock_monitoring.%1$s_h h '
                 'WHERE h.%1$s_hk > coalesce((SELECT t.swept_to FROM lock_engine.retention_state t WHERE t.hub_table = $1), '''') '
                 'ORDER BY h.%1$s_hk LIMIT $2) x', p_is)
    INTO v_hubs USING p_is, p_rows;
  looked_at := cardinality(v_hubs);
  deleted := lock_engine.delete_empty_hubs(p_is, p_before, v_hubs, p_living);
  INSERT INTO lock_engine.retention_state AS t (hub_table, swept_to, swept_at)
  VALUES (p_is, CASE WHEN looked_at < p_rows THEN '' ELSE v_hubs[looked_at] END, clock_timestamp())
  ON CONFLICT (hub_table) DO UPDATE SET swept_to = EXCLUDED.swept_to, swept_at = EXCLUDED.swept_at;
END
$$;
COMMENT ON FUNCTION lock_engine.sweep_hubs(text, timestamptz, integer, text[]) IS
  'Looks at the next p_rows hubs of a hub table and deletes those that nothing points at. looked_at below p_rows: the round is over.';
