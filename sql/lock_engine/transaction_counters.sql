-- What the loop asks at both ends of a coverage period. seen is counted over the satellites stored since the last
-- call, by their rising identity, so that the cost does not grow with the history.
CREATE OR REPLACE FUNCTION lock_engine.transaction_counters(p_after_satellite bigint, p_begun_since timestamptz)
RETURNS TABLE (counted_at timestamptz, finished_transactions bigint, counters_reset_at timestamptz,
               last_satellite bigint, seen_transactions bigint)
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $function$
  SELECT clock_timestamp(),
         (SELECT sum(d.xact_commit + d.xact_rollback)::bigint FROM pg_stat_database d),
         greatest((SELECT max(d.stats_reset) FROM pg_stat_database d), pg_postmaster_start_time()),
         coalesce((SELECT max(s.satellite_id) FROM lock_monitoring.lock_activity_s s), 0),
         CASE WHEN p_after_satellite IS NOT NULL AND p_begun_since IS NOT NULL THEN
           (SELECT count(DISTINCT ROW(s.lock_pid, s.backend_start, s.transaction_start))
              FROM lock_monitoring.lock_activity_s s
             WHERE s.satellite_id > p_after_satellite AND s.transaction_start >= p_begun_since)
         END
$function$;
COMMENT ON FUNCTION lock_engine.transaction_counters(bigint, timestamptz) IS
  'Finished transactions by PostgreSQL''s counters, and transactions begun since then that the vault has seen.';
REVOKE ALL ON FUNCTION lock_engine.transaction_counters(bigint, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lock_engine.transaction_counters(bigint, timestamptz) TO lock_monitoring_role;
