-- Not every encoding has the others, and this file has to install anywhere.
CREATE OR REPLACE FUNCTION lock_log.quotes()
RETURNS text
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN '"' || lock_log.letter('\xc2ab') || lock_log.letter('\xc2bb') || lock_log.letter('\xe2809e') || lock_log.letter('\xe2809c') || lock_log.letter('\xe2809d');
END
$$;
COMMENT ON FUNCTION lock_log.quotes() IS
  'The characters between which messages of any language have a name, for a class of a regular expression.';
