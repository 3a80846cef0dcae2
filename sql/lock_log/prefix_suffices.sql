CREATE OR REPLACE FUNCTION lock_log.prefix_suffices(p_prefix text)
RETURNS boolean
LANGUAGE sql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT p_prefix ~ '%-?\d*[pc]' AND p_prefix ~ '%-?\d*[mtn]'
$$;
COMMENT ON FUNCTION lock_log.prefix_suffices(text) IS
  'Whether a log_line_prefix tells the time (%m, %t, %n) and the process (%p; %c holds it, too) of a record, without which nothing can be told of it.';
