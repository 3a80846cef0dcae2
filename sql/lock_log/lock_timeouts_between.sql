CREATE OR REPLACE FUNCTION lock_log.lock_timeouts_between(p_from timestamptz, p_to timestamptz)
RETURNS integer
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT CASE WHEN x.proven > 0 OR x.claimed = 0 AND EXISTS (SELECT FROM lock_log.state s WHERE s.last_read_at IS NOT NULL) THEN x.proven END
    FROM (SELECT count(*) FILTER (WHERE e.standing IS DISTINCT FROM 'claimed')::integer AS proven,
                 count(*) FILTER (WHERE e.standing = 'claimed') AS claimed
            FROM lock_log.event e WHERE e.kind = 'lock_timeout' AND e.logged_at >= p_from AND e.logged_at < p_to) x
$$;
COMMENT ON FUNCTION lock_log.lock_timeouts_between(timestamptz, timestamptz) IS
  'Statements ended by lock_timeout in a period that the log proves; NULL if the log was never read, or only claims some (lock_log.claimed_between).';
