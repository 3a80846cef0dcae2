-- lock_log: readers see the records about locks; only lock_vault_owner's functions reach the raw log.
GRANT USAGE ON SCHEMA lock_log TO lock_vault_owner, lock_monitoring_role, lock_admin_role, lock_log_reader;
DO $owners$
DECLARE
  v_function regprocedure;
BEGIN
  FOR v_function IN
    SELECT p.oid FROM pg_catalog.pg_proc p
     WHERE p.pronamespace = 'lock_log'::regnamespace
       AND p.proname NOT IN ('server_file', 'read_server_file', 'later_files', 'installed_since', 'name_pattern')
       AND p.proowner <> 'lock_vault_owner'::regrole
  LOOP
    EXECUTE format('ALTER FUNCTION %s OWNER TO lock_vault_owner', v_function);
  END LOOP;
  ALTER FUNCTION lock_log.name_pattern(text) OWNER TO lock_log_reader;
  REVOKE ALL ON FUNCTION lock_log.name_pattern(text) FROM PUBLIC;
END
$owners$;
GRANT EXECUTE ON FUNCTION lock_log.lock_timeouts_between(timestamptz, timestamptz) TO lock_monitoring_role;
GRANT EXECUTE ON FUNCTION lock_log.claimed_between(text, timestamptz, timestamptz), lock_log.written_by_users(text) TO lock_monitoring_role;
GRANT SELECT ON lock_log.event TO lock_door_owner;
