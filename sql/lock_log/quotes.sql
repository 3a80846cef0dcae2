-- Only UTF8 can hold the others, and this file has to install anywhere.
CREATE OR REPLACE FUNCTION lock_log.quotes()
RETURNS text
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN '"' || CASE WHEN getdatabaseencoding() = 'UTF8' THEN chr(171) || chr(187) || chr(8222) || chr(8220) || chr(8221) ELSE '' END;
END
$$;
COMMENT ON FUNCTION lock_log.quotes() IS
  'The characters between which messages of any language have a name, for a class of a regular expression.';
