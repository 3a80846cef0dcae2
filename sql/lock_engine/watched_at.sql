CREATE OR REPLACE FUNCTION lock_engine.watched_at(p_at timestamptz)
RETURNS boolean
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
  SELECT coalesce(p_at BETWEEN b.known_from AND least(b.known_until, m.now)
                  AND NOT EXISTS (SELECT 1 FROM lock_engine.coverage_gap g WHERE g.gap_end > p_at AND g.gap_start < p_at), false)
    FROM (SELECT clock_timestamp() AS now OFFSET 0) m, lock_engine.watch_bounds(m.now) b
$$;
COMMENT ON FUNCTION lock_engine.watched_at(timestamptz) IS
  'Was this moment watched? false before the first look, within a gap, in the future and for NULL; the two ends of a gap were looked at.';
