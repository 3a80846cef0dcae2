-- A gap that another loop watched through is none: what a recorded period covers is cut off at both ends.
CREATE OR REPLACE FUNCTION lock_engine.record_coverage_gap(
  p_gap_start timestamptz, p_gap_end timestamptz, p_reason text)
RETURNS numeric
LANGUAGE sql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
  WITH covered AS (
    SELECT greatest(p_gap_start,
                    (SELECT max(c.period_end) FROM lock_engine.coverage c
                      WHERE c.period_end <= p_gap_end AND c.period_end > p_gap_start - interval '1 day'),
                    (SELECT max(g.gap_end) FROM lock_engine.coverage_gap g
                      WHERE g.gap_end <= p_gap_end AND g.gap_end > p_gap_start - interval '1 day'),
                    (SELECT h.last_look_at FROM lock_engine.heartbeat h WHERE h.last_look_at <= p_gap_end)) AS gap_start
  ), stored AS (
    INSERT INTO lock_engine.coverage_gap (gap_start, gap_end, reason)
    SELECT c.gap_start, p_gap_end, p_reason FROM covered c WHERE c.gap_start < p_gap_end
    RETURNING gap_start, gap_end
  )
  SELECT round(extract(epoch FROM s.gap_end - s.gap_start)::numeric, 3) FROM stored s
$function$;
COMMENT ON FUNCTION lock_engine.record_coverage_gap(timestamptz, timestamptz, text) IS
  'Stores a time in which nobody watched, without what was watched after all; returns its seconds, NULL if nothing is left.';
ALTER FUNCTION lock_engine.record_coverage_gap(timestamptz, timestamptz, text) OWNER TO lock_vault_owner;
REVOKE ALL ON FUNCTION lock_engine.record_coverage_gap(timestamptz, timestamptz, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lock_engine.record_coverage_gap(timestamptz, timestamptz, text) TO lock_monitoring_role;
