CREATE OR REPLACE FUNCTION lock_admin.refusal_now(p_action_id bigint, p_waiters integer[])
RETURNS text
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_request record;
  v_session record;
  v_automatic boolean;
BEGIN
  SELECT a.* INTO v_request FROM lock_admin.action_log AS a WHERE a.action_id = p_action_id AND a.step = 'request';
  v_automatic := v_request.origin IN ('policy', 'auto_resolve');
  IF NOT (lock_admin.setting('door.enabled'))::boolean THEN
    RETURN 'door_closed';
  END IF;
  IF v_automatic AND lock_engine.disarmed_because() IS NOT NULL THEN
    RETURN 'disarmed';
  END IF;
  IF v_request.logged_at <= clock_timestamp()
       - make_interval(secs => (lock_admin.setting('door.request_valid_seconds'))::double precision) THEN
    RETURN 'request_expired';
  END IF;
  SELECT s.* INTO v_session FROM lock_catalog.sessions AS s WHERE s.pid = v_request.target_pid;
  IF v_session.pid IS NULL THEN
    RETURN 'already_gone';
  END IF;
  RETURN CASE
    WHEN v_session.backend_start IS DISTINCT FROM v_request.target_backend_start THEN 'other_session'
    WHEN v_request.target_xact_start IS NOT NULL
      AND v_session.xact_start IS DISTINCT FROM v_request.target_xact_start THEN 'other_transaction'
    WHEN lock_admin.refusal_code(v_session.pid, v_session.user_name, v_session.is_superuser, v_session.backend_type,
           v_session.leader_pid, v_session.query, v_session.application_name, v_session.database_name, v_automatic) IS NOT NULL
      THEN lock_admin.refusal_code(v_session.pid, v_session.user_name, v_session.is_superuser, v_session.backend_type,
             v_session.leader_pid, v_session.query, v_session.application_name, v_session.database_name, v_automatic)
    WHEN v_automatic AND NOT lock_admin.is_automatic_kind(lock_catalog.session_kind(v_session.backend_type, v_session.state,
           v_session.wait_event_type, v_session.wait_event, v_session.query, clock_timestamp() - v_session.query_start, NULL, NULL))
      THEN 'kind_not_automatic'
    WHEN v_request.action = 'cancel' AND v_session.state IS DISTINCT FROM 'active' THEN 'nothing_to_cancel'
    WHEN v_request.action = 'cancel' AND v_session.query_start IS DISTINCT FROM v_request.target_query_start THEN 'other_statement'
    WHEN NOT v_request.explicit AND NOT lock_catalog.blocks_any(v_session.pid, p_waiters) THEN 'no_longer_blocks'
    WHEN lock_admin.signals_in_last_hour() > (lock_admin.setting('door.max_per_hour'))::integer THEN 'rate_limit'
    WHEN v_request.policy_hk IS NOT NULL THEN lock_admin.policy_may_act(v_request.policy_hk, v_request.policy_version)
  END;
END
$$;
COMMENT ON FUNCTION lock_admin.refusal_now(bigint, integer[]) IS
  'Internal: why a request cannot be carried out at this moment, or NULL. The answer is for the sentence; the statement that '
  'signals checks the same conditions itself.';
