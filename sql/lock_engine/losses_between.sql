-- The time lost in a period, worst first: whole hours from the roll-up, the rest from the rows.
CREATE OR REPLACE FUNCTION lock_engine.losses_between(
  p_dimensions text[], p_from timestamptz, p_to timestamptz, p_limit integer DEFAULT 20)
RETURNS TABLE (dimension text, name text, table_name text, row_page integer, row_tuple integer, seconds double precision,
               episodes bigint, longest double precision)
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
  SELECT greatest(s.rolled_from, date_trunc('hour', p_from + interval '1 hour' - interval '1 microsecond', 'UTC')),
         least(s.rolled_until, date_trunc('hour', p_to, 'UTC'))
    INTO v_first, v_last FROM lock_engine.wait_rollup_state s;
  IF v_first IS NULL OR v_last <= v_first THEN
    v_first := p_to; v_last := p_to;
  END IF;
  RETURN QUERY
  SELECT y.dimension, y.name, y.table_name, y.row_page, y.row_tuple, y.seconds, y.episodes, y.longest
    FROM (
      SELECT x.dimension, x.name, x.table_name, x.row_page, x.row_tuple, sum(x.seconds) AS seconds,
             sum(x.episodes)::bigint AS episodes, max(x.longest) AS longest,
             row_number() OVER (PARTITION BY x.dimension
                                ORDER BY sum(x.seconds) DESC, sum(x.episodes) DESC, x.name, x.table_name, x.row_page, x.row_tuple) AS place
        FROM (
          -- those under way at the beginning count here, whether hours are rolled up from there or not
          SELECT l.dimension, l.name, l.table_name, l.row_page, l.row_tuple, l.seconds, l.begun + l.under_way AS episodes, l.longest
            FROM lock_engine.losses(p_dimensions, p_from, v_first) l
          UNION ALL
          SELECT l.dimension, l.name, l.table_name, l.row_page, l.row_tuple, l.seconds, l.begun, l.longest
            FROM lock_engine.losses(p_dimensions, v_last, p_to) l WHERE v_last < p_to
          UNION ALL
          SELECT r.dimension, r.name, r.table_name, r.row_page, r.row_tuple, r.seconds, r.begun, r.longest
            FROM lock_engine.wait_rollup r
           WHERE r.dimension = ANY (p_dimensions) AND r.hour >= v_first AND r.hour < v_last) x
       GROUP BY x.dimension, x.name, x.table_name, x.row_page, x.row_tuple
      HAVING sum(x.seconds) > 0 OR sum(x.episodes) > 0) y
   WHERE y.place <= p_limit
   ORDER BY y.dimension, y.place;
END
$$;
COMMENT ON FUNCTION lock_engine.losses_between(text[], timestamptz, timestamptz, integer) IS
  'The worst of each dimension (see lock_engine.wait_rollup) in a period: seconds lost within it; episodes or waits begun in it or '
  'under way at its beginning; seconds the longest had lasted at its end or the period''s.';
GRANT EXECUTE ON FUNCTION lock_engine.losses_between(text[], timestamptz, timestamptz, integer) TO lock_monitoring_role;
