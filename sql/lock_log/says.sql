CREATE OR REPLACE FUNCTION lock_log.says(p_escaped text, p_kind text)
RETURNS boolean
LANGUAGE sql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT EXISTS (SELECT FROM unnest(lock_log.words(p_kind)) w WHERE strpos(p_escaped, w) > 0)
$$;
COMMENT ON FUNCTION lock_log.says(text, text) IS 'Whether a text (see lock_log.escaped()) holds one of the words of this kind.';
