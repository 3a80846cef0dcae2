CREATE OR REPLACE FUNCTION lock_log.claimed_between(p_kind text, p_from timestamptz, p_to timestamptz)
RETURNS integer
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT count(*)::integer FROM lock_log.event e
   WHERE e.kind = p_kind AND e.standing = 'claimed' AND e.logged_at >= p_from AND e.logged_at < p_to
$$;
COMMENT ON FUNCTION lock_log.claimed_between(text, timestamptz, timestamptz) IS
  'Records of a kind (lock_log.event.kind) that the log only claims in a period: they are in no sum.';
