-- One monitoring cycle: look; if nothing has changed since the last one, that is all; else compare and store.
-- One at a time (transaction-level advisory lock 460,1): whoever comes second says so and does nothing. Where a table
-- of the vault is locked by somebody else, the cycle is skipped after 200 ms and says who holds it.
-- Locks, episodes and links are parts: where one of them fails, what fails of it is set aside and named (lock_engine.part_state),
-- the others go on, and the next cycle tries it again.
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
  v_locks record;
  v_sessions record;
  v_unseen timestamptz;
  v_everything boolean;
  v_failed text[] := '{}';
  v_unlinked timestamptz;
  v_where text;
  v_watch record;
BEGIN
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
       SET last_look_at = v_now, by_loop = coalesce(w.looker_pid = pg_backend_pid(), false)
     WHERE w.watch_state_id = 1
       AND v_now BETWEEN w.last_look_at AND w.last_look_at
             + CASE WHEN w.by_loop OR w.looker_pid = pg_backend_pid() THEN w.patience ELSE make_interval(
                 secs => (lock_admin.setting('watch.max_look_spacing_seconds') #>> '{}')::double precision) END
    RETURNING w.unseen_since INTO v_unseen;
    IF NOT FOUND THEN
      v_unseen := lock_engine.record_look(v_now, NULL);
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

    -- whoever calls this calls lock_engine.place_rows as the last thing
    PERFORM lock_engine.defer_keys(v_now);
    v_everything := p_everything OR v_min_age = interval '0';
    BEGIN
      SELECT s.* INTO v_locks
        FROM lock_engine.store_locks(v_now, v_min_age, v_everything, v_own, v_seen.waiting > 0, v_unseen) s;
    EXCEPTION
      WHEN OTHERS THEN
        IF lock_engine.ends_all(SQLSTATE) THEN
          RAISE;
        END IF;
        v_failed := array_append(v_failed, 'locks');
        SELECT s.* INTO v_locks
          FROM lock_engine.locks_apart(v_now, v_min_age, v_everything, v_own, v_seen.waiting, v_unseen, SQLSTATE, SQLERRM) s;
    END;
    BEGIN
      SELECT s.* INTO v_sessions FROM lock_engine.store_sessions(v_now, v_locks.blockers, v_unseen) s;
    EXCEPTION
      WHEN OTHERS THEN
        IF lock_engine.ends_all(SQLSTATE) THEN
          RAISE;
        END IF;
        v_failed := array_append(v_failed, 'episodes');
        SELECT s.* INTO v_sessions
          FROM lock_engine.episodes_apart(v_now, v_locks.blockers, v_unseen, SQLSTATE, SQLERRM) s;
    END;
    SELECT p.failing_since INTO v_unlinked FROM lock_engine.part_state p WHERE p.part = 'links' AND p.failures_in_a_row > 0;
    IF v_locks.waiting > 0 AND (v_locks.written > 0 OR v_unlinked IS NOT NULL) THEN
      BEGIN
        PERFORM lock_engine.store_links(v_now, '{}', v_unlinked);
      EXCEPTION
        WHEN OTHERS THEN
          IF lock_engine.ends_all(SQLSTATE) THEN
            RAISE;
          END IF;
          v_failed := array_append(v_failed, 'links');
          PERFORM lock_engine.store_apart('links', v_now, NULL, NULL, NULL, NULL, v_unlinked, NULL, SQLSTATE, SQLERRM);
      END;
    END IF;
    IF EXISTS (SELECT 1 FROM lock_engine.part_state p WHERE p.failures_in_a_row > 0) THEN
      PERFORM lock_engine.part_ok(x.part) FROM unnest(ARRAY['locks', 'episodes', 'links']) x (part) WHERE x.part <> ALL (v_failed);
    END IF;

    IF v_locks.locks IS NULL THEN
      -- no lock at all could be stored: that was no look, and note_look() notes none until one is (cycle_state.locks_captured)
      DELETE FROM lock_engine.coverage_gap g WHERE g.gap_end = v_now;
      UPDATE lock_engine.watch_state w
         SET first_look_at = v_watch.first_look_at, last_look_at = v_watch.last_look_at, by_loop = v_watch.by_loop,
             unseen_since = v_watch.unseen_since
       WHERE w.watch_state_id = 1;
    ELSIF v_unseen IS NOT NULL THEN
      UPDATE lock_engine.watch_state w SET unseen_since = NULL WHERE w.watch_state_id = 1;
    END IF;

    outcome := 'stored';
    locks_captured := v_locks.locks;
    blocking_locks := v_locks.blocking;
    critical_locks := v_locks.critical;
    waiting_sessions := v_locks.waiting;
    blocking_sessions := v_sessions.blockers;
    root_blockers := v_sessions.roots;
    critical_blockers := v_sessions.critical;
    recommendations := v_sessions.recommendations;
    UPDATE lock_engine.cycle_state c
       SET digest = CASE WHEN v_failed = '{}' THEN v_seen.digest END, everything = p_everything, stored_at = v_now, checked_at = v_now,
           refresh_at = least(v_locks.refresh_at, v_sessions.refresh_at),
           server_started = pg_postmaster_start_time(), locks_captured = v_locks.locks, blocking_locks = v_locks.blocking,
           critical_locks = v_locks.critical, waiting_sessions = v_locks.waiting, blocking_sessions = v_sessions.blockers,
           root_blockers = v_sessions.roots, critical_blockers = v_sessions.critical,
           recommendations = v_sessions.recommendations
     WHERE c.cycle_state_id = 1;
  EXCEPTION
    WHEN lock_not_available THEN
      GET STACKED DIAGNOSTICS v_where = PG_EXCEPTION_CONTEXT;
      -- who holds it, else what PostgreSQL says, with the row or statement that it names
      outcome := 'skipped: ' || lock_engine.cycle_blocker_named(
        'locked by another session: ' || SQLERRM || coalesce(' (' || substring(v_where FROM '^((?:while|SQL statement).{0,120})') || ')', ''));
  END;
END
$$;
COMMENT ON FUNCTION lock_engine.run_cycle(boolean) IS
  'One monitoring cycle. outcome: stored, unchanged, or skipped with the reason (then the figures are NULL). '
  'p_everything: also locks of transactions younger than setting capture.min_transaction_age_seconds.';
