CREATE OR REPLACE FUNCTION lock_engine.watched_spans(p_from timestamptz, p_to timestamptz)
RETURNS TABLE (span_start timestamptz, span_end timestamptz)
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
  WITH period AS MATERIALIZED (SELECT least(p_to, clock_timestamp()) AS to_at),
  edge AS (
    SELECT u.span_start, u.span_end FROM period p, lock_engine.unwatched_spans(p_from, p.to_at) u
    UNION ALL SELECT p.to_at, p.to_at FROM period p),
  between_gaps AS (
    SELECT coalesce(lag(e.span_end) OVER (ORDER BY e.span_start, e.span_end), p_from) AS s, e.span_start AS e FROM edge e)
  SELECT b.s, b.e FROM between_gaps b WHERE b.s < b.e ORDER BY b.s
$$;
COMMENT ON FUNCTION lock_engine.watched_spans(timestamptz, timestamptz) IS
  'What of the period up to now was watched, in order and merged: from the first look of this vault on, without the gaps.';
