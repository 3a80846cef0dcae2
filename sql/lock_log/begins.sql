CREATE OR REPLACE FUNCTION lock_log.begins(p_escaped text, p_kind text)
RETURNS boolean
LANGUAGE sql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT EXISTS (SELECT FROM unnest(lock_log.words(p_kind)) w WHERE left(p_escaped, length(w)) = w)
$$;
COMMENT ON FUNCTION lock_log.begins(text, text) IS 'Whether a text (see lock_log.escaped()) begins with one of the words of this kind.';
