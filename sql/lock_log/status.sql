CREATE OR REPLACE FUNCTION lock_log.status()
RETURNS TABLE (state text, readable boolean, what_to_do text, since timestamptz, file_name text, log_format text,
               "position" bigint, lag_bytes bigint, last_record_at timestamptz, records_taken bigint,
               records_unreadable bigint, skipped_bytes bigint)
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
  IF current_user <> 'lock_vault_owner' THEN PERFORM lock_engine.require_owner('lock_vault_owner'); END IF;
  RETURN QUERY
    SELECT coalesce(s.state, 'log not read yet'), coalesce(s.readable, false),
           CASE WHEN s.state_id IS NULL THEN 'It is read with the next cycle (run_lock_monitoring).' ELSE s.what_to_do END,
           s.since, s.file_name, s.log_format, s.position,
           CASE WHEN s.readable THEN greatest(0, (SELECT f.file_size FROM lock_log.server_file(s.log_format) f
                                                   WHERE f.file_name = s.file_name) - s.position) END,
           s.last_record_at, coalesce(s.records_taken, 0), coalesce(s.records_unreadable, 0), coalesce(s.skipped_bytes, 0)
      FROM (SELECT 1) one LEFT JOIN lock_log.state s ON s.state_id = 1;
EXCEPTION WHEN insufficient_privilege THEN
  RETURN QUERY
    SELECT 'log not readable: ' || SQLERRM, false, lock_log.missing_rights(), s.since, s.file_name, s.log_format, s.position,
           NULL::bigint, s.last_record_at, coalesce(s.records_taken, 0), coalesce(s.records_unreadable, 0), coalesce(s.skipped_bytes, 0)
      FROM (SELECT 1) one LEFT JOIN lock_log.state s ON s.state_id = 1;
END
$$;
COMMENT ON FUNCTION lock_log.status() IS
  'One row: is the server log readable, if not why and what to do; how far it is read and how much is waiting (bytes).';
ALTER FUNCTION lock_log.status() OWNER TO lock_vault_owner;
REVOKE ALL ON FUNCTION lock_log.status() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lock_log.status() TO lock_monitoring_role;
