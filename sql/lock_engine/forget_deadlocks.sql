CREATE OR REPLACE FUNCTION lock_engine.forget_deadlocks(p_before timestamptz)
RETURNS bigint
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_deleted bigint := 0;
  v_count bigint;
BEGIN
  DELETE FROM lock_log.event e WHERE e.logged_at < p_before AND e.handled;
  GET DIAGNOSTICS v_deleted = ROW_COUNT;
  DELETE FROM lock_engine.deadlock_capture c WHERE c.happened_at < p_before;
  GET DIAGNOSTICS v_count = ROW_COUNT;
  v_deleted := v_deleted + v_count;
  DELETE FROM lock_engine.deadlock_ledger l WHERE l.window_end < p_before AND l.settled;
  GET DIAGNOSTICS v_count = ROW_COUNT;
  v_deleted := v_deleted + v_count;
  DELETE FROM lock_engine.deadlock_observation o WHERE o.last_seen < p_before AND o.outcome IS NOT NULL;
  GET DIAGNOSTICS v_count = ROW_COUNT;
  RETURN v_deleted + v_count;
END
$$;
COMMENT ON FUNCTION lock_engine.forget_deadlocks(timestamptz) IS
  'Deletes log records, ledger lines and looks older than this; how many. Part of cleanup_old_data; the events themselves go with the vault.';
