CREATE OR REPLACE FUNCTION lock_log.is_utf8(p_bytes bytea)
RETURNS boolean
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM convert(p_bytes, 'UTF8', 'UTF8');
  RETURN true;
EXCEPTION WHEN character_not_in_repertoire THEN
  RETURN false;
END
$$;
COMMENT ON FUNCTION lock_log.is_utf8(bytea) IS 'Whether these bytes are valid UTF-8.';
