CREATE OR REPLACE FUNCTION lock_log.missing_rights()
RETURNS text
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT 'as a superuser: ' || string_agg(g.command || ';', ' ' ORDER BY g.n)
    FROM (
      SELECT 1 AS n, format('GRANT %I TO lock_log_reader', r.role) AS command
        FROM unnest(ARRAY['pg_read_server_files', 'pg_read_all_settings']) r(role)
       WHERE NOT pg_has_role('lock_log_reader', r.role, 'USAGE')
      UNION ALL
      SELECT 2, format('GRANT EXECUTE ON FUNCTION %s TO lock_log_reader', f.signature)
        FROM unnest(ARRAY['pg_current_logfile(text)', 'pg_ls_logdir()', 'pg_stat_file(text,boolean)',
                          'pg_read_binary_file(text,bigint,bigint,boolean)']) f(signature)
       WHERE NOT has_function_privilege('lock_log_reader', 'pg_catalog.' || f.signature, 'EXECUTE')) g
$$;
COMMENT ON FUNCTION lock_log.missing_rights() IS 'The GRANTs that the log reader lacks, as one line for a superuser; NULL if none.';
