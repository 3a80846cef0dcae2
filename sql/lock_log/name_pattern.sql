CREATE OR REPLACE FUNCTION lock_log.name_pattern(p_log_filename text)
RETURNS text
LANGUAGE sql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
  -- what strftime() makes of %Y and its like holds no slash; the ending follows the format, as the collector does it
  SELECT '^' || regexp_replace(regexp_replace(regexp_replace(p_log_filename, '\.log$', ''),
                 '([].^$*+?(){}|\\[])', '\\\1', 'g'), '%[A-Za-z%]', '[^/]*', 'g') || '\.?(?:log|csv|json)?$'
$$;
COMMENT ON FUNCTION lock_log.name_pattern(text) IS
  'Regular expression for the names that log_filename can give to log files of any format.';
