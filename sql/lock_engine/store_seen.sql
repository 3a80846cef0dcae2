-- Stores a look that the loop has kept in memory because it could not be stored then, as if its cycle had run at its time.
-- Looks come in order, oldest first, and before the live cycle: what is older than what is stored already is refused (late).
-- Nothing had changed from p_at to p_until; where a duration reached a new step within, next_at tells the moment for which
-- the same look is to be stored once more. p_since: the loop has looked without a pause since then, so a gap lies before p_since
-- or nowhere; NULL: the look before was not kept, so there is a gap. p_reason: why, where the loop knows.
-- What is given is data from the caller: it is read by the columns' types, and its times must fit.
CREATE OR REPLACE FUNCTION lock_engine.store_seen(
  p_since timestamptz, p_at timestamptz, p_until timestamptz, p_seen jsonb, p_reason text DEFAULT NULL,
  OUT outcome text, OUT next_at timestamptz)
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '200ms'
SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
  -- a loop's cycles are no closer together while nothing changes
  c_spacing constant interval := interval '3 seconds';
  v_watch record;
  v_stored record;
  v_unseen timestamptz;
  v_min_age interval;
  v_where text;
BEGIN
  IF current_user <> 'lock_vault_owner' THEN PERFORM lock_engine.require_owner('lock_vault_owner'); END IF;
  PERFORM lock_engine.require_writable('lock_engine.store_seen');
  IF (jsonb_typeof(p_seen -> 'sessions') = 'array' AND jsonb_typeof(p_seen -> 'locks') = 'array'
      AND jsonb_typeof(p_seen -> 'graph') = 'array' AND jsonb_typeof(p_seen -> 'prepared') = 'array'
      AND jsonb_typeof(p_seen -> 'own') = 'array' AND jsonb_typeof(p_seen -> 'waiting') = 'number'
      AND coalesce(p_since, p_at) <= p_at AND p_at <= p_until) IS NOT TRUE THEN
    RAISE EXCEPTION 'This is no look of lock_catalog.look(): it needs "sessions", "locks", "graph", "prepared", "own" and "waiting", and times in order.'
      USING ERRCODE = 'invalid_parameter_value';
  END IF;
  BEGIN
    IF NOT pg_try_advisory_xact_lock(460, 1) THEN
      outcome := 'skipped: another cycle is running' || lock_engine.monitor_named(1);
      RETURN;
    END IF;
    SELECT w.*, c.stored_at INTO v_watch FROM lock_engine.watch_state w, lock_engine.cycle_state c
     WHERE w.watch_state_id = 1 AND c.cycle_state_id = 1;
    IF v_watch.looker_pid IS DISTINCT FROM pg_backend_pid() THEN
      RAISE EXCEPTION 'Only the loop that watches may store what it has kept: call lock_engine.begin_watching() first.'
        USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    IF p_at < greatest(v_watch.last_look_at, v_watch.stored_at) THEN
      outcome := 'late: a later look is stored already';
      RETURN;
    ELSIF p_until > clock_timestamp() THEN
      outcome := 'late: the server''s clock was set back';
      RETURN;
    END IF;
    IF p_since <= v_watch.last_look_at + v_watch.patience THEN
      v_unseen := v_watch.unseen_since;
    ELSE
      v_unseen := lock_engine.record_look(p_at, true);
      UPDATE lock_engine.coverage_gap g SET reason = left(p_reason, 500)
       WHERE g.gap_end = p_at AND g.reason = 'no look was stored' AND p_reason <> '';
    END IF;
    v_min_age := make_interval(secs => (lock_admin.setting('capture.min_transaction_age_seconds') #>> '{}')::double precision);
    UPDATE lock_engine.watch_state w SET compared_before = w.compared_at WHERE w.watch_state_id = 1;
    PERFORM lock_engine.defer_keys(p_at);
    SELECT s.* INTO v_stored
      FROM lock_engine.store_look(p_at, v_min_age, v_min_age = interval '0',
                                  ARRAY(SELECT e.pid::integer FROM jsonb_array_elements_text(p_seen -> 'own') e (pid)),
                                  (p_seen ->> 'waiting')::integer, v_unseen, p_seen) s;
    IF v_stored.locks IS NULL THEN
      -- nothing of it stays: it is tried again, or set aside as a whole
      RAISE EXCEPTION 'no lock at all could be stored: %', (SELECT p.last_error FROM lock_engine.part_state p WHERE p.part = 'locks');
    END IF;
    IF v_stored.refresh_at < p_until THEN
      next_at := greatest(v_stored.refresh_at, p_at + c_spacing);
      next_at := CASE WHEN next_at < p_until THEN next_at END;
    END IF;
    PERFORM lock_engine.unroll_waits(p_at);
    UPDATE lock_engine.watch_state w
       SET last_look_at = coalesce(next_at, p_until), by_loop = true, unseen_since = NULL, compared_at = coalesce(next_at, p_until)
     WHERE w.watch_state_id = 1;
    -- without a digest: the next cycle compares
    UPDATE lock_engine.cycle_state c
       SET digest = NULL, everything = false, stored_at = p_at, checked_at = p_at, refresh_at = v_stored.refresh_at,
           server_started = pg_postmaster_start_time(), locks_captured = v_stored.locks, blocking_locks = v_stored.blocking,
           critical_locks = v_stored.critical, waiting_sessions = v_stored.waiting, blocking_sessions = v_stored.blockers,
           root_blockers = v_stored.roots, critical_blockers = v_stored.critical_blockers,
           recommendations = v_stored.recommendations
     WHERE c.cycle_state_id = 1;
    PERFORM lock_engine.place_rows();
    outcome := 'stored';
  EXCEPTION
    WHEN lock_not_available THEN
      GET STACKED DIAGNOSTICS v_where = PG_EXCEPTION_CONTEXT;
      next_at := NULL;
      outcome := lock_engine.skipped_by_lock(SQLERRM, v_where);
  END;
END
$$;
COMMENT ON FUNCTION lock_engine.store_seen(timestamptz, timestamptz, timestamptz, jsonb, text) IS
  'Stores what lock_catalog.look() saw at p_at, unchanged until p_until. outcome: stored (next_at: store it again for that '
  'moment), skipped or late with the reason. For the loop that watches, on its connection.';
ALTER FUNCTION lock_engine.store_seen(timestamptz, timestamptz, timestamptz, jsonb, text) OWNER TO lock_vault_owner;
REVOKE ALL ON FUNCTION lock_engine.store_seen(timestamptz, timestamptz, timestamptz, jsonb, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lock_engine.store_seen(timestamptz, timestamptz, timestamptz, jsonb, text) TO lock_monitoring_role;
