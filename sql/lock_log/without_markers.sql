CREATE OR REPLACE FUNCTION lock_log.without_markers(p_text text)
RETURNS text
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN CASE WHEN getdatabaseencoding() = 'UTF8' OR strpos(p_text, E'\\u') = 0 THEN p_text ELSE regexp_replace(p_text, E'\\\\u[0-9A-F]{4,6}', '', 'g') END;
END
$$;
COMMENT ON FUNCTION lock_log.without_markers(text) IS
  'A text without the \uNNNN that stand for letters which this database''s encoding lacks, so that its numbers are its own.';
