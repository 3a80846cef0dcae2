-- Until when a wait counts, by its last row: as the log proves, else until the last look that saw it waiting, so that what is added up
-- was certainly waited (not_seen_at bounds what may be missing); a row that goes on in another one until that begins, and one of an earlier
-- release as that recorded it. NULL: it goes on. Whatever adds up waits asks here. Inlined.
CREATE OR REPLACE FUNCTION lock_engine.wait_until(p_load_end_date timestamptz, p_last_seen_at timestamptz, p_log_end_at timestamptz)
RETURNS timestamptz
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
AS $$
  SELECT coalesce(p_log_end_at, p_last_seen_at, p_load_end_date)
$$;
COMMENT ON FUNCTION lock_engine.wait_until(timestamptz, timestamptz, timestamptz) IS
  'The moment until which a row of a wait counts in sums, given load_end_date, last_seen_at and log_end_at of lock_activity_s.';
GRANT EXECUTE ON FUNCTION lock_engine.wait_until(timestamptz, timestamptz, timestamptz) TO lock_monitoring_role;
