CREATE OR REPLACE FUNCTION lock_log.says(p_escaped text, p_kind text)
RETURNS boolean
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_word text;
BEGIN
  FOREACH v_word IN ARRAY lock_log.words(p_kind) LOOP
    IF strpos(p_escaped, v_word) > 0 THEN
      RETURN true;
    END IF;
  END LOOP;
  RETURN false;
END
$$;
COMMENT ON FUNCTION lock_log.says(text, text) IS 'Whether a text (see lock_log.escaped()) holds one of the words of this kind.';
