-- A statement for each fingerprint: of the last hour in which a root with it began to block.
CREATE OR REPLACE FUNCTION lock_engine.sample_statements(p_fingerprints text[], p_from timestamptz, p_to timestamptz)
RETURNS TABLE (query_fingerprint text, statement text)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  v_until timestamptz := coalesce((SELECT s.rolled_until FROM lock_engine.wait_rollup_state s), p_from);
BEGIN
  RETURN QUERY
  SELECT f.print, q.statement
    FROM unnest(p_fingerprints) AS f (print)
    LEFT JOIN LATERAL (
      SELECT max(r.hour) AS hour FROM lock_engine.wait_rollup r
       WHERE r.dimension = 'query' AND r.hour >= p_from - interval '1 day' AND r.hour < p_to AND r.name = f.print AND r.begun > 0) h ON true
    LEFT JOIN LATERAL (
      SELECT s.current_query AS statement FROM lock_monitoring.blocking_session_s s
       WHERE s.query_fingerprint = f.print AND s.is_root
         AND ((s.load_date >= h.hour AND s.load_date < h.hour + interval '1 hour')
              OR (s.load_date >= v_until AND s.load_date < p_to) OR s.load_end_date IS NULL)
       ORDER BY s.load_date DESC LIMIT 1) q ON true;
END
$$;
COMMENT ON FUNCTION lock_engine.sample_statements(text[], timestamptz, timestamptz) IS
  'One statement of a root blocker for each fingerprint seen in the period; NULL where none is kept.';
GRANT EXECUTE ON FUNCTION lock_engine.sample_statements(text[], timestamptz, timestamptz) TO lock_monitoring_role;
