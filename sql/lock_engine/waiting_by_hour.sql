CREATE OR REPLACE FUNCTION lock_engine.waiting_by_hour(p_from timestamptz, p_to timestamptz)
RETURNS TABLE (hour timestamptz, seconds double precision)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  v_first timestamptz;
  v_last timestamptz;
BEGIN
  SELECT s.rolled_from, s.rolled_until INTO v_first, v_last FROM lock_engine.wait_rollup_state s;
  FOR hour IN SELECT h FROM generate_series(date_trunc('hour', p_from, 'UTC'), p_to - interval '1 microsecond', interval '1 hour') h LOOP
    IF v_first IS NOT NULL AND hour >= greatest(v_first, p_from) AND hour + interval '1 hour' <= least(v_last, p_to) THEN
      SELECT r.seconds INTO seconds FROM lock_engine.wait_rollup r WHERE r.dimension = 'all' AND r.hour = waiting_by_hour.hour;
    ELSE
      SELECT l.seconds INTO seconds
        FROM lock_engine.losses(ARRAY['all'], greatest(hour, p_from), least(hour + interval '1 hour', p_to)) l;
    END IF;
    seconds := coalesce(seconds, 0);
    RETURN NEXT;
  END LOOP;
END
$$;
COMMENT ON FUNCTION lock_engine.waiting_by_hour(timestamptz, timestamptz) IS 
  'Watched seconds of waiting within each hour (UTC) of a period; lock_engine.unwatched_spans() tells which hours were not watched.';
GRANT EXECUTE ON FUNCTION lock_engine.waiting_by_hour(timestamptz, timestamptz) TO lock_monitoring_role;
