-- The only place of the project that signals another session.
--
-- Activity is cached for a transaction: a pid that ended since the first read would still match. So the cache is thrown
-- away in a statement of its own, and then ONE statement reads the session afresh, checks everything and signals.
CREATE OR REPLACE FUNCTION lock_admin.signal_session(p_action_id bigint, p_wait_seconds numeric)
RETURNS TABLE (action_id bigint, outcome text, code text, message text, waited_ms numeric, recovery_ms numeric, comparison jsonb)
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  v_request record;
  v_automatic boolean;
  v_waiters integer[];
  v_before jsonb;
  v_sent boolean;
  v_code text;
  v_log_id bigint;
  v_signalled_at timestamptz;
BEGIN
  SELECT a.* INTO v_request FROM lock_admin.action_log AS a WHERE a.action_id = p_action_id AND a.step = 'request';
  v_automatic := v_request.origin IN ('policy', 'auto_resolve');

  -- who waits for it now; the statement below asks PostgreSQL about these once more
  v_before := lock_admin.simulate(v_request.target_pid);
  v_waiters := ARRAY(SELECT jsonb_array_elements_text(v_before -> 'waiters')::integer);

  BEGIN
    INSERT INTO lock_admin.action_log (
      action_id, step, acting_for, origin, policy_hk, policy_version, action, target_pid, target_backend_start,
      target_xact_start, target_query_start, target_user, target_application, explicit, prediction)
    VALUES (
      p_action_id, 'signal', v_request.acting_for, v_request.origin, v_request.policy_hk, v_request.policy_version,
      v_request.action, v_request.target_pid, v_request.target_backend_start, v_request.target_xact_start,
      v_request.target_query_start, v_request.target_user, v_request.target_application, v_request.explicit, v_before)
    ON CONFLICT DO NOTHING
    RETURNING log_id INTO v_log_id;

    v_code := CASE
      WHEN v_log_id IS NULL THEN 'already_executed'
      WHEN pg_catalog.current_setting('transaction_isolation') <> 'read committed' THEN 'not_read_committed'
      -- no person looks at it: it must be as it was judged, still the root, those who waited for long still waiting
      WHEN v_automatic AND (v_before ->> 'blocks')::integer > 0 AND NOT (v_before ->> 'is_root')::boolean THEN 'not_root'
      WHEN v_automatic AND (v_before ->> 'blocks')::integer > 0 AND NOT lock_admin.is_automatic_kind(v_before ->> 'kind') THEN 'kind_not_automatic'
      WHEN v_automatic AND (v_before ->> 'blocking_since')::timestamptz
             > (v_request.prediction ->> 'blocking_since')::timestamptz + interval '1 second' THEN 'condition_over'
    END;
    IF v_code IS NOT NULL THEN
      RAISE EXCEPTION '%', v_code USING ERRCODE = 'LD001';
    END IF;

    PERFORM pg_catalog.pg_stat_clear_snapshot();
    v_code := lock_admin.refusal_now(p_action_id, v_waiters);
    IF v_code IS NOT NULL THEN
      RAISE EXCEPTION '%', v_code USING ERRCODE = 'LD001';
    END IF;

    -- survives a rollback of the caller
    RAISE LOG 'one vault lock door: action % will % pid % (user %, application %, connected %) for % (login %): %',
      p_action_id, v_request.action, v_request.target_pid, v_request.target_user,
      regexp_replace(coalesce(v_request.target_application, ''), '[[:cntrl:]]', ' ', 'g'), v_request.target_backend_start,
      regexp_replace(coalesce(v_request.acting_for, v_request.origin), '[[:cntrl:]]', ' ', 'g'), session_user,
      regexp_replace(coalesce(v_request.reason, ''), '[[:cntrl:]]', ' ', 'g');

    PERFORM pg_catalog.pg_stat_clear_snapshot();
    v_signalled_at := clock_timestamp();
    SELECT CASE v_request.action
             WHEN 'terminate' THEN pg_catalog.pg_terminate_backend(s.pid)
             WHEN 'cancel' THEN pg_catalog.pg_cancel_backend(s.pid)
           END
      INTO v_sent
      FROM lock_catalog.sessions AS s
     WHERE s.pid = v_request.target_pid
       AND s.backend_start = v_request.target_backend_start
       AND (v_request.target_xact_start IS NULL OR s.xact_start = v_request.target_xact_start)
       AND (v_request.action = 'terminate' OR (s.state = 'active' AND s.query_start = v_request.target_query_start))
       AND lock_admin.refusal_code(s.pid, s.user_name, s.is_superuser, s.backend_type, s.leader_pid, s.query,
             s.application_name, s.database_name, v_automatic) IS NULL
       AND (NOT v_automatic OR lock_admin.is_automatic_kind(lock_catalog.session_kind(s.backend_type, s.state, s.wait_event_type,
             s.wait_event, s.query, clock_timestamp() - s.query_start, NULL, NULL)))
       AND (v_request.explicit OR lock_catalog.blocks_any(s.pid, v_waiters))
       AND (lock_admin.setting('door.enabled'))::boolean
       AND v_request.logged_at > clock_timestamp()
             - make_interval(secs => (lock_admin.setting('door.request_valid_seconds'))::double precision)
       -- its own row is counted here
       AND lock_admin.signals_in_last_hour() <= (lock_admin.setting('door.max_per_hour'))::integer
       AND (v_request.policy_hk IS NULL
            OR lock_admin.policy_may_act(v_request.policy_hk, v_request.policy_version) IS NULL);
    IF v_sent IS NULL THEN
      PERFORM pg_catalog.pg_stat_clear_snapshot();
      v_code := coalesce(lock_admin.refusal_now(p_action_id, v_waiters), 'no_longer_blocks');
      RAISE EXCEPTION '%', v_code USING ERRCODE = 'LD001';
    ELSIF NOT v_sent THEN
      RAISE EXCEPTION 'already_gone' USING ERRCODE = 'LD001';
    END IF;
  EXCEPTION
    -- the row that says "signal" goes with the block: nothing was signalled
    WHEN SQLSTATE 'LD001' THEN v_code := sqlerrm;
    WHEN lock_not_available THEN v_code := 'already_executed';
    WHEN insufficient_privilege THEN v_code := 'not_permitted';
  END;

  IF v_code IS NOT NULL THEN
    RETURN QUERY
    SELECT r.action_id, r.outcome, r.code, r.message, NULL::numeric, NULL::numeric, NULL::jsonb
      FROM lock_admin.record_refusal(p_action_id, v_code,
             CASE WHEN v_code = 'other_session' THEN (
               SELECT format('It connected at %s.', to_char(s.backend_start, 'YYYY-MM-DD HH24:MI:SS TZ'))
                 FROM lock_catalog.sessions AS s WHERE s.pid = v_request.target_pid) END) AS r;
  ELSE
    RETURN QUERY
    SELECT o.action_id, o.outcome, NULL::text, o.message, o.waited_ms, o.recovery_ms, o.comparison
      FROM lock_admin.await_outcome(p_action_id, v_signalled_at, p_wait_seconds) AS o;
  END IF;
END
$$;
COMMENT ON FUNCTION lock_admin.signal_session(bigint, numeric) IS
  'Internal: re-checks a request and signals its session in one statement, then waits for the outcome (seconds).';
