CREATE OR REPLACE FUNCTION lock_log.without_nul(p_escaped text)
RETURNS text
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN CASE WHEN p_escaped ~ '(?:^|[^\\])(?:\\\\)*\\000' THEN replace(p_escaped, '\000', '') ELSE p_escaped END;
END
$$;
COMMENT ON FUNCTION lock_log.without_nul(text) IS
  'bytea''s escapes without zero bytes, which a text cannot hold.';
