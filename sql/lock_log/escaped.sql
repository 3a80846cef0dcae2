CREATE OR REPLACE FUNCTION lock_log.escaped(p_text text)
RETURNS text
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN encode(convert_to(p_text, 'UTF8'), 'escape');
END
$$;
COMMENT ON FUNCTION lock_log.escaped(text) IS
  'Text as a log of UTF-8 is looked at before it is decoded: bytea''s escapes, in which lock_log.words() finds the words of any language.';
