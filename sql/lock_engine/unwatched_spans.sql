-- What was not watched of a period, each piece once and with its reason: before the first look, the recorded gaps (where
-- two overlap, the earlier one has the common part), and what has passed since a last look that is overdue.
CREATE OR REPLACE FUNCTION lock_engine.unwatched_spans(p_from timestamptz, p_to timestamptz)
RETURNS TABLE (span_start timestamptz, span_end timestamptz, reason text)
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
  WITH moment AS MATERIALIZED (SELECT clock_timestamp() AS now),
  known AS MATERIALIZED (
    SELECT p_from AS from_at, least(p_to, m.now) AS to_at, b.known_from, b.known_until, b.forgotten
      FROM moment m, lock_engine.watch_bounds(m.now) b),
  piece AS (
    SELECT k.from_at AS s, least(k.known_from, k.to_at) AS e,
           CASE WHEN k.forgotten THEN 'older than what is kept' ELSE 'before the first look' END AS why
      FROM known k
    UNION ALL
    SELECT greatest(g.gap_start, k.from_at, k.known_from), least(g.gap_end, k.to_at), g.reason
      FROM known k, lock_engine.coverage_gap g
     WHERE g.gap_end > p_from AND g.gap_start < p_to
    UNION ALL
    SELECT greatest(k.known_until, k.from_at, k.known_from), k.to_at, 'nobody has looked since' FROM known k),
  cut AS (
    SELECT greatest(x.s, max(x.e) OVER (ORDER BY x.s, x.e DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)) AS s, x.e, x.why
      FROM piece x WHERE x.s < x.e)
  SELECT c.s, c.e, c.why FROM cut c WHERE c.s < c.e ORDER BY c.s
$$;
COMMENT ON FUNCTION lock_engine.unwatched_spans(timestamptz, timestamptz) IS
  'What of the period up to now was not watched, in order and without overlap, each with its reason in words; no row: all of it was.';
