-- Only the first line, and only as PostgreSQL begins it: what follows may be a statement, which holds anything.
CREATE OR REPLACE FUNCTION lock_log.row_in_context(p_context text)
RETURNS text
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_line text := split_part(p_context, E'\n', 1);
  v_row text;
  v_name text;
BEGIN
  IF coalesce(v_line, '') = '' OR v_line !~ '^\d+,\d+ ' AND NOT lock_log.begins(lock_log.escaped(v_line), 'row_context') THEN
    RETURN NULL;
  END IF;
  v_row := coalesce(substring(v_line FROM '\((\d+, ?\d+)\)'), substring(v_line FROM '^(\d+,\d+) '));
  v_name := lock_log.quoted_name(v_line);
  RETURN CASE WHEN v_row IS NOT NULL AND v_name <> '' THEN format('tuple (%s) in relation "%s"', replace(v_row, ' ', ''), v_name) END;
END
$$;
COMMENT ON FUNCTION lock_log.row_in_context(text) IS
  'The row that a CONTEXT of any language names ("while updating tuple (0,1) in relation "t""), in English; NULL if its first line names none.';
