-- Until when what is open is known to have been so: at most until now, and no longer than somebody looks.
CREATE OR REPLACE FUNCTION lock_engine.seen_until(p_to timestamptz)
RETURNS timestamptz
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT least(p_to, m.now, CASE WHEN isfinite(b.known_until) THEN b.known_until END)
    FROM (SELECT clock_timestamp() AS now OFFSET 0) m, lock_engine.watch_bounds(m.now) b
$$;
COMMENT ON FUNCTION lock_engine.seen_until(timestamptz) IS
  'The end of what is known of an open row: the given moment, now, or the last look where nobody watches any more; the earliest.';
