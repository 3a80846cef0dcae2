CREATE OR REPLACE FUNCTION lock_log.quoted_name(p_text text)
RETURNS text
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  -- French has blanks within its quotes, also those that do not break
  RETURN btrim(substring(p_text FROM '[' || lock_log.quotes() || '](.*)[' || lock_log.quotes() || ']'),
               ' ' || CASE WHEN getdatabaseencoding() = 'UTF8' THEN chr(160) ELSE '' END);
END
$$;
COMMENT ON FUNCTION lock_log.quoted_name(text) IS 'What stands between the first and the last quote of a message of any language; NULL if nothing does.';
