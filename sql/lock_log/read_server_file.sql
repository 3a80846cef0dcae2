-- The only way to the raw log: a piece of one file in log_directory whose name log_filename can give. Runs as
-- lock_log_reader; nobody but lock_vault_owner, whose functions keep only records about locks, may call it.
CREATE OR REPLACE FUNCTION lock_log.read_server_file(p_file_name text, p_offset bigint, p_length bigint)
RETURNS bytea
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF current_user <> 'lock_log_reader' THEN PERFORM lock_engine.require_owner('lock_log_reader'); END IF;
  IF p_file_name IS NULL OR p_file_name ~ '/' OR p_file_name LIKE '%..%'
     OR p_file_name !~ lock_log.name_pattern(current_setting('log_filename')) THEN
    RAISE EXCEPTION 'File "%" is not a log file of this server (log_filename is "%").', p_file_name,
      current_setting('log_filename') USING ERRCODE = 'insufficient_privilege';
  END IF;
  IF p_offset < 0 OR p_length < 0 OR p_length > 16 * 1024 * 1024 THEN
    RAISE EXCEPTION 'At most 16 MB at an offset of 0 or more can be read at once.' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  RETURN pg_read_binary_file(current_setting('log_directory') || '/' || p_file_name, p_offset, p_length, true);
END
$$;
COMMENT ON FUNCTION lock_log.read_server_file(text, bigint, bigint) IS
  'Bytes of one of the server''s log files, NULL if it is gone. insufficient_privilege for any other file.';
ALTER FUNCTION lock_log.read_server_file(text, bigint, bigint) OWNER TO lock_log_reader;
REVOKE ALL ON FUNCTION lock_log.read_server_file(text, bigint, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lock_log.read_server_file(text, bigint, bigint) TO lock_vault_owner;
