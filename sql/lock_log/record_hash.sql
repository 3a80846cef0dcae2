-- The same for a record whatever format, language and file it was read from: the context, which terse logs lack, is no part of it.
-- Of records without milliseconds several may be alike; p_alike counts them.
CREATE OR REPLACE FUNCTION lock_log.record_hash(
  p_kind text, p_pid integer, p_logged_at timestamptz, p_lock_mode text, p_object_text text, p_waited_ms numeric, p_alike integer DEFAULT NULL)
RETURNS text
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN md5(concat_ws('|', p_kind, p_pid, floor(extract(epoch FROM p_logged_at) * 1000)::bigint, p_lock_mode,
    CASE WHEN p_kind NOT IN ('lock_timeout', 'cancelled') THEN p_object_text END, p_waited_ms,
    CASE WHEN p_alike IS NOT NULL THEN 'whole second ' || p_alike END));
END
$$;
COMMENT ON FUNCTION lock_log.record_hash(text, integer, timestamptz, text, text, numeric, integer) IS
  'What lock_log.event.record_hash is of a record; p_alike: of one whose time has no milliseconds, the number among its likes.';
