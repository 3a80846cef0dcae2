CREATE OR REPLACE FUNCTION lock_log.lock_timeouts_between(p_from timestamptz, p_to timestamptz)
RETURNS integer
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT CASE WHEN EXISTS (SELECT FROM lock_log.state s WHERE s.last_read_at IS NOT NULL)
              THEN (SELECT count(*)::integer FROM lock_log.event e
                     WHERE e.kind = 'lock_timeout' AND e.logged_at >= p_from AND e.logged_at < p_to) END
$$;
COMMENT ON FUNCTION lock_log.lock_timeouts_between(timestamptz, timestamptz) IS
  'Statements ended by lock_timeout in a period, from the log; NULL if the log was never read.';
