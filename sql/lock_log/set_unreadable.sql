-- Remembers that the log cannot be read, and says what would help. Written only when it changes or once a minute.
CREATE OR REPLACE FUNCTION lock_log.set_unreadable(p_state text, p_what_to_do text)
RETURNS void
LANGUAGE sql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
  INSERT INTO lock_log.state AS s (state_id, state, readable, what_to_do, since, retry_at)
  VALUES (1, p_state, false, p_what_to_do, clock_timestamp(), clock_timestamp() + interval '1 minute')
  ON CONFLICT (state_id) DO UPDATE
     SET state = EXCLUDED.state, readable = false, what_to_do = EXCLUDED.what_to_do, retry_at = EXCLUDED.retry_at,
         since = CASE WHEN s.state = EXCLUDED.state THEN s.since ELSE EXCLUDED.since END
$$;
COMMENT ON FUNCTION lock_log.set_unreadable(text, text) IS 'Records why the log cannot be read and what to do; tried again after a minute.';
