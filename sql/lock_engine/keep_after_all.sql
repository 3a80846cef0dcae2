-- What was seen while nothing could be stored, and has been stored since, was watched.
CREATE OR REPLACE FUNCTION lock_engine.keep_after_all(p_from timestamptz, p_to timestamptz)
RETURNS numeric
LANGUAGE sql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
  WITH hit AS (
    DELETE FROM lock_engine.coverage_gap g WHERE g.gap_end > p_from AND g.gap_start < p_to AND p_from < p_to
    RETURNING g.gap_start, g.gap_end, g.reason, g.recorded_at),
  rest AS (
    INSERT INTO lock_engine.coverage_gap (gap_start, gap_end, reason, recorded_at)
    SELECT p.s, p.e, h.reason, h.recorded_at
      FROM hit h CROSS JOIN LATERAL (VALUES (h.gap_start, p_from), (p_to, h.gap_end)) AS p (s, e)
     WHERE p.s < p.e),
  again AS MATERIALIZED (SELECT lock_engine.unroll_waits(p_from))
  SELECT round(coalesce(sum(extract(epoch FROM least(h.gap_end, p_to) - greatest(h.gap_start, p_from))), 0)::numeric, 3) FROM again LEFT JOIN hit h ON true
$$;
COMMENT ON FUNCTION lock_engine.keep_after_all(timestamptz, timestamptz) IS
  'Takes a period out of the gaps, because what was seen in it is stored after all; returns the seconds that are no gap any more.';
ALTER FUNCTION lock_engine.keep_after_all(timestamptz, timestamptz) OWNER TO lock_vault_owner;
REVOKE ALL ON FUNCTION lock_engine.keep_after_all(timestamptz, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lock_engine.keep_after_all(timestamptz, timestamptz) TO lock_monitoring_role;
