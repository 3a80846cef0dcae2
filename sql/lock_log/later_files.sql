-- Files of the same format that the server has begun since the one we stopped in. Runs as lock_log_reader.
CREATE OR REPLACE FUNCTION lock_log.later_files(p_file_name text, p_format text, p_since timestamptz)
RETURNS TABLE (file_name text, file_size bigint, modified_at timestamptz)
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF current_user <> 'lock_log_reader' THEN PERFORM lock_engine.require_owner('lock_log_reader'); END IF;
  RETURN QUERY
  SELECT d.name, d.size, d.modification
    FROM pg_ls_logdir() d
   WHERE d.name <> p_file_name AND d.modification >= p_since
     AND d.name ~ lock_log.name_pattern(current_setting('log_filename'))
     AND CASE p_format WHEN 'csvlog' THEN d.name LIKE '%.csv' WHEN 'jsonlog' THEN d.name LIKE '%.json'
              ELSE d.name NOT LIKE '%.csv' AND d.name NOT LIKE '%.json' END
   ORDER BY d.modification, d.name;
END
$$;
COMMENT ON FUNCTION lock_log.later_files(text, text, timestamptz) IS
  'Log files of one format changed since a moment, oldest first, without the one named.';
ALTER FUNCTION lock_log.later_files(text, text, timestamptz) OWNER TO lock_log_reader;
REVOKE ALL ON FUNCTION lock_log.later_files(text, text, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lock_log.later_files(text, text, timestamptz) TO lock_vault_owner;
