-- Retention, one batch: the one function behind the schedule, the command, the procedure and cleanup_old_data. What comes
-- next is in p_state, an answer of the call before; NULL begins anew, which is never wrong: what is gone is gone. It does
-- not take the cycle's lock: a hub whose session has ended cannot be written again. Two cleanups do not meet (460,8).
-- Parts, one after the other: deadlocks, locks, sessions, analyses (rows, links, hubs), what is aside of these, then a part of the hubs is gone
-- through for empty ones, then records of the engine, coverage, alerts.
CREATE OR REPLACE FUNCTION lock_engine.delete_batch(
  p_before timestamptz, p_state jsonb DEFAULT NULL, p_rows integer DEFAULT 5000,
  OUT state jsonb, OUT deleted jsonb, OUT in_the_way text)
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '200ms'
AS $$
#variable_conflict use_variable
DECLARE
  v_parts constant text[] := ARRAY['deadlocks', 'locks', 'sessions', 'analyses', 'aside', 'lock hubs', 'session hubs',
                                   'records', 'coverage', 'alerts'];
  v_part text := coalesce(p_state ->> 'part', v_parts[1]);
  v_next text := v_parts[array_position(v_parts, coalesce(p_state ->> 'part', v_parts[1])) + 1];
  v_from timestamptz := coalesce((p_state ->> 'from')::timestamptz, '-infinity');
  v_skip integer := coalesce((p_state ->> 'skip')::integer, 0);
  v_swept integer := coalesce((p_state ->> 'swept')::integer, 0);
  v_days integer;
  v_living text[];
  v_rows integer := p_rows;
  v_done record;
  v_count bigint;
BEGIN
  IF current_user <> 'lock_vault_owner' THEN PERFORM lock_engine.require_owner('lock_vault_owner'); END IF;
  IF p_before IS NULL OR p_before > clock_timestamp() OR p_rows IS NULL OR p_rows NOT BETWEEN 1 AND 1000000
     OR array_position(v_parts, v_part) IS NULL THEN
    RAISE EXCEPTION 'lock_engine.delete_batch needs a moment in the past, the state that the call before gave, and 1 to 1000000 rows; nothing was deleted.'
      USING ERRCODE = 'invalid_parameter_value';
  END IF;
  PERFORM lock_engine.require_writable('lock_engine.delete_batch');
  state := p_state;
  deleted := '{}';
  IF NOT pg_try_advisory_xact_lock(460, 8) THEN
    in_the_way := 'another cleanup is running' || lock_engine.monitor_named(8);
    RETURN;
  END IF;
  IF v_part IN ('deadlocks', 'locks', 'sessions', 'aside', 'lock hubs', 'session hubs') THEN
    BEGIN
      v_living := lock_engine.living_sessions(interval '1 second');
    EXCEPTION
      WHEN lock_not_available THEN
        in_the_way := lock_engine.cycle_blocker_named('a view of lock_catalog is locked by another session');
        RETURN;
    END;
    IF v_living IS NULL THEN
      in_the_way := 'a monitoring cycle has been running for over a second';
      RETURN;
    END IF;
  END IF;
  IF v_part IN ('sessions', 'session hubs') AND p_before < clock_timestamp() - interval '1 day' THEN
    -- an episode's key has its beginning: what ended that long ago is not written again, whoever lives
    v_living := '{}';
  END IF;

  LOOP
    BEGIN
      CASE v_part
        WHEN 'aside' THEN
          deleted := lock_engine.forget_aside(p_before, v_rows, v_living);
          state := jsonb_build_object('part', CASE WHEN deleted = '{}' THEN v_next ELSE v_part END);
        WHEN 'lock hubs', 'session hubs' THEN
          SELECT w.looked_at, w.deleted INTO v_done
            FROM lock_engine.sweep_hubs(CASE v_part WHEN 'lock hubs' THEN 'lock_activity' ELSE 'blocking_session' END,
                                        p_before, v_rows, v_living) w;
          deleted := jsonb_build_object(CASE v_part WHEN 'lock hubs' THEN 'lock_activity_h' ELSE 'blocking_session_h' END, v_done.deleted);
          v_swept := v_swept + v_done.looked_at;
          -- a part of them each time, so that a cleanup costs what it deletes and no more
          state := CASE WHEN v_done.looked_at < v_rows OR v_swept >= 50000 THEN jsonb_build_object('part', v_next)
                        ELSE jsonb_build_object('part', v_part, 'swept', v_swept) END;
        WHEN 'records' THEN
          PERFORM lock_engine.roll_up_waits();
          v_count := lock_engine.forget_records(p_before, v_rows);
          deleted := jsonb_build_object('records', v_count);
          state := jsonb_build_object('part', CASE WHEN v_count = 0 THEN v_next ELSE v_part END);
        WHEN 'coverage', 'alerts' THEN
          -- a day of them stays, whatever was asked for
          v_days := greatest(1, ceil(extract(epoch FROM clock_timestamp() - p_before) / 86400));
          IF v_part = 'coverage' THEN
            v_count := lock_engine.forget_coverage(v_days, v_rows);
          ELSE
            v_count := monitoring.forget_alerts(clock_timestamp() - make_interval(days => v_days), v_rows);
          END IF;
          deleted := jsonb_build_object(v_part, v_count);
          state := CASE WHEN v_count > 0 THEN jsonb_build_object('part', v_part)
                        WHEN v_next IS NOT NULL THEN jsonb_build_object('part', v_next) END;
        ELSE
          SELECT x.* INTO v_done FROM lock_engine.delete_expired(v_part, p_before, v_from, v_skip, v_rows, v_living) x;
          deleted := v_done.deleted;
          state := CASE WHEN v_done.looked_at < v_rows THEN jsonb_build_object('part', v_next)
                        ELSE jsonb_build_object('part', v_part, 'from', v_done.reached, 'skip', v_done.skip) END;
      END CASE;
      RETURN;
    EXCEPTION
      WHEN lock_not_available THEN
        in_the_way := lock_engine.cycle_blocker_named('a table of the vault is locked by another session');
        state := p_state;
        deleted := '{}';
        RETURN;
      WHEN foreign_key_violation THEN
        -- the site refers to a row of ours: it alone stays
        IF v_rows = 1 THEN
          state := jsonb_build_object('part', v_part, 'from', v_from, 'skip', v_skip + 1);
          deleted := jsonb_build_object('kept', 1);
          RETURN;
        END IF;
        v_rows := greatest(1, v_rows / 10);
      WHEN OTHERS THEN
        -- a trigger or a policy of the site's: what was deleted until now stays deleted, and who asked hears why there is no more
        IF lock_engine.ends_all(SQLSTATE, false) THEN
          RAISE;
        END IF;
        in_the_way := format('%s: %s', v_part, SQLERRM);
        state := p_state;
        deleted := '{}';
        RETURN;
    END;
  END LOOP;
END
$$;
COMMENT ON FUNCTION lock_engine.delete_batch(timestamptz, jsonb, integer) IS
  'Deletes up to p_rows of what ended before p_before. state: for the next call, NULL when all is done; deleted: rows a table (kept: '
  'rows of hubs that may still be written); in_the_way: why nothing was done, then try again after a rest.';
ALTER FUNCTION lock_engine.delete_batch(timestamptz, jsonb, integer) OWNER TO lock_vault_owner;
REVOKE ALL ON FUNCTION lock_engine.delete_batch(timestamptz, jsonb, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lock_engine.delete_batch(timestamptz, jsonb, integer) TO lock_admin_role;
