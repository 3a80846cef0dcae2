-- When a wait began of which PostgreSQL (before 14, or in its first moment) tells the earliest possible moment only: as the log proves, else that
-- moment. Whatever adds up waits asks here, where wait_start_is_bound.
CREATE OR REPLACE FUNCTION lock_engine.wait_began(p_lock_activity_hk bytea, p_wait_start timestamptz)
RETURNS timestamptz
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT coalesce(max(s.log_end_at - make_interval(secs => s.waited_ms::double precision / 1000)), p_wait_start)
    FROM lock_monitoring.lock_activity_s s
   WHERE s.lock_activity_hk = p_lock_activity_hk AND s.wait_start = p_wait_start AND s.wait_start_is_bound
$$;
COMMENT ON FUNCTION lock_engine.wait_began(bytea, timestamptz) IS
  'The beginning of a wait of lock_activity_s that counts in sums, given its key and a wait_start that is a bound.';
GRANT EXECUTE ON FUNCTION lock_engine.wait_began(bytea, timestamptz) TO lock_monitoring_role;
