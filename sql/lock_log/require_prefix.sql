CREATE OR REPLACE FUNCTION lock_log.require_prefix(p_log_line_prefix text)
RETURNS void
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF NOT lock_log.prefix_suffices(p_log_line_prefix) THEN
    RAISE EXCEPTION 'Log line prefix "%" lacks the time (%%m) or the process (%%p): say the one the file was written with.', p_log_line_prefix
      USING ERRCODE = 'invalid_parameter_value';
  END IF;
END
$$;
COMMENT ON FUNCTION lock_log.require_prefix(text) IS
  'Raises an error that says so if a log of stderr with this log_line_prefix could not be read.';
