-- pg_terminate_backend() only says that the signal was sent. So: look until the session is gone (or its statement is over),
-- then until those whose release was predicted no longer stand in the wait they stood in.
CREATE OR REPLACE FUNCTION lock_admin.await_outcome(p_action_id bigint, p_signalled_at timestamptz, p_wait_seconds numeric)
RETURNS TABLE (action_id bigint, outcome text, message text, waited_ms numeric, recovery_ms numeric, comparison jsonb)
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  v_request record;
  v_deadline timestamptz := p_signalled_at + make_interval(secs => greatest(0, least(p_wait_seconds, 30))::double precision);
  v_limit_ms numeric;
  v_now timestamptz;
  v_pause double precision := 0.001;
  v_over boolean;
  v_gone boolean;
  v_freed boolean := false;
  v_outcome text;
  v_waited numeric;
  v_recovery numeric;
  v_comparison jsonb;
  v_message text;
BEGIN
  SELECT a.* INTO v_request FROM lock_admin.action_log AS a WHERE a.action_id = p_action_id AND a.step = 'request';
  -- the caller's statement_timeout would undo the record of a signal that was sent: be done well before it
  SELECT s.setting::numeric INTO v_limit_ms FROM pg_catalog.pg_settings AS s WHERE s.name = 'statement_timeout';
  IF v_limit_ms > 0 THEN
    v_deadline := least(v_deadline, statement_timestamp() + make_interval(secs => v_limit_ms::double precision / 2000));
  END IF;
  LOOP
    PERFORM pg_catalog.pg_stat_clear_snapshot();
    SELECT count(*) = 0, count(*) FILTER (WHERE s.state = 'active' AND s.query_start = v_request.target_query_start) = 0
      INTO v_gone, v_over
      FROM lock_catalog.sessions AS s
     WHERE s.pid = v_request.target_pid AND s.backend_start = v_request.target_backend_start;
    v_now := clock_timestamp();
    EXIT WHEN v_gone OR (v_request.action = 'cancel' AND v_over) OR v_now >= v_deadline;
    PERFORM pg_catalog.pg_sleep(v_pause);
    v_pause := least(v_pause * 1.5, 0.05);
  END LOOP;
  v_waited := round(extract(epoch FROM v_now - p_signalled_at)::numeric * 1000, 1);
  v_outcome := CASE WHEN v_request.action = 'terminate' AND v_gone THEN 'terminated'
                    WHEN v_request.action = 'cancel' AND v_over THEN 'cancelled'
                    ELSE 'still there' END;

  IF v_outcome <> 'still there' THEN
    -- half a second more at most: waking up takes the freed ones some milliseconds
    v_deadline := v_now + interval '500 milliseconds';
    IF v_limit_ms > 0 THEN
      v_deadline := least(v_deadline, statement_timestamp() + make_interval(secs => v_limit_ms::double precision * 0.8 / 1000));
    END IF;
    v_pause := 0.002;
    LOOP
      v_comparison := lock_admin.compare_prediction(v_request.prediction, v_request.target_pid);
      v_now := clock_timestamp();
      IF (v_comparison ->> 'not_freed')::integer = 0 THEN
        IF NOT v_freed THEN
          v_freed := true;
          v_recovery := CASE WHEN (v_comparison ->> 'predicted')::integer > 0
                          THEN round(extract(epoch FROM v_now - p_signalled_at)::numeric * 1000, 1) END;
          v_deadline := least(v_deadline, v_now + interval '200 milliseconds');
        END IF;
        -- those behind the next one let go of one lock before they stand in the queue for the other
        EXIT WHEN (v_comparison ->> 'next_predicted')::integer = 0 OR (v_comparison ->> 'next_came_true')::integer > 0;
      END IF;
      EXIT WHEN v_now >= v_deadline;
      PERFORM pg_catalog.pg_sleep(v_pause);
      v_pause := least(v_pause * 2, 0.05);
    END LOOP;
  END IF;

  v_message := CASE v_outcome
    WHEN 'terminated' THEN format('%s ended after %s ms.', v_request.target_pid, v_waited)
    WHEN 'cancelled' THEN format('The statement of %s ended after %s ms.', v_request.target_pid, v_waited)
    ELSE format('The signal was sent, but %s was still there after %s ms.', v_request.target_pid, v_waited) END
    || coalesce(' ' || (v_comparison ->> 'text'), '');
  INSERT INTO lock_admin.action_log (
    action_id, step, acting_for, origin, policy_hk, policy_version, action, target_pid, target_backend_start,
    target_xact_start, target_query_start, target_user, target_application, explicit, outcome, message, waited_ms, recovery_ms,
    comparison)
  VALUES (
    p_action_id, 'outcome', v_request.acting_for, v_request.origin, v_request.policy_hk, v_request.policy_version,
    v_request.action, v_request.target_pid, v_request.target_backend_start, v_request.target_xact_start,
    v_request.target_query_start, v_request.target_user, v_request.target_application, v_request.explicit, v_outcome, v_message,
    v_waited, v_recovery, v_comparison);
  RETURN QUERY SELECT p_action_id, v_outcome, v_message, v_waited, v_recovery, v_comparison;
END
$$;
COMMENT ON FUNCTION lock_admin.await_outcome(bigint, timestamptz, numeric) IS
  'Internal: waits until a signalled session is gone, at most the given seconds, and records outcome, time to recovery and '
  'the comparison with the prediction.';
