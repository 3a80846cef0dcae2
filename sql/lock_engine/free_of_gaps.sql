CREATE OR REPLACE FUNCTION lock_engine.free_of_gaps(p_from timestamptz, p_to timestamptz)
RETURNS TABLE (s timestamptz, e timestamptz)
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT x.s, x.e
    FROM (SELECT greatest(p_from, max(g.gap_end) OVER (ORDER BY g.gap_start, g.gap_end ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)) AS s,
                 least(g.gap_start, p_to) AS e
            FROM (SELECT c.gap_start, c.gap_end FROM lock_engine.coverage_gap c WHERE c.gap_end > p_from AND c.gap_start < p_to
                  UNION ALL SELECT p_to, p_to) g) x
   WHERE x.s < x.e
$$;
COMMENT ON FUNCTION lock_engine.free_of_gaps(timestamptz, timestamptz) IS
  'The pieces of a period that no row of lock_engine.coverage_gap covers, the first look and the present left aside.';
