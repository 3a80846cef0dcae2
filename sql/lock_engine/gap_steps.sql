-- The unwatched spans of a period as arrays, for sums over many rows: lock_engine.watched_seconds() finds its place in them
-- by halving.
CREATE OR REPLACE FUNCTION lock_engine.gap_steps(
  p_from timestamptz, p_to timestamptz, OUT starts timestamptz[], OUT ends timestamptz[], OUT seconds double precision[])
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
  SELECT coalesce(array_agg(u.span_start ORDER BY u.span_start), '{}'), coalesce(array_agg(u.span_end ORDER BY u.span_start), '{}'),
         coalesce(array_agg(u.before ORDER BY u.span_start), '{}')
    FROM (SELECT x.span_start, x.span_end,
                 coalesce(sum(date_part('epoch', x.span_end - x.span_start)) OVER (
                   ORDER BY x.span_start ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS before
            FROM lock_engine.unwatched_spans(p_from, p_to) x) u
$$;
COMMENT ON FUNCTION lock_engine.gap_steps(timestamptz, timestamptz) IS
  'lock_engine.unwatched_spans() as arrays: begins, ends, and the unwatched seconds of the period before each.';
