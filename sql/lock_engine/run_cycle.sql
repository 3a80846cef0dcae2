-- One monitoring cycle: look; if nothing has changed since the last one, that is all; else compare and store.
-- One at a time (transaction-level advisory lock 460,1): whoever comes second says so and does nothing. Where a table
-- of the vault is locked by somebody else, the cycle is skipped after 200 ms and says who holds it.
CREATE OR REPLACE FUNCTION lock_engine.run_cycle(
  p_everything boolean,
  OUT outcome text, OUT locks_captured integer, OUT blocking_locks integer, OUT critical_locks integer,
  OUT waiting_sessions integer, OUT blocking_sessions integer, OUT root_blockers integer, OUT critical_blockers integer,
  OUT recommendations text[])
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '200ms'
SET plan_cache_mode = force_generic_plan
SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
  -- not the table's row type: naming it would wait for the table here, outside the block that gives up
  v_state record;
  v_seen record;
  v_own integer[];
  v_now timestamptz;
  v_min_age interval;
  v_stored record;
  v_unseen timestamptz;
  v_where text;
  v_watch record;
BEGIN
  IF current_user <> 'lock_vault_owner' THEN PERFORM lock_engine.require_owner('lock_vault_owner'); END IF;
  BEGIN
    IF NOT pg_try_advisory_xact_lock(460, 1) THEN
      outcome := 'skipped: another cycle is running' || lock_engine.monitor_named(1);
      RETURN;
    END IF;

    v_own := lock_catalog.own_pids();
    v_min_age := make_interval(secs => (lock_admin.setting('capture.min_transaction_age_seconds') #>> '{}')::double precision);
    v_now := clock_timestamp();
    -- a stored cycle is a look: it is written with what it stores, or not at all
    SELECT w.* INTO v_watch FROM lock_engine.watch_state w WHERE w.watch_state_id = 1;
    UPDATE lock_engine.watch_state w
       SET last_look_at = v_now, by_loop = coalesce(w.looker_pid = pg_backend_pid(), false), compared_at = v_now,
           compared_before = w.compared_at
     WHERE w.watch_state_id = 1
       AND v_now BETWEEN w.last_look_at AND w.last_look_at
             + CASE WHEN w.by_loop OR w.looker_pid = pg_backend_pid() THEN w.patience ELSE make_interval(
                 secs => (lock_admin.setting('watch.max_look_spacing_seconds') #>> '{}')::double precision) END
    RETURNING w.unseen_since INTO v_unseen;
    IF NOT FOUND THEN
      v_unseen := lock_engine.record_look(v_now, NULL);
      UPDATE lock_engine.watch_state w SET compared_at = v_now, compared_before = w.compared_at WHERE w.watch_state_id = 1;
    END IF;
    PERFORM pg_stat_clear_snapshot();
    SELECT d.* INTO v_seen FROM lock_catalog.digest(v_min_age, p_everything OR v_min_age = interval '0', v_own) d;
    SELECT c.* INTO v_state FROM lock_engine.cycle_state c WHERE c.cycle_state_id = 1;

    -- after a gap each open row is compared, however much things look the same
    IF v_unseen IS NULL AND v_state.digest = v_seen.digest AND v_state.everything = p_everything AND v_state.server_started = pg_postmaster_start_time()
       AND (v_state.refresh_at IS NULL OR v_state.refresh_at > v_now) THEN
      IF v_state.checked_at < v_now - interval '5 seconds' THEN
        UPDATE lock_engine.cycle_state c SET checked_at = v_now WHERE c.cycle_state_id = 1;
      END IF;
      outcome := 'unchanged';
      locks_captured := v_state.locks_captured;
      blocking_locks := v_state.blocking_locks;
      critical_locks := v_state.critical_locks;
      waiting_sessions := v_state.waiting_sessions;
      blocking_sessions := v_state.blocking_sessions;
      root_blockers := v_state.root_blockers;
      critical_blockers := v_state.critical_blockers;
      recommendations := v_state.recommendations;
      RETURN;
    END IF;

    -- whoever calls this calls lock_engine.place_rows as the last thing, which must not find its table locked then
    PERFORM FROM lock_engine.aside_tenant LIMIT 1;
    PERFORM lock_engine.defer_keys(v_now);
    SELECT s.* INTO v_stored
      FROM lock_engine.store_look(v_now, v_min_age, p_everything OR v_min_age = interval '0', v_own, v_seen.waiting, v_unseen) s;

    IF v_stored.locks IS NULL THEN
      -- no lock at all could be stored: that was no look, and note_look() notes none until one is (cycle_state.locks_captured)
      DELETE FROM lock_engine.coverage_gap g WHERE g.gap_end = v_now;
      UPDATE lock_engine.watch_state w
         SET first_look_at = v_watch.first_look_at, last_look_at = v_watch.last_look_at, by_loop = v_watch.by_loop,
             unseen_since = v_watch.unseen_since, compared_at = v_watch.compared_at, compared_before = v_watch.compared_before
       WHERE w.watch_state_id = 1;
    ELSIF v_unseen IS NOT NULL THEN
      UPDATE lock_engine.watch_state w SET unseen_since = NULL WHERE w.watch_state_id = 1;
    END IF;

    outcome := 'stored';
    locks_captured := v_stored.locks;
    blocking_locks := v_stored.blocking;
    critical_locks := v_stored.critical;
    waiting_sessions := v_stored.waiting;
    blocking_sessions := v_stored.blockers;
    root_blockers := v_stored.roots;
    critical_blockers := v_stored.critical_blockers;
    recommendations := v_stored.recommendations;
    UPDATE lock_engine.cycle_state c
       SET digest = CASE WHEN v_stored.failed = '{}' THEN v_seen.digest END, everything = p_everything, stored_at = v_now,
           checked_at = v_now, refresh_at = v_stored.refresh_at,
           server_started = pg_postmaster_start_time(), locks_captured = v_stored.locks, blocking_locks = v_stored.blocking,
           critical_locks = v_stored.critical, waiting_sessions = v_stored.waiting, blocking_sessions = v_stored.blockers,
           root_blockers = v_stored.roots, critical_blockers = v_stored.critical_blockers,
           recommendations = v_stored.recommendations
     WHERE c.cycle_state_id = 1;
  EXCEPTION
    WHEN lock_not_available THEN
      GET STACKED DIAGNOSTICS v_where = PG_EXCEPTION_CONTEXT;
      outcome := lock_engine.skipped_by_lock(SQLERRM, v_where);
  END;
END
$$;
COMMENT ON FUNCTION lock_engine.run_cycle(boolean) IS
  'One monitoring cycle. outcome: stored, unchanged, or skipped with the reason (then the figures are NULL). '
  'p_everything: also locks of transactions younger than setting capture.min_transaction_age_seconds.';
