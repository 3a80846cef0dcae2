CREATE OR REPLACE FUNCTION lock_engine.part_ok(p_part text)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '50ms'
AS $$
BEGIN
  IF current_user <> 'lock_vault_owner' THEN PERFORM lock_engine.require_owner('lock_vault_owner'); END IF;
  -- looked for first: nearly always there is nothing to write
  IF EXISTS (SELECT 1 FROM lock_engine.part_state p WHERE p.part = p_part AND p.failures_in_a_row > 0) THEN
    UPDATE lock_engine.part_state p
       SET failures_in_a_row = 0, set_aside = 0, what = NULL, records = NULL, failing_since = NULL, last_ok_at = clock_timestamp()
     WHERE p.part = p_part;
  END IF;
EXCEPTION
  WHEN lock_not_available THEN NULL;
END
$$;
COMMENT ON FUNCTION lock_engine.part_ok(text) IS
  'Says that a part of the monitor has done all of its work; costs next to nothing unless it had failed before.';
ALTER FUNCTION lock_engine.part_ok(text) OWNER TO lock_vault_owner;
REVOKE ALL ON FUNCTION lock_engine.part_ok(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lock_engine.part_ok(text) TO lock_monitoring_role, lock_door_owner, lock_log_reader;
