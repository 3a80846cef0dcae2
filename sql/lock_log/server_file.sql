-- Where the server writes its log now. Runs as lock_log_reader; nobody but lock_vault_owner may call it.
-- Versions: jsonlog from PostgreSQL 15 on (before that the word is an error).
CREATE OR REPLACE FUNCTION lock_log.server_file(p_format text DEFAULT NULL)
RETURNS TABLE (file_name text, log_format text, file_size bigint, modified_at timestamptz)
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_format text;
  v_path text;
BEGIN
  IF current_user <> 'lock_log_reader' THEN PERFORM lock_engine.require_owner('lock_log_reader'); END IF;
  IF p_format IS NOT NULL THEN
    v_path := pg_current_logfile(p_format);
    v_format := p_format;
  END IF;
  IF v_path IS NULL THEN
    FOREACH v_format IN ARRAY CASE WHEN current_setting('server_version_num')::integer >= 150000
                                   THEN ARRAY['csvlog', 'jsonlog', 'stderr'] ELSE ARRAY['csvlog', 'stderr'] END LOOP
      v_path := pg_current_logfile(v_format);
      EXIT WHEN v_path IS NOT NULL;
    END LOOP;
  END IF;
  IF v_path IS NULL THEN
    RETURN;
  END IF;
  RETURN QUERY
    SELECT substring(v_path FROM '[^/]+$'), v_format, f.size, f.modification
      FROM pg_stat_file(current_setting('log_directory') || '/' || substring(v_path FROM '[^/]+$'), true) f
     WHERE f.size IS NOT NULL;
END
$$;
COMMENT ON FUNCTION lock_log.server_file(text) IS
  'Name (without folder), format, size and time of the log file the server writes now; csvlog, jsonlog, stderr in this '
  'order. No row where there is no log file (logging_collector off, syslog).';
ALTER FUNCTION lock_log.server_file(text) OWNER TO lock_log_reader;
REVOKE ALL ON FUNCTION lock_log.server_file(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lock_log.server_file(text) TO lock_vault_owner;
