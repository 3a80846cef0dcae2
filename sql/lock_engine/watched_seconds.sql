CREATE OR REPLACE FUNCTION lock_engine.watched_seconds(
  p_start timestamptz, p_end timestamptz, p_starts timestamptz[], p_ends timestamptz[], p_seconds double precision[])
RETURNS double precision
LANGUAGE plpgsql
IMMUTABLE
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_from integer := width_bucket(p_start, p_starts);
  v_to integer := width_bucket(p_end, p_starts);
BEGIN
  IF p_end <= p_start THEN
    RETURN 0;
  END IF;
  -- in whole microseconds, which is all that the moments have: the rest is what differences of fractions leave, and time in a gap is 0
  RETURN round((date_part('epoch', p_end - p_start)
    - CASE WHEN v_to = 0 THEN 0 ELSE p_seconds[v_to] + date_part('epoch', least(p_end, p_ends[v_to]) - p_starts[v_to]) END
    + CASE WHEN v_from = 0 THEN 0 ELSE p_seconds[v_from] + date_part('epoch', least(p_start, p_ends[v_from]) - p_starts[v_from]) END) * 1000000) / 1000000;
END
$$;
COMMENT ON FUNCTION lock_engine.watched_seconds(timestamptz, timestamptz, timestamptz[], timestamptz[], double precision[]) IS
  'Watched seconds between two moments, given lock_engine.gap_steps() of a period that holds both.';
