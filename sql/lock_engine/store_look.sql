-- What a cycle stores of what it has seen, now (p_seen NULL) or in a look that was kept in memory until it could be stored.
-- Locks, episodes and links are parts: where one of them fails, what fails of it is set aside and named (lock_engine.part_state),
-- the others go on, and the next cycle tries it again.
CREATE OR REPLACE FUNCTION lock_engine.store_look(
  p_now timestamptz, p_min_age interval, p_everything boolean, p_own_pids integer[], p_waiting integer,
  p_unseen_since timestamptz, p_seen jsonb DEFAULT NULL,
  OUT locks integer, OUT blocking integer, OUT critical integer, OUT waiting integer, OUT blockers integer, OUT roots integer,
  OUT critical_blockers integer, OUT recommendations text[], OUT refresh_at timestamptz, OUT failed text[])
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
  v_locks record;
  v_sessions record;
  v_failed text[] := '{}';
  v_unlinked timestamptz;
  v_failing boolean := EXISTS (SELECT 1 FROM lock_engine.part_state p WHERE p.failures_in_a_row > 0);
  v_again boolean := false;
  v_ring boolean := false;
  v_looked boolean := false;
  v_message text;
  v_detail text;
  v_schema text;
  v_table text;
  v_constraint text;
BEGIN
  IF v_failing THEN
    v_again := lock_engine.store_again('locks', p_now, p_min_age, p_everything, p_own_pids, p_waiting, p_unseen_since, NULL, p_seen);
  END IF;
  BEGIN
    IF p_seen IS NULL THEN
      SELECT s.* INTO v_locks FROM lock_engine.store_locks(p_now, p_min_age, p_everything, p_own_pids, p_waiting > 0, p_unseen_since) s;
    ELSE
      SELECT s.* INTO v_locks
        FROM lock_engine.store_locks_seen(p_now, p_min_age, p_everything, p_own_pids, p_waiting > 0, p_unseen_since, '{}', p_seen) s;
    END IF;
  EXCEPTION
    WHEN OTHERS THEN
      IF lock_engine.ends_all(SQLSTATE) THEN
        RAISE;
      END IF;
      GET STACKED DIAGNOSTICS v_detail = PG_EXCEPTION_DETAIL, v_schema = SCHEMA_NAME, v_table = TABLE_NAME, v_constraint = CONSTRAINT_NAME;
      v_message := lock_engine.failure_in_words(SQLSTATE, SQLERRM, v_detail, v_schema, v_table, v_constraint);
      v_failed := array_append(v_failed, 'locks');
      SELECT s.* INTO v_locks
        FROM lock_engine.locks_apart(p_now, p_min_age, p_everything, p_own_pids, p_waiting, p_unseen_since, SQLSTATE, v_message, p_seen,
                                     -- no partition for now: there is nobody whose locks could be told apart
                                     v_message <> SQLERRM AND pg_get_partkeydef(to_regclass(format('%I.%I', v_schema, v_table))) = 'RANGE (load_date)') s;
  END;
  IF v_failing THEN
    PERFORM lock_engine.store_again('episodes', p_now, NULL, NULL, NULL, NULL, p_unseen_since, v_locks.blockers, p_seen);
    SELECT p.failing_since INTO v_unlinked FROM lock_engine.part_state p WHERE p.part = 'links' AND p.failures_in_a_row > 0;
  END IF;
  BEGIN
    IF p_seen IS NULL THEN
      SELECT s.* INTO v_sessions FROM lock_engine.store_sessions(p_now, v_locks.blockers, p_unseen_since) s;
    ELSE
      SELECT s.* INTO v_sessions FROM lock_engine.store_sessions_seen(p_now, v_locks.blockers, p_unseen_since, '{}', p_seen) s;
    END IF;
  EXCEPTION
    WHEN OTHERS THEN
      IF lock_engine.ends_all(SQLSTATE) THEN
        RAISE;
      END IF;
      GET STACKED DIAGNOSTICS v_detail = PG_EXCEPTION_DETAIL, v_schema = SCHEMA_NAME, v_table = TABLE_NAME, v_constraint = CONSTRAINT_NAME;
      v_message := lock_engine.failure_in_words(SQLSTATE, SQLERRM, v_detail, v_schema, v_table, v_constraint);
      v_failed := array_append(v_failed, 'episodes');
      SELECT s.* INTO v_sessions
        FROM lock_engine.episodes_apart(p_now, v_locks.blockers, p_unseen_since, SQLSTATE, v_message, p_seen) s;
  END;
  IF v_locks.waiting > 0 AND (v_locks.written > 0 OR v_unlinked IS NOT NULL OR v_again) THEN
    BEGIN
      PERFORM lock_engine.store_links(p_now, '{}', v_unlinked);
    EXCEPTION
      WHEN OTHERS THEN
        IF lock_engine.ends_all(SQLSTATE) THEN
          RAISE;
        END IF;
        GET STACKED DIAGNOSTICS v_detail = PG_EXCEPTION_DETAIL, v_schema = SCHEMA_NAME, v_table = TABLE_NAME, v_constraint = CONSTRAINT_NAME;
        v_message := lock_engine.failure_in_words(SQLSTATE, SQLERRM, v_detail, v_schema, v_table, v_constraint);
        v_failed := array_append(v_failed, 'links');
        PERFORM lock_engine.store_apart('links', p_now, NULL, NULL, NULL, NULL, v_unlinked, NULL, SQLSTATE, v_message, p_seen);
    END;
  END IF;
  -- a ring that this cycle has seen: at a site without a loop nobody else remembers it until the counter has moved
  IF p_seen IS NULL AND v_locks.waiting > 0 THEN
    v_ring := EXISTS (SELECT FROM unnest(v_locks.blockers::lock_catalog.graph[]) b WHERE b.in_deadlock);
  END IF;
  IF v_ring THEN
    BEGIN
      PERFORM lock_engine.look_for_deadlocks();
      v_looked := true;
    EXCEPTION
      WHEN lock_not_available THEN
        -- a loop's look is remembering it
        v_looked := true;
      WHEN OTHERS THEN
        IF lock_engine.ends_all(SQLSTATE) THEN
          RAISE;
        END IF;
        GET STACKED DIAGNOSTICS v_detail = PG_EXCEPTION_DETAIL, v_schema = SCHEMA_NAME, v_table = TABLE_NAME, v_constraint = CONSTRAINT_NAME;
        PERFORM lock_engine.part_failed('looks for deadlocks', SQLSTATE,
                                        lock_engine.failure_in_words(SQLSTATE, SQLERRM, v_detail, v_schema, v_table, v_constraint));
    END;
  END IF;
  IF v_failing THEN
    PERFORM lock_engine.part_ok(x.part) FROM unnest(ARRAY['locks', 'episodes', 'links']) x (part) WHERE x.part <> ALL (v_failed);
    IF v_looked OR NOT v_ring THEN
      PERFORM lock_engine.part_ok('looks for deadlocks');
    END IF;
  END IF;

  locks := v_locks.locks;
  blocking := v_locks.blocking;
  critical := v_locks.critical;
  waiting := v_locks.waiting;
  blockers := v_sessions.blockers;
  roots := v_sessions.roots;
  critical_blockers := v_sessions.critical;
  recommendations := v_sessions.recommendations;
  refresh_at := least(v_locks.refresh_at, v_sessions.refresh_at);
  failed := v_failed;
END
$$;
COMMENT ON FUNCTION lock_engine.store_look(timestamptz, interval, boolean, integer[], integer, timestamptz, jsonb) IS
  'Stores what changed since the last stored look, part by part; locks is NULL where no lock at all could be stored. Called by '
  'lock_engine.run_cycle and store_seen, under the cycle''s advisory lock and between defer_keys() and place_rows().';
