-- For a gap that does not follow from the looks: what was looked at, but could not be kept. What is a gap already is not
-- stored twice.
CREATE OR REPLACE FUNCTION lock_engine.record_coverage_gap(
  p_gap_start timestamptz, p_gap_end timestamptz, p_reason text)
RETURNS numeric
LANGUAGE sql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
  SELECT lock_engine.require_owner('lock_vault_owner');
  SELECT lock_engine.require_watcher();
  WITH stored AS (
    INSERT INTO lock_engine.coverage_gap (gap_start, gap_end, reason)
    SELECT f.s, f.e, p_reason FROM lock_engine.free_of_gaps(p_gap_start, p_gap_end) f
    RETURNING gap_start, gap_end
  )
  SELECT round(sum(extract(epoch FROM s.gap_end - s.gap_start))::numeric, 3) FROM stored s
$function$;
COMMENT ON FUNCTION lock_engine.record_coverage_gap(timestamptz, timestamptz, text) IS
  'Stores a time in which nothing was watched or kept, without what is stored as a gap already; returns its seconds, NULL if nothing is left.';
ALTER FUNCTION lock_engine.record_coverage_gap(timestamptz, timestamptz, text) OWNER TO lock_vault_owner;
REVOKE ALL ON FUNCTION lock_engine.record_coverage_gap(timestamptz, timestamptz, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lock_engine.record_coverage_gap(timestamptz, timestamptz, text) TO lock_monitoring_role;
