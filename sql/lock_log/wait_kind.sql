CREATE OR REPLACE FUNCTION lock_log.wait_kind(p_happened text)
RETURNS text
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN CASE p_happened WHEN 'still waiting for' THEN 'waiting' WHEN 'acquired' THEN 'acquired'
           WHEN 'detected deadlock while waiting for' THEN 'deadlock_wait' WHEN 'avoided deadlock for' THEN 'rearranged'
           ELSE 'failed_wait' END;
END
$$;
COMMENT ON FUNCTION lock_log.wait_kind(text) IS 'lock_log.event.kind for what a log_lock_waits message says happened.';
