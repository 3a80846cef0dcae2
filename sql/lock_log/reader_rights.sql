-- What lock_log_reader may execute of PostgreSQL's own functions. Only a superuser can give these away; where the
-- installing role cannot, the state of the log says which GRANT is missing.
DO $rights$
DECLARE
  v_function text;
BEGIN
  FOREACH v_function IN ARRAY ARRAY['pg_current_logfile()', 'pg_current_logfile(text)', 'pg_ls_logdir()',
    'pg_stat_file(text,boolean)', 'pg_read_binary_file(text,bigint,bigint,boolean)'] LOOP
    IF NOT pg_catalog.has_function_privilege('lock_log_reader', 'pg_catalog.' || v_function, 'EXECUTE') THEN
      BEGIN
        EXECUTE format('GRANT EXECUTE ON FUNCTION pg_catalog.%s TO lock_log_reader', v_function);
      EXCEPTION WHEN insufficient_privilege THEN
        NULL;
      END;
    END IF;
  END LOOP;
END
$rights$;
