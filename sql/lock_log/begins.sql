CREATE OR REPLACE FUNCTION lock_log.begins(p_escaped text, p_kind text)
RETURNS boolean
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_word text;
BEGIN
  FOREACH v_word IN ARRAY lock_log.words(p_kind) LOOP
    IF left(p_escaped, length(v_word)) = v_word THEN
      RETURN true;
    END IF;
  END LOOP;
  RETURN false;
END
$$;
COMMENT ON FUNCTION lock_log.begins(text, text) IS 'Whether a text (see lock_log.escaped()) begins with one of the words of this kind.';
