-- In every language PostgreSQL writes two blanks behind a severity's colon.
CREATE OR REPLACE FUNCTION lock_log.looks_like_head(p_line text)
RETURNS boolean
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN left(p_line, 1) <> E'\t' AND p_line ~ '\S: {2}\S';
END
$$;
COMMENT ON FUNCTION lock_log.looks_like_head(text) IS
  'Whether a line of a stderr log looks like the beginning of a record, or of a part of one, whatever the prefix is.';
