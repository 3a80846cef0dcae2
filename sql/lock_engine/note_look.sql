-- The loop's sign that it watches, about twice a second. It waits for nobody: where a cycle called from elsewhere has the
-- row at the moment, that cycle is the look.
CREATE OR REPLACE FUNCTION lock_engine.note_look(p_patience_seconds double precision)
RETURNS timestamptz
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_now timestamptz;
  w record;
BEGIN
  IF current_user <> 'lock_vault_owner' THEN PERFORM lock_engine.require_owner('lock_vault_owner'); END IF;
  PERFORM lock_engine.require_watcher();
  SELECT s.last_look_at, s.patience INTO w FROM lock_engine.watch_state s WHERE s.watch_state_id = 1 FOR UPDATE SKIP LOCKED;
  -- nor is it a look while no lock at all can be stored
  IF NOT FOUND OR EXISTS (SELECT 1 FROM lock_engine.cycle_state c WHERE c.stored_at IS NOT NULL AND c.locks_captured IS NULL) THEN
    RETURN NULL;
  END IF;
  v_now := clock_timestamp();
  IF v_now BETWEEN w.last_look_at AND w.last_look_at + w.patience IS NOT TRUE THEN
    PERFORM lock_engine.record_look(v_now, true);
  END IF;
  UPDATE lock_engine.watch_state s
     SET last_look_at = greatest(s.last_look_at, v_now), by_loop = true, looker_pid = pg_backend_pid(),
         patience = make_interval(secs => p_patience_seconds)
   WHERE s.watch_state_id = 1;
  RETURN v_now;
END
$$;
COMMENT ON FUNCTION lock_engine.note_look(double precision) IS
  'Stores that the loop watches now, and that a pause of more than so many seconds would be a gap. Returns the server''s time; NULL '
  'if another cycle is writing, or the last one could store no lock at all, so that nothing was stored.';
ALTER FUNCTION lock_engine.note_look(double precision) OWNER TO lock_vault_owner;
REVOKE ALL ON FUNCTION lock_engine.note_look(double precision) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lock_engine.note_look(double precision) TO lock_monitoring_role;
