-- Never fails and hardly waits: where its own table is locked, the failure is not counted, and the caller goes on.
CREATE OR REPLACE FUNCTION lock_engine.part_failed(
  p_part text, p_sqlstate text, p_message text, p_set_aside integer DEFAULT 0, p_what text DEFAULT NULL,
  p_records bigint[] DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '50ms'
AS $$
BEGIN
  IF current_user <> 'lock_vault_owner' THEN PERFORM lock_engine.require_owner('lock_vault_owner'); END IF;
  INSERT INTO lock_engine.part_state AS p (
    part, failures_in_a_row, failures, set_aside, what, records, last_sqlstate, last_error, failing_since, last_failed_at)
  SELECT p_part, 1, 1, coalesce(p_set_aside, 0), left(p_what, 500), p_records[1:1000], left(p_sqlstate, 5), left(p_message, 500),
         clock_timestamp(), clock_timestamp()
   -- the parts are named in the code, and few; whoever makes names up fills no table
   WHERE (SELECT count(*) FROM lock_engine.part_state) < 50
      OR EXISTS (SELECT 1 FROM lock_engine.part_state x WHERE x.part = p_part)
  ON CONFLICT (part) DO UPDATE
     -- within one transaction it is one run, however often it is said
     SET failures_in_a_row = greatest(1, p.failures_in_a_row + (p.last_failed_at >= now() IS NOT TRUE)::integer),
         failures = p.failures + (p.last_failed_at >= now() IS NOT TRUE)::integer,
         set_aside = EXCLUDED.set_aside, what = EXCLUDED.what, records = EXCLUDED.records, last_sqlstate = EXCLUDED.last_sqlstate,
         last_error = EXCLUDED.last_error, failing_since = coalesce(p.failing_since, EXCLUDED.failing_since),
         last_failed_at = EXCLUDED.last_failed_at;
EXCEPTION
  WHEN lock_not_available THEN NULL;
END
$$;
COMMENT ON FUNCTION lock_engine.part_failed(text, text, text, integer, text, bigint[]) IS
  'Counts a failed run of one part of the monitor, with SQLSTATE and SQLERRM of what it met and the records set aside. Call it '
  'in the EXCEPTION block, after lock_engine.ends_all(SQLSTATE) has said no.';
ALTER FUNCTION lock_engine.part_failed(text, text, text, integer, text, bigint[]) OWNER TO lock_vault_owner;
REVOKE ALL ON FUNCTION lock_engine.part_failed(text, text, text, integer, text, bigint[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lock_engine.part_failed(text, text, text, integer, text, bigint[])
  TO lock_monitoring_role, lock_door_owner, lock_log_reader;
