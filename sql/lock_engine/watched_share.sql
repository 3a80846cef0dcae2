CREATE OR REPLACE FUNCTION lock_engine.watched_share(p_from timestamptz, p_to timestamptz)
RETURNS numeric
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
  SELECT CASE WHEN p.to_at > p_from AND isfinite(p_from) AND isfinite(p.to_at) THEN
           1 - least(coalesce((SELECT sum(extract(epoch FROM u.span_end - u.span_start))
                                 FROM lock_engine.unwatched_spans(p_from, p.to_at) u), 0)::numeric
                     / extract(epoch FROM p.to_at - p_from)::numeric, 1) END
    FROM (SELECT least(p_to, clock_timestamp()) AS to_at OFFSET 0) p
$$;
COMMENT ON FUNCTION lock_engine.watched_share(timestamptz, timestamptz) IS
  'Which part of the period up to now was watched, 0 to 1; NULL for a period that is empty, unbounded or still to come.';
